package queue

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

const theirs = "Person7@example.org" // as bounce(7) has it, but for the letters

func erasure() Erasure {
	return Erasure{Address: theirs, About: func(e *event.Event) bool { return strings.EqualFold(e.Recipient, theirs) }}
}

// holds says whether the address stands in what the file holds, packed or not.
func holds(t *testing.T, q *Queue) (raw, unpacked bool) {
	t.Helper()
	content, err := os.ReadFile(q.path)
	if err != nil {
		t.Fatal(err)
	}
	is := (&blotter{lower: []byte(strings.ToLower(theirs))}).isIn
	for page := range slices.Chunk(content, pageSize) { // groups in free pages, too
		for at := range page {
			frame := bytes.Index(page[at:], []byte{0x28, 0xb5, 0x2f, 0xfd})
			if frame != 0 {
				continue
			}
			text, _ := decompressor().DecodeAll(page[at:], nil) // what follows the frame is none
			unpacked = unpacked || is(text)
		}
	}
	return is(content), unpacked
}

// What is about an address is gone: from what waits and what was sent, what is set aside and what parsers remember, and
// from the file itself.
func TestErase(t *testing.T) {
	q, now := keeping(t, Options{})
	about := func(n int) event.Event {
		e := bounce(n)
		e.Recipient = "person7@EXAMPLE.org"
		e.ID = e.MakeID()
		return e
	}
	other := bounce(50)
	other.Diagnostic = "550 person7@example.org (from person50@example.org) unknown; bo.person7@example.org and person7@example.org.uk are others"
	commit(t, q, Batch{Events: append(append(bounces(0, 40), about(41), other), bounces(100, 120)...),
		State:   map[string][]byte{"a": []byte("\x13person7@example.org\x00"), "b": []byte("\x16bo.person7@example.org"), "c": []byte("to=<PERSON7@example.org>")},
		Held:    []Held{{Event: about(60), Why: "no proof"}, {Event: bounce(61), Why: "as person7@example.org"}},
		Refused: []Refused{{Time: *now, Why: "malformed", Body: []byte("to=<person7@example.org>")}, {Time: *now, Why: "malformed", Body: []byte("to=<xperson7@example.org>")}},
		Counts:  read(66)})
	settle(t, q, "a", 30, Sent)
	settle(t, q, "b", 7, Sent)
	settle(t, q, "b", 1, Dead) // person7
	if err := q.Settle("b", []Settled{{next(t, q, "b")[0].Seq, Dead, "400: person7@example.org is blocked"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := q.SendAgain("a", []uint64{8, 9}); err != nil {
		t.Fatal(err)
	}
	outdated := 0
	e := erasure()
	e.Outdate = func() { outdated++ }
	if raw, unpacked := holds(t, q); !raw || !unpacked {
		t.Error("this test does not see what is there")
	}
	done, err := q.Erase(e)
	if err != nil {
		t.Fatal(err)
	}
	// Event 7 in its group and once more, event 41; 7 is sent by a and dead at b, its twin waits, 41 waits at both.
	want := Erased{Events: 3, Unsent: 3, Held: 1, Dead: 1, Refused: 1, Messages: 2, Blotted: 4}
	if done != want || outdated == 0 {
		t.Errorf("erased %+v\n  want %+v", done, want)
	}
	if err := q.Rewrite(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if raw, unpacked := holds(t, q); raw || unpacked {
			t.Errorf("the file still has it: %v, %v", raw, unpacked)
		}
		checkCounted(t, q, "a", "b")
		for _, p := range search(t, q, Search{}) {
			if strings.EqualFold(p.Event.Recipient, theirs) {
				t.Errorf("%+v", p)
			}
			if p.Event.MessageID == other.MessageID && p.Event.Diagnostic != "550 [erased] (from person50@example.org) unknown; bo.person7@example.org and person7@example.org.uk are others" {
				t.Errorf("of another: %s", p.Event.Diagnostic)
			}
		}
		if got := len(search(t, q, Search{})); got != 60 {
			t.Errorf("%d events are left, want 60", got)
		}
		if stateOf(q, "in", "a")+stateOf(q, "in", "c") != "" || stateOf(q, "in", "b") == "" {
			t.Error("the parser's state")
		}
		path, o := q.path, q.o
		q.Close()
		if aside := damaged(path); len(aside) > 0 {
			t.Fatal("it was damaged")
		}
		q = openAt(t, path, o)
	}
	held, _ := q.Held()
	dead, _ := q.Dead("b")
	if len(held) != 1 || held[0].Why != "as [erased]" || len(dead) != 1 || dead[0].Answer != "400: [erased] is blocked" {
		t.Errorf("held %+v, dead %+v", held, dead)
	}
	if n := repeats(t, q, 0, 40); n != 40 {
		t.Errorf("%d of 40 are known", n)
	}
	settleAll(t, q, "a", Sent)
	settleAll(t, q, "b", Sent)
	*now = now.Add(20 * day)
	maintain(t, q)
}

// Erasing beside the work neither loses nor doubles what is others'.
func TestEraseBesideWork(t *testing.T) {
	t.Parallel()
	q := openNew(t, Options{History: DefaultRetain})
	stop := make(chan struct{})
	done := make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				done <- n
				return
			default:
			}
			commit(t, q, Batch{Events: bounces(n*10, n*10+10)})
			n++
		}
	}()
	for deadline := time.Now().Add(time.Minute); stats(t, q).Pending["out"] < 500 && time.Now().Before(deadline); {
		if _, err := q.Erase(erasure()); err != nil {
			t.Error(err)
		}
		if err := q.Rewrite(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	n := <-done
	if _, err := q.Erase(erasure()); err != nil {
		t.Error(err)
	}
	if got := len(settleAll(t, q, "out", Sent)); got != n*10-1 {
		t.Errorf("%d are sent of %d", got, n*10-1)
	}
}

func TestStandsAlone(t *testing.T) {
	b := &blotter{lower: []byte("jo@example.org")}
	for text, want := range map[string]string{
		"jo@example.org":            "[erased]",
		"<Jo@Example.ORG>, x":       "<[erased]>, x",
		"to=jo@example.org.":        "to=[erased].",
		"bojo@example.org":          "bojo@example.org",
		"a+jo@example.org":          "a+jo@example.org",
		"jo@example.org.uk":         "jo@example.org.uk",
		"jo@example.orgs":           "jo@example.orgs",
		"üjo@example.org":           "üjo@example.org",
		"jo@example.org jo@example": "[erased] jo@example",
		"İ jo@example.org":          "İ [erased]",
	} {
		if got := b.blot(text); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}
