package agent

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

func TestTailRemembers(t *testing.T) {
	t.Parallel()
	a := &Agent{}
	for i := range remembered + 10 {
		e := event.Event{Type: event.Hard, Reason: event.UserUnknown, Recipient: fmt.Sprintf("r%d@example.org", i)}
		if i%2 == 1 {
			e.Type, e.Reason = event.Soft, event.Spam
		}
		a.tail.publish("postfix", "queued", &e)
	}
	ask := func(f LineFilter) (got []string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := a.answerTail(ctx, f, nil, func(l Line) error { got = append(got, l.Event.Recipient); return nil }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, c := range []struct {
		f    LineFilter
		n    int
		last string
	}{
		{LineFilter{}, 0, ""},
		{LineFilter{Last: 3}, 3, "r5009@example.org"},
		{LineFilter{Since: time.Now().Add(-time.Hour)}, remembered, "r5009@example.org"},
		{LineFilter{Since: time.Now().Add(time.Hour)}, 0, ""},
		{LineFilter{Last: 10, Type: "hard"}, 10, "r5008@example.org"},
		{LineFilter{Last: 10, Reason: "spam"}, 10, "r5009@example.org"},
		{LineFilter{Last: 10, Module: "exim"}, 0, ""},
		{LineFilter{Last: 10, Match: "R5000@example.org"}, 1, "r5000@example.org"},
		{LineFilter{Last: 10, Match: "r1@example.org"}, 0, ""}, // pushed out
	} {
		got := ask(c.f)
		if len(got) != c.n || c.n > 0 && got[len(got)-1] != c.last {
			t.Errorf("%+v: %d, the last %q", c.f, len(got), got[max(0, len(got)-1):])
		}
	}
	if got := ask(LineFilter{Last: 3}); !slices.IsSorted(got) {
		t.Errorf("not in order: %q", got)
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	e := event.Event{ID: "abc", Recipient: "Jo@Example.org", OriginalRecipient: "alias@other.example", MessageID: "m@x", QueueID: "4F1A", SubscriberUUID: "u-1"}
	for word, want := range map[string]bool{
		"jo@example.org": true, "<jo@example.org>": true, "alias@other.example": true, "@example.org": true, "@ample.org": false, "<m@x>": true, "4f1a": true,
		"u-1": true, "abc": true, "jo": false, "": false, "<>": false,
	} {
		if Matches(&e, word) != want {
			t.Errorf("%q: %v", word, !want)
		}
	}
}
