package queue

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

func TestPause(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	q := openAt(t, path, Options{Outputs: []string{"a", "b"}})
	commit(t, q, Batch{Events: bounces(0, 10)})
	before := q.Edits()
	if err := q.Pause("a"); err != nil {
		t.Fatal(err)
	}
	if q.Edits() == before {
		t.Error("who has read ahead does not learn of it")
	}
	if a, b := given(t, q, "a"), given(t, q, "b"); a != 0 || b != 10 {
		t.Errorf("%d and %d are given", a, b)
	}
	if err := q.Pause("c"); err == nil || !strings.Contains(err.Error(), `there is no output "c"`) {
		t.Errorf("got %v", err)
	}
	since := q.Paused()["a"]
	reopen := func(outputs ...string) {
		t.Helper()
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		q = openAt(t, path, Options{Outputs: outputs})
	}
	reopen("renamed", "b")
	if got := q.Paused(); len(got) != 1 || !got["renamed"].Equal(since) || since.IsZero() || given(t, q, "renamed") != 0 {
		t.Errorf("after a restart and a rename %v are paused", got)
	}
	items := make(chan int)
	go func() {
		got, _, _ := q.NextAfter(context.Background(), "renamed", Mark{}, 100)
		items <- len(got)
	}()
	if err := q.Continue("renamed"); err != nil {
		t.Fatal(err)
	}
	if n := <-items; n != 10 {
		t.Errorf("%d are given to who waited", n)
	}
	if err := q.Pause("renamed"); err != nil {
		t.Fatal(err)
	}
	reopen("b")
	reopen("b", "renamed")
	if got := q.Paused(); len(got) != 0 {
		t.Errorf("a new output of an old one's name is paused: %v", got)
	}
}
