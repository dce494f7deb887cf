package provider

import (
	"context"
	"crypto/rsa"
	"sync"
	"time"
)

const (
	maxKeys    = 64 // known at once, of one parser
	maxFetches = 4  // under way at once: who sends false requests must not have us fetch without end
)

// publishedKeys are the RSA public keys that a provider publishes, in the DNS or as certificates. Each is fetched when it
// is needed first, and known for a while.
type publishedKeys struct {
	// fetch gives the keys of a name, none if the provider says that there are none, and how long they are to be known.
	fetch func(ctx context.Context, name string) (keys []*rsa.PublicKey, kept time.Duration, err error)
	now   func() time.Time

	mu    sync.Mutex
	known map[string]publishedKey
	slots chan struct{} // fetches under way
}

type publishedKey struct {
	keys             []*rsa.PublicKey
	fetched, expires time.Time
}

func newPublishedKeys(fetch func(context.Context, string) ([]*rsa.PublicKey, time.Duration, error)) *publishedKeys {
	return &publishedKeys{fetch: fetch, now: time.Now, known: map[string]publishedKey{}, slots: make(chan struct{}, maxFetches)}
}

// get gives the keys of a name; again has them fetched though they are known.
func (p *publishedKeys) get(ctx context.Context, name string, again bool) (publishedKey, error) {
	p.mu.Lock()
	key, ok := p.known[name]
	p.mu.Unlock()
	if ok && !again && p.now().Before(key.expires) {
		return key, nil
	}
	err := p.withSlot(ctx, func() error {
		keys, kept, err := p.fetch(ctx, name)
		now := p.now()
		key = publishedKey{keys: keys, fetched: now, expires: now.Add(kept)}
		return err
	})
	if err != nil {
		return publishedKey{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= maxKeys {
		clear(p.known)
	}
	p.known[name] = key
	return key, nil
}

// withSlot does what asks the network, as one of few at a time.
func (p *publishedKeys) withSlot(ctx context.Context, do func() error) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
		return do()
	case <-ctx.Done():
		return ctx.Err()
	}
}
