package e2etest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// queuedBounce is a post as it waits for the consumer.
type queuedBounce struct {
	Email          string          `json:"email"`
	SubscriberUUID string          `json:"subscriber_uuid"`
	CampaignUUID   string          `json:"campaign_uuid"`
	Type           string          `json:"type"`
	Source         string          `json:"source"`
	Meta           json.RawMessage `json:"meta"`
	CreatedAt      time.Time       `json:"created_at"`
	badText        bool            // jsonb or text can not hold it
}

func (m *Listmonk) handler(p *listmonkProcess) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) { m.takeBounce(p, w, r) })
	mux.HandleFunc("GET /api/bounces", m.allowed("bounces:get", m.listBounces))
	mux.HandleFunc("GET /api/profile", m.allowed("", func(w http.ResponseWriter, r *http.Request) {
		name, u, _ := m.user(r)
		answerJSON(w, map[string]any{"username": name, "user_role": map[string]any{"permissions": u.Permissions}})
	}))
	mux.HandleFunc("GET /api/about", m.allowed("", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, map[string]any{"version": m.Version, "build": "(double)"})
	}))
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, true) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.set(func() { m.requests[r.Method+" "+r.URL.Path]++ })
		if _, pattern := mux.Handler(r); pattern == "" {
			answerPage(w)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// takeBounce is POST /webhooks/bounce: it answers once the bounce is queued, which waits while the queue is full.
func (m *Listmonk) takeBounce(p *listmonkProcess, w http.ResponseWriter, r *http.Request) {
	var settings listmonkSettings
	m.set(func() { settings = m.settings })
	if !settings.webhooks {
		answerPage(w) // the route is not there: nothing asks for a login
		return
	}
	m.allowed("webhooks:post_bounce", func(w http.ResponseWriter, r *http.Request) {
		if !settings.processing && !m.older("v6.2") {
			answerError(w, http.StatusServiceUnavailable, "Bounce processing is not enabled.")
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		b, wrong := readBounce(body)
		if wrong != "" {
			answerError(w, http.StatusBadRequest, wrong)
			return
		}
		if !settings.processing { // there is no queue: a nil pointer, caught
			panic(http.ErrAbortHandler)
		}
		select {
		case p.queue <- b:
			answerJSON(w, true)
		case <-p.ended.Done():
			panic(http.ErrAbortHandler)
		}
	})(w, r)
}

// readBounce says what listmonk would of a body that it does not take.
func readBounce(body []byte) (b queuedBounce, wrong string) {
	if err := json.Unmarshal(body, &b); err != nil || !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		return b, "Invalid data: invalid JSON"
	}
	b.badText = !utf8.Valid(body) || bytes.Contains(body, []byte(`\u0000`)) || loneSurrogate.Match(body)
	b.Email = strings.ToLower(strings.TrimSpace(b.Email))
	switch {
	case b.Email == "" && b.SubscriberUUID == "":
		return b, "Invalid fields: email / subscriber_uuid"
	case b.SubscriberUUID != "" && !uuidPattern.MatchString(b.SubscriberUUID):
		return b, "Invalid fields: subscriber_uuid"
	case b.Email != "" && !bareAddress(b.Email):
		return b, "Invalid email."
	case listmonkCounts[b.Type] == 0:
		return b, "Invalid fields: type"
	}
	if b.CreatedAt.IsZero() {
		b.CreatedAt = time.Now()
	}
	if b.Meta == nil {
		b.Meta = json.RawMessage("{}")
	}
	return b, ""
}

// loneSurrogate is an escape that JSON allows and jsonb does not; none of ours is a pair.
var loneSurrogate = regexp.MustCompile(`(?i)\\ud[89a-f][0-9a-f]{2}`)

func bareAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s
}

// listBounces is GET /api/bounces: by source, in an order that says nothing of ties, by pages.
func (m *Listmonk) listBounces(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var rows []ListmonkRow
	away := false
	m.set(func() {
		away = m.away
		for _, row := range m.rows {
			if source := q.Get("source"); source == "" || row.Source == source {
				rows = append(rows, row)
			}
		}
	})
	if away {
		answerError(w, http.StatusInternalServerError, "Error fetching bounces: connection refused")
		return
	}
	slices.SortFunc(rows, func(a, b ListmonkRow) int {
		n := 0
		switch q.Get("order_by") {
		case "email":
			n = cmp.Compare(a.Email, b.Email)
		case "source":
			n = cmp.Compare(a.Source, b.Source)
		case "type":
			n = cmp.Compare(a.Type, b.Type)
		default:
			n = a.CreatedAt.Compare(b.CreatedAt)
		}
		if q.Get("order") != "asc" {
			n = -n
		}
		return cmp.Or(n, cmp.Compare(a.ID*7919%1009, b.ID*7919%1009)) // any order, as PostgreSQL's
	})
	page, size := max(1, number(q.Get("page"))), number(q.Get("per_page"))
	if size <= 0 {
		size = 20
	}
	from := min((page-1)*size, len(rows))
	shown := rows[from:min(from+size, len(rows))]
	total := len(rows)
	if len(shown) == 0 {
		shown, total = []ListmonkRow{}, 0 // the total stands in the rows
	}
	answerJSON(w, map[string]any{"results": shown, "query": "", "total": total, "per_page": size, "page": page})
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// allowed lets in who may: a session cookie makes the header ignored, every failure is a 403 (of listmonk 3 a wrong
// login is a 401).
func (m *Listmonk) allowed(permission string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, u, known := m.user(r)
		switch {
		case !known && m.older("v4"):
			answerError(w, http.StatusUnauthorized, "Invalid username or password.")
		case !known:
			answerError(w, http.StatusForbidden, "invalid API credentials")
		case permission != "" && !slices.Contains(u.Permissions, permission):
			answerError(w, http.StatusForbidden, "Permission denied: "+permission)
		default:
			next(w, r)
		}
	}
}

// user is whose token the request carries.
func (m *Listmonk) user(r *http.Request) (name string, u ListmonkUser, known bool) {
	if _, err := r.Cookie("session"); err == nil {
		return "", u, false
	}
	login := r.Header.Get("Authorization")
	token, isToken := strings.CutPrefix(login, "token ")
	name, token, _ = strings.Cut(token, ":")
	if !isToken {
		if !strings.HasPrefix(login, "Basic ") { // case matters
			return "", u, false
		}
		name, token, _ = r.BasicAuth()
	}
	m.set(func() { u, known = m.users[name] })
	return name, u, known && !u.Disabled && u.Token == token
}

func answerJSON(w http.ResponseWriter, data any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

func answerError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"message": message})
}

// answerPage is listmonk's 404.
func answerPage(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprint(w, "<!doctype html>\n<html><title>404 Page not found</title></html>")
}
