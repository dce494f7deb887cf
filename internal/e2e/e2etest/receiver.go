// Package e2etest is what the end-to-end tests share, in a jail or in a booted Debian: the receiver that stands in for
// listmonk, and how to wait and to skip.
package e2etest

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Mood is how the receiver treats a request.
type Mood string

const (
	Takes      Mood = "200"
	Busy       Mood = "503"
	Forbids    Mood = "403"
	DropsFirst Mood = "drop"       // the connection ends before the request is taken
	DropsAfter Mood = "take, drop" // the request is taken, the answer never comes
	Lingers    Mood = "linger"     // the request is taken, the answer takes its time
	Hangs      Mood = "hang"       // no answer until the client gives up
)

// Post is one request as the receiver saw it.
type Post struct {
	At   time.Time
	Mood Mood
	Life int // which of the daemon's lives sent it: they are counted by SIGKILLs
	Body string
	Bounce
}

// Taken says whether the receiver has kept it: such a post counts in listmonk.
func (p Post) Taken() bool { return p.Mood == Takes || p.Mood == Lingers || p.Mood == DropsAfter }

// Bounce is the body of a POST to listmonk's /webhooks/bounce.
type Bounce struct {
	Email          string    `json:"email"`
	SubscriberUUID string    `json:"subscriber_uuid"`
	CampaignUUID   string    `json:"campaign_uuid"`
	Source         string    `json:"source"`
	Type           string    `json:"type"`
	CreatedAt      time.Time `json:"created_at"`
	Meta           struct {
		ID         string `json:"id"`
		Reason     string `json:"reason"`
		Fault      string `json:"fault"`
		MessageID  string `json:"message_id"`
		QueueID    string `json:"queue_id"`
		Diagnostic string `json:"diagnostic"`
	} `json:"meta"`
}

// Receiver stands in for listmonk: it records every post and answers in the mood it is told to be in.
type Receiver struct {
	URL  string
	open atomic.Int64 // connections

	mu    sync.Mutex
	mood  func() Mood
	life  int
	posts []Post
	bad   []string // requests that listmonk would not understand
}

// What opens it, where it takes posts, and how long it lingers: less than a daemon waits that is told to stop.
const (
	User      = "bouncefeed"
	Token     = "s3cret-token"
	path      = "/webhooks/bounce"
	lingering = 2 * time.Second
)

// NewReceiver is a receiver that takes everything.
func NewReceiver() *Receiver { return &Receiver{mood: func() Mood { return Takes }} }

// Listen serves l, a TCP port of this machine, until the test ends. A receiver may do so again, on another port or the same.
func (r *Receiver) Listen(t *testing.T, l net.Listener) {
	t.Helper()
	r.URL = "http://" + l.Addr().String() + path
	Serve(t, &http.Server{Handler: r, ConnState: func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			r.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			r.open.Add(-1)
		}
	}}, l)
}

// Serve serves l until the test ends.
func Serve(t *testing.T, server *http.Server, l net.Listener) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // until Close
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
}

func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodGet { // NextLife
		return
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	if err != nil {
		return // the daemon was killed while it sent
	}
	user, password, _ := req.BasicAuth()
	switch {
	case user != User || password != Token:
		http.Error(w, `{"message":"invalid API credentials"}`, http.StatusForbidden)
	case string(body) == "{}": // how `check --online` knocks
		http.Error(w, `{"message":"Invalid fields: email / subscriber_uuid"}`, http.StatusBadRequest)
	case strings.Contains(string(body), "00000000-0000-0000-0000-000000000000"): // and how it asks whether bounces are processed
		_, _ = w.Write([]byte(`{"data":true}`))
	default:
		answer(w, req, r.record(req, body))
	}
}

// answer is in the mood that the post was met in.
func answer(w http.ResponseWriter, req *http.Request, p Post) {
	switch p.Mood {
	case Takes, Lingers:
		if p.Mood == Lingers {
			time.Sleep(lingering)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"data":true}`))
	case Busy:
		http.Error(w, `{"message":"busy"}`, http.StatusServiceUnavailable)
	case Forbids:
		http.Error(w, `{"message":"permission denied"}`, http.StatusForbidden)
	case Hangs:
		<-req.Context().Done()
	default:
		panic(http.ErrAbortHandler) // net/http closes the connection without an answer
	}
}

// record notes a request before it is answered: what the daemon may believe delivered is always in the book.
func (r *Receiver) record(req *http.Request, body []byte) Post {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := Post{At: time.Now(), Mood: r.mood(), Life: r.life, Body: string(body)}
	if err := json.Unmarshal(body, &p.Bounce); err != nil || req.Method != http.MethodPost || req.URL.Path != path || p.Meta.ID == "" {
		r.bad = append(r.bad, req.Method+" "+req.URL.String()+" "+string(body))
		p.Mood = Busy
	}
	r.posts = append(r.posts, p)
	return p
}

// Be sets the mood of all requests to come.
func (r *Receiver) Be(m Mood) { r.BeAny(m) }

// BeAny draws the mood of each request to come from moods.
func (r *Receiver) BeAny(moods ...Mood) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mood = func() Mood { return moods[rand.IntN(len(moods))] }
}

// NextLife is told after the daemon was killed and before it is started again. It waits until everything that the old
// one left in our sockets is recorded.
func (r *Receiver) NextLife(t *testing.T) {
	t.Helper()
	barrier, err := http.NewRequest(http.MethodGet, r.URL, nil) // accepted after every connection of the old daemon
	if err != nil {
		t.Fatal(err)
	}
	barrier.Close = true
	resp, err := http.DefaultClient.Do(barrier)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	WaitFor(t, 20*time.Millisecond, "the dead daemon's connections end", func() bool { return r.open.Load() == 0 })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life++
}

// Seen is every post so far.
func (r *Receiver) Seen() []Post {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.posts)
}

// ForgetRepeats forgets posts that are the same word for word, their ids too: after a kill between a post and its note on
// disk it is posted again. It says how many.
func (r *Receiver) ForgetRepeats() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, before := map[string]bool{}, len(r.posts)
	r.posts = slices.DeleteFunc(r.posts, func(p Post) bool {
		again := known[p.Body]
		known[p.Body] = true
		return again
	})
	return before - len(r.posts)
}

// Has says whether a bounce of this recipient was taken.
func (r *Receiver) Has(recipient string) bool {
	return slices.ContainsFunc(r.Seen(), func(p Post) bool { return p.Taken() && p.Email == recipient })
}

// Misunderstood lists the requests that were no proper posts.
func (r *Receiver) Misunderstood() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bad)
}
