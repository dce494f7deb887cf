package provider

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestPublishedKeysAreBounded(t *testing.T) {
	t.Parallel()
	fetches := 0
	p := newPublishedKeys(func(context.Context, string) ([]*rsa.PublicKey, time.Duration, error) {
		fetches++
		return nil, time.Hour, nil
	})
	for i := range 3 * maxKeys {
		for range 2 {
			if _, err := p.get(t.Context(), fmt.Sprint(i), false); err != nil {
				t.Fatal(err)
			}
		}
		if len(p.known) > maxKeys || len(p.known) == 0 {
			t.Fatalf("%d keys known", len(p.known))
		}
	}
	if fetches != 3*maxKeys {
		t.Errorf("%d fetches", fetches)
	}
}

// What could not be fetched is fetched again, and does not take the place of what is known.
func TestPublishedKeysKeepNoErrors(t *testing.T) {
	t.Parallel()
	trouble := errors.New("no answer")
	p := newPublishedKeys(func(context.Context, string) ([]*rsa.PublicKey, time.Duration, error) { return nil, time.Hour, trouble })
	if _, err := p.get(t.Context(), "a", false); err == nil || len(p.known) > 0 {
		t.Errorf("%v, known %v", err, p.known)
	}
	trouble = nil
	if _, err := p.get(t.Context(), "a", false); err != nil {
		t.Error(err)
	}
	trouble = errors.New("no answer")
	if _, err := p.get(t.Context(), "a", true); err == nil {
		t.Error("fetched again without an answer")
	}
	if _, err := p.get(t.Context(), "a", false); err != nil {
		t.Errorf("forgotten: %v", err)
	}
}

func TestPublishedKeysAreFetchedFewAtATime(t *testing.T) {
	t.Parallel()
	started, goOn := make(chan string), make(chan struct{})
	p := newPublishedKeys(func(_ context.Context, name string) ([]*rsa.PublicKey, time.Duration, error) {
		started <- name
		<-goOn
		return nil, time.Hour, nil
	})
	ended := make(chan error)
	for i := range maxFetches {
		go func() {
			_, err := p.get(t.Context(), fmt.Sprint(i), false)
			ended <- err
		}()
		<-started
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.get(ctx, "one more", false); !errors.Is(err, context.Canceled) {
		t.Errorf("one more: %v", err)
	}
	close(goOn)
	for range maxFetches {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
