package webhook

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/event"
)

// webhookServer answers the requests of one Run.
type webhookServer struct {
	*webhook
	ctx  context.Context // of Run: a sender that goes away does not take its bounce with it
	sink inputs.RequestSink

	refusals, failures rareLog
}

// rareLog keeps a flood of requests from becoming one of log lines.
type rareLog struct {
	mu      sync.Mutex
	next    time.Time
	leftOut int
}

const rareEvery = 10 * time.Second

// now says whether to log, and how often that was left out before.
func (s *rareLog) now() (leftOut int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.next) {
		s.leftOut++
		return 0, false
	}
	leftOut, s.leftOut, s.next = s.leftOut, 0, now.Add(rareEvery)
	return leftOut, true
}

// Counter words of requests that are turned away.
const (
	whyBadLogin    = "bad_login"
	whyTooLarge    = "too_long"
	whyInterrupted = "interrupted" // the body ended before its end, or took too long
)

// ServeHTTP implements http.Handler.
func (s *webhookServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if file, ok := s.files[r.URL.Path]; ok && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		serveFile(w, r, file)
		return
	}
	route := s.routes[r.URL.Path]
	if route == nil {
		answer(w, http.StatusNotFound, "no webhook has this path")
		return
	}
	handshake := r.Method == http.MethodOptions && r.Header.Get(requestOrigin) != ""
	if r.Method != http.MethodPost && !handshake {
		w.Header().Set("Allow", http.MethodPost)
		answer(w, http.StatusMethodNotAllowed, "only POST")
		return
	}
	sender := s.sender(r)
	allowed, err := route.allows(r, sender)
	if err != nil {
		if more, ok := s.failures.now(); ok {
			s.log.Warn("a request can't be checked, its sender is asked to come again", "path", route.Path, "error", err, "unsaid_before", more)
		}
		again(w, "can't check the login at the moment")
		return
	}
	if !allowed {
		s.sink.CountRefused(whyBadLogin)
		if route.Username != "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="bouncefeed"`)
		}
		answer(w, http.StatusUnauthorized, "wrong or missing login")
		return
	}
	if handshake {
		allowOrigin(w, r)
		return
	}
	body, ok := s.read(w, r)
	if !ok {
		return
	}
	defer s.bodies.release(cap(body))
	if c := connOf(r.Context()); c != nil {
		if !c.working(true) {
			return
		}
		defer c.working(false)
	}
	s.store(w, event.Record{Route: route.Path, Time: time.Now(), Request: requestOf(r, sender), Body: body})
}

// requestOrigin is the field of an OPTIONS request by which a sender of CloudEvents, as Azure Event Grid, asks first
// whether they are wanted here (https://github.com/cloudevents/spec/blob/v1.0/http-webhook.md §4).
const requestOrigin = "Webhook-Request-Origin"

// allowOrigin says that they are, in any number.
func allowOrigin(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", http.MethodPost)
	w.Header().Set("Webhook-Allowed-Origin", r.Header.Get(requestOrigin))
	w.Header().Set("Webhook-Allowed-Rate", "*")
	w.WriteHeader(http.StatusOK)
}

// store answers 200 once rec is on disk, and tells by the answer whether to send it again.
func (s *webhookServer) store(w http.ResponseWriter, rec event.Record) {
	ctx, cancel := context.WithTimeout(s.ctx, webhookStoreTime)
	defer cancel()
	reply, err := s.sink.CommitRequest(ctx, rec)
	refused, isRefused := errors.AsType[*event.RefusedError](err)
	wrong, isWrong := errors.AsType[*inputs.MalformedError](err)
	switch {
	case err == nil:
		writeJSON(w, http.StatusOK, cmp.Or(reply, `{"data":true}`))
	case isWrong:
		answer(w, http.StatusBadRequest, wrong.Error())
	case isRefused && refused.Why == event.WhyContentType:
		answer(w, http.StatusUnsupportedMediaType, refused.Detail)
	case isRefused:
		if more, ok := s.refusals.now(); ok {
			s.log.Warn("a request is not believed", "path", rec.Route, "from", nameOf(rec.Request.Remote), "error", err, "unsaid_before", more)
		}
		answer(w, http.StatusUnauthorized, refused.Detail)
	default:
		if more, ok := s.failures.now(); ok {
			s.log.Warn("a request is not stored, its sender is asked to come again", "path", rec.Route, "error", err, "unsaid_before", more)
		}
		again(w, "can't store it at the moment")
	}
}

