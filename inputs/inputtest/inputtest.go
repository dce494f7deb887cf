// Package inputtest holds every kind of input to the contract of inputs.Input and inputs.Sink.
package inputtest

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/event"
)

// A Source is a kind of input with something to read from.
type Source struct {
	Input inputs.Input
	Add   func(n int) (bodies []string) // puts n new records in the source; what Record.Body will say

	Unordered bool // what was not stored may come again behind what is newer
}

// has says whether bodies are those wanted.
func (s Source) has(bodies, want []string) bool {
	if s.Unordered {
		bodies, want = slices.Sorted(slices.Values(bodies)), slices.Sorted(slices.Values(want))
	}
	return slices.Equal(bodies, want)
}

// Conformance holds a kind of input to the contract of Input and Sink.
func Conformance(t *testing.T, build func(*testing.T) Source) {
	Ends(t, build)
	t.Run("returns the error of Commit, forgets nothing", func(t *testing.T) { forgetsNothing(t, build(t)) })
	t.Run("goes on from the checkpoint", func(t *testing.T) { goesOn(t, build(t)) })
}

// Ends is what of the contract holds also for an input that answers its senders, and has no place to go on from.
func Ends(t *testing.T, build func(*testing.T) Source) {
	t.Run("ends with nil", func(t *testing.T) { endsWithNil(t, build(t)) })
	t.Run("ends while Commit blocks", func(t *testing.T) { endsWhileBlocked(t, build(t)) })
	t.Run("leaves no goroutine", func(t *testing.T) { leavesNoGoroutine(t, build(t)) })
}

// A Sink keeps what the queue would.
type Sink struct {
	mu     sync.Mutex
	Bodies []string                                             // of all records, in order
	Stored map[string]string                                    // the checkpoint
	Refuse func(ctx context.Context, recs []event.Record) error // if set, it is asked first
}

// Checkpoint implements inputs.Sink.
func (s *Sink) Checkpoint() (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.Stored), nil
}

// Value is one key of the checkpoint.
func (s *Sink) Value(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Stored[key]
}

// Commit implements inputs.Sink.
func (s *Sink) Commit(ctx context.Context, recs []event.Record, checkpoint map[string]string) error {
	if s.Refuse != nil {
		if err := s.Refuse(ctx, recs); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range recs {
		s.Bodies = append(s.Bodies, string(r.Body))
	}
	if checkpoint != nil {
		s.Stored = maps.Clone(checkpoint)
	}
	return nil
}

// CommitRequest implements inputs.RequestSink.
func (s *Sink) CommitRequest(ctx context.Context, rec event.Record) (string, error) {
	return "", s.Commit(ctx, []event.Record{rec}, nil)
}

// CountRefused implements inputs.RequestSink.
func (s *Sink) CountRefused(string) {}

// Has says whether as many records as these are stored.
func (s *Sink) Has(bodies []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.Bodies) >= len(bodies)
}

// RunUntil runs in until ok, ends it, and gives its error.
func RunUntil(t *testing.T, in inputs.Input, sink inputs.Sink, ok func() bool) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx, sink) }()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-deadline:
			t.Fatal("nothing happened for 20 s")
		case <-tick.C:
			if ok() {
				cancel()
			}
		}
	}
}

func endsWithNil(t *testing.T, s Source) {
	sink := &Sink{}
	want := s.Add(3)
	if err := RunUntil(t, s.Input, sink, func() bool { return sink.Has(want) }); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func endsWhileBlocked(t *testing.T, s Source) {
	blocked := make(chan bool, 100)
	sink := &Sink{Refuse: func(ctx context.Context, recs []event.Record) error {
		if len(recs) == 0 {
			return nil
		}
		blocked <- true
		<-ctx.Done()
		return ctx.Err()
	}}
	s.Add(3)
	if err := RunUntil(t, s.Input, sink, func() bool { return len(blocked) > 0 }); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func forgetsNothing(t *testing.T, s Source) {
	refused := errors.New("disk full")
	sink := &Sink{Refuse: func(_ context.Context, recs []event.Record) error {
		if len(recs) > 0 {
			return refused
		}
		return nil
	}}
	want := s.Add(3)
	for range 2 {
		if err := RunUntil(t, s.Input, sink, func() bool { return false }); !errors.Is(err, refused) {
			t.Fatalf("Run: %v", err)
		}
	}
	sink.Refuse = nil
	if err := RunUntil(t, s.Input, sink, func() bool { return sink.Has(want) }); err != nil || !s.has(sink.Bodies, want) {
		t.Errorf("Run: %v, got %q, want %q", err, sink.Bodies, want)
	}
}

func goesOn(t *testing.T, s Source) {
	sink := &Sink{}
	var want []string
	for range 3 {
		want = append(want, s.Add(3)...)
		if err := RunUntil(t, s.Input, sink, func() bool { return sink.Has(want) }); err != nil {
			t.Fatalf("Run: %v", err)
		}
	}
	if !s.has(sink.Bodies, want) {
		t.Errorf("got %q, want %q", sink.Bodies, want)
	}
}

func leavesNoGoroutine(t *testing.T, s Source) {
	t.Setenv("CONFORMANCE", "alone") // panics in a parallel test: other tests' goroutines would be counted, too
	before := runtime.NumGoroutine()
	endsWithNil(t, s)
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
		runtime.Gosched() // one that was waited for may still be on its last instruction
	}
	if after := runtime.NumGoroutine(); after > before {
		stack := make([]byte, 1<<16)
		t.Errorf("%d goroutines before, %d after\n%s", before, after, stack[:runtime.Stack(stack, true)])
	}
}
