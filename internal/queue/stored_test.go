package queue

import (
	"path/filepath"
	"testing"
)

func TestStoredValues(t *testing.T) {
	t.Parallel()
	q := openAt(t, filepath.Join(t.TempDir(), "queue.db"), Options{})
	commit(t, q, Batch{Input: "in", State: map[string][]byte{"a": []byte("1"), "b": []byte("2")}})
	commit(t, q, Batch{Input: "in", State: map[string][]byte{"a": nil, "c": []byte("3")}})
	stored := q.Stored("in")
	for key, want := range map[string]string{"a": "", "b": "2", "c": "3"} {
		if got := stored.Value(key); string(got) != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	n := 0
	for range stored.All() {
		n++
	}
	if other := q.Stored("other").Value("b"); n != 2 || other != nil {
		t.Errorf("%d values; another input's: %q", n, other)
	}
}
