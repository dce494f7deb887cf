package e2etest

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Listmonk behaves as listmonk 6.2 was measured to, as far as bounces go: a post is answered when it stands in a queue in
// memory, one consumer stores it with one statement, and whatever ends the process takes the queue with it. Its database
// outlives the process. What it does not model: how fast PostgreSQL is (Insert is), and everything else of listmonk.
type Listmonk struct {
	URL string // of its bounce webhook; right after Start

	// Version is what /api/about says; "v6.1.0" and older behave as these do where they differ.
	Version string

	mu        sync.Mutex
	addr      string
	process   *listmonkProcess // nil: not running
	settings  listmonkSettings
	users     map[string]ListmonkUser
	byUUID    map[string]*subscriber
	byEmail   map[string]*subscriber
	campaigns map[string]bool
	rows      []ListmonkRow
	nextRow   int
	away      bool          // the database
	locked    chan struct{} // closed when writers may go on; nil: they may
	insert    time.Duration
	requests  map[string]int
	lost      int // posts that were answered 200 and left nothing, for want of the database or a process
}

type listmonkSettings struct{ processing, webhooks bool }

// ListmonkUser is an API user.
type ListmonkUser struct {
	Token       string
	Permissions []string
	Disabled    bool
}

// ListmonkRow is a stored bounce as GET /api/bounces shows it.
type ListmonkRow struct {
	ID             int             `json:"id"`
	Type           string          `json:"type"`
	Source         string          `json:"source"`
	Meta           json.RawMessage `json:"meta"`
	CreatedAt      time.Time       `json:"created_at"`
	Email          string          `json:"email"`
	SubscriberUUID string          `json:"subscriber_uuid"`
	Campaign       string          `json:"-"`
}

type subscriber struct {
	uuid, email string
	blocklisted bool
	bounces     map[string]int // by type
}

// What listmonk's settings say of bounces by default: up to how many of a type it keeps, and whether it then blocklists.
var (
	listmonkCounts     = map[string]int{"hard": 1, "complaint": 1, "soft": 2}
	listmonkBlocklists = map[string]bool{"hard": true, "complaint": true}
)

const listmonkQueue = 1000

// The permissions of a user who posts, and of one who may read, too.
var (
	MayPost = []string{"webhooks:post_bounce"}
	MayRead = []string{"webhooks:post_bounce", "bounces:get"}
)

// NewListmonk is a listmonk with one user, User, who has the permissions named. It is not running yet.
func NewListmonk(permissions ...string) *Listmonk {
	return &Listmonk{
		Version:  "v6.2.0",
		settings: listmonkSettings{processing: true, webhooks: true},
		users:    map[string]ListmonkUser{User: {Token: Token, Permissions: permissions}},
		requests: map[string]int{}, campaigns: map[string]bool{},
		byUUID: map[string]*subscriber{}, byEmail: map[string]*subscriber{},
	}
}

// listmonkProcess is one life: everything in it is gone with it.
type listmonkProcess struct {
	server *http.Server
	ended  context.Context
	kill   context.CancelFunc
	queue  chan queuedBounce
	done   sync.WaitGroup
}

// Start starts it at l, or where it was before if l is nil, until the test ends.
func (m *Listmonk) Start(t testing.TB, l net.Listener) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", m.addr); err != nil {
			t.Fatal(err)
		}
	} else {
		t.Cleanup(m.Kill)
	}
	m.addr = l.Addr().String()
	m.URL = "http://" + m.addr + path
	p := &listmonkProcess{queue: make(chan queuedBounce, listmonkQueue)}
	p.ended, p.kill = context.WithCancel(context.Background())
	p.server = &http.Server{Handler: m.handler(p)}
	p.done.Go(func() { _ = p.server.Serve(l) }) // until Kill
	p.done.Go(func() { m.consume(p) })
	m.process = p
}

// Kill ends it, by SIGKILL or SIGTERM: what it has queued is lost either way.
func (m *Listmonk) Kill() {
	m.mu.Lock()
	p := m.process
	m.process = nil
	m.mu.Unlock()
	if p == nil {
		return
	}
	p.kill()
	p.server.Close()
	p.done.Wait()
	m.mu.Lock()
	m.lost += len(p.queue)
	m.mu.Unlock()
}

// SaveSettings is what an admin does: it restarts.
func (m *Listmonk) SaveSettings(t testing.TB, processing, webhooks bool) {
	t.Helper()
	m.Kill()
	m.mu.Lock()
	m.settings = listmonkSettings{processing, webhooks}
	m.mu.Unlock()
	m.Start(t, nil)
}

// Database is there or away. While it is away posts are taken as ever.
func (m *Listmonk) Database(there bool) { m.set(func() { m.away = !there }) }

// Insert is how long it takes to store one bounce.
func (m *Listmonk) Insert(d time.Duration) { m.set(func() { m.insert = d }) }

