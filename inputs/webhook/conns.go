package webhook

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// guard lets no more than max connections be open at once, and no more than perPeer of one address. When there is no
// room it does not turn the newcomer away: it closes the connection that has waited longest for its request to be
// complete, of the address that holds most of them. Thus thousands of clients that never finish a request displace
// each other, and one that comes, posts and goes is not in their way. A connection whose request is complete is never
// closed: its answer is under way.
type guard struct {
	max, perPeer int
	exempt       func(netip.Addr) bool // many may come from this address: a proxy
	gone         sync.WaitGroup        // goroutines of connections

	mu    sync.Mutex
	conns map[*guardConn]bool
	peers map[netip.Addr]int // open connections
}

func newGuard(max, perPeer int, exempt func(netip.Addr) bool) *guard {
	return &guard{max: max, perPeer: perPeer, exempt: exempt, conns: map[*guardConn]bool{}, peers: map[netip.Addr]int{}}
}

// guardConn is a connection under guard.
type guardConn struct {
	net.Conn
	guard *guard
	peer  netip.Addr
	since time.Time // it waits for a complete request; by guard.mu
	busy  bool      // its request is complete and the answer is not; by guard.mu
}

type guardListener struct {
	net.Listener
	guard *guard
}

// Accept gives the next connection for which there is room.
func (l *guardListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g := l.guard.admit(c); g != nil {
			return g, nil
		}
		abort(c)
	}
}

// admit makes room for c; nil if all others are busy.
func (g *guard) admit(c net.Conn) *guardConn {
	peer := peerOf(c.RemoteAddr().String())
	conn := &guardConn{Conn: c, guard: g, peer: customer(peer), since: time.Now()}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.peers[conn.peer] >= g.perPeer && !g.exempt(peer):
		if !g.evict(func(c *guardConn) bool { return c.peer == conn.peer }) {
			return nil
		}
	case len(g.conns) >= g.max:
		if !g.evict(func(*guardConn) bool { return true }) {
			return nil
		}
	}
	g.conns[conn] = true
	g.peers[conn.peer]++
	return conn
}

// customer is the address whose connections count together: a customer gets a whole IPv6 /64.
func customer(addr netip.Addr) netip.Addr {
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}

// makeRoom closes the connection that waits longest.
func (g *guard) makeRoom() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.evict(func(*guardConn) bool { return true })
}

const evictSample = 1024

// evict closes, among those it may, the connection that waits longest of the address with most connections. By the
// holder of the lock.
func (g *guard) evict(may func(*guardConn) bool) bool {
	var worst *guardConn
	seen := 0
	for c := range g.conns { // in no order: of very many, some will do
		if seen++; seen > evictSample && worst != nil {
			break
		}
		if c.busy || !may(c) {
			continue
		}
		if worst == nil || g.peers[c.peer] > g.peers[worst.peer] || g.peers[c.peer] == g.peers[worst.peer] && c.since.Before(worst.since) {
			worst = c
		}
	}
	if worst == nil {
		return false
	}
	g.forget(worst)
	abort(worst.Conn)
	return true
}

func (g *guard) forget(c *guardConn) {
	if !g.conns[c] {
		return
	}
	delete(g.conns, c)
	if g.peers[c.peer]--; g.peers[c.peer] == 0 {
		delete(g.peers, c.peer)
	}
}

// release gives c out of the guard's hands; false: it was closed before.
func (g *guard) release(c *guardConn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	held := g.conns[c]
	g.forget(c)
	return held
}

// closeIfOld closes c if it waits since before the given time, and says whether it is closed.
func (c *guardConn) closeIfOld(before time.Time) bool {
	g := c.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conns[c] && c.since.Before(before) {
		g.forget(c)
		abort(c.Conn)
	}
	return !g.conns[c]
}

// abort closes without the courtesies that keep a port and memory occupied.
func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

// Close implements net.Conn.
func (c *guardConn) Close() error {
	c.guard.mu.Lock()
	c.guard.forget(c)
	c.guard.mu.Unlock()
	return c.Conn.Close()
}

// working marks c while its request, which is complete, is being answered. false: c was just closed to make room.
func (c *guardConn) working(busy bool) bool {
	c.guard.mu.Lock()
	defer c.guard.mu.Unlock()
	c.busy, c.since = busy, time.Now()
	return c.guard.conns[c]
}

// closeWaiting closes all connections that have no complete request.
func (g *guard) closeWaiting() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		if !c.busy {
			g.forget(c)
			c.Conn.Close()
		}
	}
}

// state is the server's ConnState: it follows the goroutines.
func (g *guard) state(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		g.gone.Add(1)
	case http.StateClosed, http.StateHijacked:
		g.gone.Done()
	}
}

type connKey struct{}

// guarded finds the guard's connection under TLS.
func guarded(c net.Conn) *guardConn {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	g, _ := c.(*guardConn)
	return g
}

func connOf(ctx context.Context) *guardConn {
	c, _ := ctx.Value(connKey{}).(*guardConn)
	return c
}
