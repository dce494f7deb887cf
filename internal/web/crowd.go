package web

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// crowd lets no more than max connections be open at once. A newcomer has the place of the one that has waited longest
// without a request of its own: those who connect and say nothing are in nobody's way. Where all are being answered, he
// is turned away.
type crowd struct {
	max int

	mu     sync.Mutex
	guests map[*guest]bool
}

// guest is an open connection.
type guest struct {
	net.Conn
	crowd *crowd
	since time.Time // it waits; by crowd.mu
	busy  bool      // its request is being answered; by crowd.mu
}

// crowded accepts what there is room for.
type crowded struct {
	net.Listener
	crowd *crowd
}

// Accept implements net.Listener.
func (l *crowded) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g := l.crowd.admit(c); g != nil {
			return g, nil
		}
		c.Close()
	}
}

func (c *crowd) admit(conn net.Conn) *guest {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.guests) >= c.max && !c.makeRoom() {
		return nil
	}
	if c.guests == nil {
		c.guests = map[*guest]bool{}
	}
	g := &guest{Conn: conn, crowd: c, since: time.Now()}
	c.guests[g] = true
	return g
}

// makeRoom closes the one that waits longest. By the holder of the lock.
func (c *crowd) makeRoom() bool {
	var oldest *guest
	for g := range c.guests {
		if !g.busy && (oldest == nil || g.since.Before(oldest.since)) {
			oldest = g
		}
	}
	if oldest == nil {
		return false
	}
	delete(c.guests, oldest)
	oldest.Conn.Close()
	return true
}

// Close implements net.Conn.
func (g *guest) Close() error {
	g.crowd.mu.Lock()
	delete(g.crowd.guests, g)
	g.crowd.mu.Unlock()
	return g.Conn.Close()
}

type guestKey struct{}

// withGuest lets a request know its connection, also under TLS.
func withGuest(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return context.WithValue(ctx, guestKey{}, c)
}

// busy marks a request's connection while it is being answered. false: it was just closed to make room.
func busy(ctx context.Context, is bool) bool {
	g, ok := ctx.Value(guestKey{}).(*guest)
	if !ok {
		return true
	}
	g.crowd.mu.Lock()
	defer g.crowd.mu.Unlock()
	g.busy, g.since = is, time.Now()
	return g.crowd.guests[g]
}