// read takes in the body, whose memory is bounded over all requests. ok is false when the answer is given already.
func (s *webhookServer) read(w http.ResponseWriter, r *http.Request) (body []byte, ok bool) {
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(webhookReadTime)); err != nil {
		again(w, "no deadline for the body")
		return nil, false
	}
	if r.ContentLength > webhookBodyLimit {
		s.tooLarge(w, r)
		return nil, false
	}
	body, err := s.bodies.readAll(r.Body, int(r.ContentLength))
	switch {
	case err == nil:
		return body, true
	case errors.Is(err, errTooLarge):
		s.tooLarge(w, r)
	case errors.Is(err, errNoMemory):
		again(w, "too many large requests at once")
	default:
		s.sink.CountRefused(whyInterrupted)
		w.Header().Set("Connection", "close")
		answer(w, http.StatusBadRequest, "the body is not complete")
	}
	return nil, false
}

// webhookDrain is how much of a body that is too large is read and thrown away, within webhookReadTime.
const webhookDrain = 16 << 20

// tooLarge says so after the body: a proxy that can't send all of it never looks for an answer, and tells its client of
// a bad gateway instead.
func (s *webhookServer) tooLarge(w http.ResponseWriter, r *http.Request) {
	s.sink.CountRefused(whyTooLarge)
	if r.Header.Get("Expect") == "" {
		io.CopyN(io.Discard, r.Body, webhookDrain)
	}
	w.Header().Set("Connection", "close")
	answer(w, http.StatusRequestEntityTooLarge, "more than 1 MiB")
}

// requestOf is what a parser may know of r, which sender sent, beside its body.
func requestOf(r *http.Request, sender netip.Addr) *event.Request {
	header := make(map[string]string, len(r.Header)+1)
	for name, values := range r.Header {
		header[name] = strings.Join(values, ", ")
	}
	delete(header, "Authorization")
	header["Host"] = r.Host
	return &event.Request{Method: r.Method, Target: r.RequestURI, Remote: sender, Header: header}
}

// nameOf is an address as the log shows it, "" of a unix socket's peer.
func nameOf(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}

func serveFile(w http.ResponseWriter, r *http.Request, file string) {
	f, err := os.Open(file)
	if err != nil {
		answer(w, http.StatusNotFound, "the file can't be read")
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if r.Method == http.MethodGet {
		io.Copy(w, io.LimitReader(f, webhookBodyLimit))
	}
}

// again asks the sender to come again.
func again(w http.ResponseWriter, why string) {
	w.Header().Set("Retry-After", webhookRetryAfter)
	answer(w, http.StatusServiceUnavailable, why)
}

// answer says in listmonk's form why there is no 200.
func answer(w http.ResponseWriter, status int, why string) {
	text, err := json.Marshal(map[string]string{"message": why})
	if err != nil {
		text = []byte("{}")
	}
	writeJSON(w, status, string(text))
}

func writeJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// budget bounds the memory of all bodies that are read and not yet stored. The first webhookBodyFree bytes of each are
// free: connections are limited, and slow senders of large bodies must not shut out small ones.
type budget struct {
	mu   sync.Mutex
	left int
}

const (
	webhookBodyMemory = 16 << 20
	webhookBodyFree   = 8 << 10
)

var (
	errTooLarge = errors.New("body too large")
	errNoMemory = errors.New("no memory for the body")
)

func newBudget(n int) *budget { return &budget{left: n} }

func (b *budget) take(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < n {
		return false
	}
	b.left -= n
	return true
}

// release gives back what readAll took for a body with room for n bytes.
func (b *budget) release(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += charge(n)
}

// charge is what a body of n bytes costs: the power of two that holds it, beyond what is free.
func charge(n int) int {
	size := webhookBodyFree
	for size < n {
		size *= 2
	}
	return size - webhookBodyFree
}

// readAll reads a body whose length is known (or -1) up to the limit, taking memory as it comes.
func (b *budget) readAll(r io.Reader, length int) ([]byte, error) {
	room := webhookBodyFree
	if length >= 0 {
		room = min(room, length+1)
	}
	body := make([]byte, 0, room)
	for {
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case err == io.EOF:
			return body, nil
		case err == nil && len(body) > webhookBodyLimit:
			err = errTooLarge
		case err == nil && len(body) == cap(body):
			size := max(2*cap(body), webhookBodyFree)
			if !b.take(charge(size) - charge(cap(body))) {
				err = errNoMemory
				break
			}
			body = append(make([]byte, 0, size), body...)
		}
		if err != nil {
			b.release(cap(body))
			return nil, err
		}
	}
}
