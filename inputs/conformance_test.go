package inputs

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

// source is a kind of input with something to read from. A kind joins the suite from an init of its own test file.
type source struct {
	input Input
	add   func(n int) (bodies []string) // puts n new records in the source; what Record.Body will say
}

var conformant = map[string]func(*testing.T) source{}

// TestConformance holds every kind of input to the contract of Input and Sink.
func TestConformance(t *testing.T) {
	for kind, build := range conformant {
		t.Run(kind+"/ends with nil", func(t *testing.T) { endsWithNil(t, build(t)) })
		t.Run(kind+"/ends while Commit blocks", func(t *testing.T) { endsWhileBlocked(t, build(t)) })
		t.Run(kind+"/returns the error of Commit, forgets nothing", func(t *testing.T) { forgetsNothing(t, build(t)) })
		t.Run(kind+"/goes on from the checkpoint", func(t *testing.T) { goesOn(t, build(t)) })
		t.Run(kind+"/leaves no goroutine", func(t *testing.T) { leavesNoGoroutine(t, build(t)) })
	}
}

// store is a Sink that keeps what the queue would; refuse, if set, is asked first.
type store struct {
	mu         sync.Mutex
	bodies     []string
	checkpoint map[string]string
	refuse     func(ctx context.Context, recs []event.Record) error
}

func (s *store) Checkpoint() (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.checkpoint), nil
}

func (s *store) Commit(ctx context.Context, recs []event.Record, checkpoint map[string]string) error {
	if s.refuse != nil {
		if err := s.refuse(ctx, recs); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range recs {
		s.bodies = append(s.bodies, string(r.Body))
	}
	if checkpoint != nil {
		s.checkpoint = maps.Clone(checkpoint)
	}
	return nil
}

func (s *store) CommitRequest(ctx context.Context, rec event.Record) (string, error) {
	return "", s.Commit(ctx, []event.Record{rec}, nil)
}

func (s *store) CountRefused(string) {}

func (s *store) has(bodies []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.bodies) >= len(bodies)
}

// runUntil runs in until ok, ends it, and gives its error.
func runUntil(t *testing.T, in Input, sink Sink, ok func() bool) error {
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

func endsWithNil(t *testing.T, s source) {
	sink := &store{}
	want := s.add(3)
	if err := runUntil(t, s.input, sink, func() bool { return sink.has(want) }); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func endsWhileBlocked(t *testing.T, s source) {
	blocked := make(chan bool, 100)
	sink := &store{refuse: func(ctx context.Context, recs []event.Record) error {
		if len(recs) == 0 {
			return nil
		}
		blocked <- true
		<-ctx.Done()
		return ctx.Err()
	}}
	s.add(3)
	if err := runUntil(t, s.input, sink, func() bool { return len(blocked) > 0 }); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func forgetsNothing(t *testing.T, s source) {
	refused := errors.New("disk full")
	sink := &store{refuse: func(_ context.Context, recs []event.Record) error {
		if len(recs) > 0 {
			return refused
		}
		return nil
	}}
	want := s.add(3)
	for range 2 {
		if err := runUntil(t, s.input, sink, func() bool { return false }); !errors.Is(err, refused) {
			t.Fatalf("Run: %v", err)
		}
	}
	sink.refuse = nil
	if err := runUntil(t, s.input, sink, func() bool { return sink.has(want) }); err != nil || !slices.Equal(sink.bodies, want) {
		t.Errorf("Run: %v, got %q, want %q", err, sink.bodies, want)
	}
}

func goesOn(t *testing.T, s source) {
	sink := &store{}
	var want []string
	for range 3 {
		want = append(want, s.add(3)...)
		if err := runUntil(t, s.input, sink, func() bool { return sink.has(want) }); err != nil {
			t.Fatalf("Run: %v", err)
		}
	}
	if !slices.Equal(sink.bodies, want) {
		t.Errorf("got %q, want %q", sink.bodies, want)
	}
}

func leavesNoGoroutine(t *testing.T, s source) {
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
