package e2e

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// mood is how the receiver treats a request.
type mood string

const (
	takes      mood = "200"
	busy       mood = "503"
	forbids    mood = "403"
	dropsFirst mood = "drop"       // the connection ends before the request is taken
	dropsAfter mood = "take, drop" // the request is taken, the answer never comes
	hangs      mood = "hang"       // no answer until the client gives up
)

// post is one request as the receiver saw it.
type post struct {
	at   time.Time
	mood mood
	life int // which of the daemon's lives sent it: they are counted by SIGKILLs
	bounce
}

// taken says whether the receiver has kept it: such a post counts in listmonk.
func (p post) taken() bool { return p.mood == takes || p.mood == dropsAfter }

// bounce is the body of a POST to listmonk's /webhooks/bounce.
type bounce struct {
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

// receiver stands in for listmonk: it records every post and answers in the mood it is told to be in.
type receiver struct {
	url  string
	open atomic.Int64 // connections

	mu    sync.Mutex
	mood  func() mood
	life  int
	posts []post
	bad   []string // requests that listmonk would not understand
}

const token = "s3cret-token"

// startReceiver listens on loopback and takes everything.
func startReceiver(t *testing.T) *receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{url: "http://" + l.Addr().String() + "/webhooks/bounce", mood: func() mood { return takes }}
	server := &http.Server{Handler: r, ConnState: func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			r.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			r.open.Add(-1)
		}
	}}
	serve(t, server, l)
	return r
}

// serve serves l until the test ends.
func serve(t *testing.T, server *http.Server, l net.Listener) {
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

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodGet { // nextLife
		return
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	if err != nil {
		return // the daemon was killed while it sent
	}
	p := r.record(req, body)
	switch p.mood {
	case takes:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"data":true}`))
	case busy:
		http.Error(w, `{"message":"busy"}`, http.StatusServiceUnavailable)
	case forbids:
		http.Error(w, `{"message":"permission denied"}`, http.StatusForbidden)
	case hangs:
		<-req.Context().Done()
	default:
		panic(http.ErrAbortHandler) // net/http closes the connection without an answer
	}
}

// record notes a request before it is answered: what the daemon may believe delivered is always in the book.
func (r *receiver) record(req *http.Request, body []byte) post {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := post{at: time.Now(), mood: r.mood(), life: r.life}
	user, password, _ := req.BasicAuth()
	if err := json.Unmarshal(body, &p.bounce); err != nil || req.Method != http.MethodPost || req.URL.Path != "/webhooks/bounce" ||
		user != "bouncefeed" || password != token || p.Meta.ID == "" {
		r.bad = append(r.bad, req.Method+" "+req.URL.String()+" "+string(body))
		p.mood = busy
	}
	r.posts = append(r.posts, p)
	return p
}

// be sets the mood of all requests to come.
func (r *receiver) be(m mood) { r.beAny(m) }

// beAny draws the mood of each request to come from moods.
func (r *receiver) beAny(moods ...mood) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mood = func() mood { return moods[rand.IntN(len(moods))] }
}

// nextLife is told after the daemon was killed and before it is started again. It waits until everything that the old
// one left in our sockets is recorded.
func (r *receiver) nextLife(t *testing.T) {
	t.Helper()
	barrier, err := http.NewRequest(http.MethodGet, r.url, nil) // accepted after every connection of the old daemon
	if err != nil {
		t.Fatal(err)
	}
	barrier.Close = true
	resp, err := http.DefaultClient.Do(barrier)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	waitFor(t, "the dead daemon's connections end", func() bool { return r.open.Load() == 0 })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life++
}

// seen is every post so far.
func (r *receiver) seen() []post {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.posts)
}

// has says whether a bounce of this recipient was taken.
func (r *receiver) has(recipient string) bool {
	return slices.ContainsFunc(r.seen(), func(p post) bool { return p.taken() && p.Email == recipient })
}

// misunderstood lists the requests that were no proper posts.
func (r *receiver) misunderstood() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bad)
}