// Lock keeps writers from the table of bounces until unlock is called; readers go on.
func (m *Listmonk) Lock() (unlock func()) {
	locked := make(chan struct{})
	m.set(func() { m.locked = locked })
	return func() { m.set(func() { close(locked); m.locked = nil }) }
}

// SetUser changes or adds an API user.
func (m *Listmonk) SetUser(name string, u ListmonkUser) { m.set(func() { m.users[name] = u }) }

// Subscribe adds a subscriber.
func (m *Listmonk) Subscribe(uuid, email string) {
	m.set(func() {
		s := &subscriber{uuid: uuid, email: email, bounces: map[string]int{}}
		m.byUUID[uuid], m.byEmail[email] = s, s
	})
}

// Unsubscribe deletes a subscriber with the bounces that are stored of him.
func (m *Listmonk) Unsubscribe(email string) {
	m.set(func() {
		if s := m.byEmail[email]; s != nil {
			delete(m.byUUID, s.uuid)
			delete(m.byEmail, email)
		}
		m.rows = slices.DeleteFunc(m.rows, func(r ListmonkRow) bool { return r.Email == email })
	})
}

// Blocklist blocklists a subscriber, as an admin may.
func (m *Listmonk) Blocklist(email string) {
	m.set(func() {
		if s := m.find("", email); s != nil {
			s.blocklisted = true
		}
	})
}

// Blocklisted says whether a subscriber is.
func (m *Listmonk) Blocklisted(email string) (is bool) {
	m.set(func() { s := m.find("", email); is = s != nil && s.blocklisted })
	return is
}

// AddCampaign makes a campaign known by its UUID.
func (m *Listmonk) AddCampaign(uuid string) { m.set(func() { m.campaigns[uuid] = true }) }

// Rows is what it has stored, oldest first.
func (m *Listmonk) Rows() (rows []ListmonkRow) {
	m.set(func() { rows = slices.Clone(m.rows) })
	return rows
}

// Stored counts the rows by the event id in their meta.
func (m *Listmonk) Stored() map[string]int {
	ids := map[string]int{}
	for _, r := range m.Rows() {
		var meta struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(r.Meta, &meta) == nil {
			ids[meta.ID]++
		}
	}
	return ids
}

// Requests counts what was asked, by "POST /webhooks/bounce", "GET /api/bounces" and so on.
func (m *Listmonk) Requests() (n map[string]int) {
	m.set(func() { n = maps.Clone(m.requests) })
	return n
}

// Lost counts the posts that it acknowledged and then lost.
func (m *Listmonk) Lost() (n int) {
	m.set(func() { n = m.lost })
	return n
}

// Queued is how many posts wait to be stored.
func (m *Listmonk) Queued() (n int) {
	m.set(func() {
		if m.process != nil {
			n = len(m.process.queue)
		}
	})
	return n
}

func (m *Listmonk) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// find is the statement's own lookup: the UUID alone if there is one. Locked by the caller.
func (m *Listmonk) find(uuid, email string) *subscriber {
	if uuid != "" {
		return m.byUUID[uuid]
	}
	return m.byEmail[email]
}

// consume stores what is queued, one after the other, until the process ends.
func (m *Listmonk) consume(p *listmonkProcess) {
	for {
		select {
		case <-p.ended.Done():
			return
		case b := <-p.queue:
			if !m.store(p, b) {
				m.set(func() { m.lost++ })
			}
		}
	}
}

// store is the one statement. false: it failed, or the process ended in it.
func (m *Listmonk) store(p *listmonkProcess, b queuedBounce) bool {
	var insert time.Duration
	var locked chan struct{}
	m.set(func() { insert, locked = m.insert, m.locked })
	if locked != nil {
		select {
		case <-p.ended.Done():
			return false
		case <-locked:
		}
	}
	if insert > 0 {
		select {
		case <-p.ended.Done():
			return false
		case <-time.After(insert):
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away || b.unstorable() {
		return !m.away
	}
	s := m.find(b.SubscriberUUID, b.Email)
	if s == nil {
		return true
	}
	n := s.bounces[b.Type] + 1
	if s.blocklisted || n > listmonkCounts[b.Type] {
		return true
	}
	campaign := ""
	if m.campaigns[b.CampaignUUID] {
		campaign = b.CampaignUUID
	}
	s.bounces[b.Type] = n
	s.blocklisted = listmonkBlocklists[b.Type] && n >= listmonkCounts[b.Type]
	m.nextRow++
	m.rows = append(m.rows, ListmonkRow{m.nextRow, b.Type, b.Source, b.Meta, b.CreatedAt.UTC().Round(time.Microsecond), s.email, s.uuid, campaign})
	return true
}

// unstorable is what PostgreSQL refuses to cast, long after the 200.
func (b *queuedBounce) unstorable() bool {
	return b.badText || b.CampaignUUID != "" && !uuidPattern.MatchString(b.CampaignUUID)
}

// older says whether it behaves as a version before the given one, like "v6.2".
func (m *Listmonk) older(version string) bool { return strings.Compare(m.Version, version) < 0 }
