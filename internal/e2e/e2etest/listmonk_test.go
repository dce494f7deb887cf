package e2etest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	joUUID   = "6fdb50a4-e71d-4df2-9ad4-0f2bb8f4b3c4"
	alUUID   = "5d1c9f5e-90a1-4f5f-8f62-2f9a76c1d001"
	nobodys  = "5d1c9f5e-90a1-4f5f-8f62-2f9a76c1dfff"
	campaign = "0b7c2a52-8c4e-4b6c-9d55-6f6a5b1c0001"
)

func startListmonk(t *testing.T, permissions ...string) *Listmonk {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := NewListmonk(permissions...)
	m.Start(t, l)
	m.Subscribe(joUUID, "jo@example.org")
	m.Subscribe(alUUID, "al@example.org")
	m.AddCampaign(campaign)
	return m
}

// ask makes a request and gives the status and the body; 0: the connection ended without an answer.
func (m *Listmonk) ask(t *testing.T, method, path, login, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, strings.TrimSuffix(m.URL, "/webhooks/bounce")+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true // it restarts in between
	if r.Header.Set("Authorization", login); login == "" {
		r.SetBasicAuth(User, Token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (m *Listmonk) post(t *testing.T, body string) (int, string) {
	t.Helper()
	return m.ask(t, "POST", path, "", body)
}

// drain waits until the consumer has done with all that was posted.
func (m *Listmonk) drain(t *testing.T) {
	t.Helper()
	m.post(t, `{"email":"barrier@example.org","type":"soft"}`)
	WaitFor(t, time.Millisecond, "the queue is empty", func() bool { return m.Queued() == 0 })
	m.post(t, `{"email":"barrier@example.org","type":"soft"}`) // and the one that was in hand is done, too
	WaitFor(t, time.Millisecond, "the queue is empty", func() bool { return m.Queued() == 0 })
}

// What it answers to a post, and what it makes of it: the page's table, line by line.
func TestListmonkRequests(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		status     int
		words      string // in the answer
		rows       int    // what is stored of it
	}{
		{"an object", `{"email":"jo@example.org","type":"soft"}`, 200, `{"data":true}`, 1},
		{"nobody", `{}`, 400, "email / subscriber_uuid", 0},
		{"an array", `[{"email":"jo@example.org","type":"soft"}]`, 400, "", 0},
		{"lines", `{"email":"jo@example.org","type":"soft"}` + "\n" + `{}`, 400, "", 0},
		{"a form", `email=jo@example.org&type=soft`, 400, "", 0},
		{"a BOM", "\ufeff" + `{"email":"jo@example.org","type":"soft"}`, 400, "", 0},
		{"nothing", ``, 400, "", 0},
		{"case and space", `{"email":" JO@Example.ORG ","type":"soft"}`, 200, "", 1},
		{"a display name", `{"email":"Jo <jo@example.org>","type":"soft"}`, 400, "", 0},
		{"a trailing dot", `{"email":"jo@example.org.","type":"soft"}`, 400, "", 0},
		{"the UUID wins", `{"email":"al@example.org","subscriber_uuid":"` + joUUID + `","type":"soft"}`, 200, "", 1},
		{"a bad address beside it", `{"email":"al","subscriber_uuid":"` + joUUID + `","type":"soft"}`, 400, "", 0},
		{"a known address beside an unknown UUID", `{"email":"al@example.org","subscriber_uuid":"` + nobodys + `","type":"soft"}`, 200, "", 0},
		{"an unknown subscriber", `{"email":"who@example.org","type":"soft"}`, 200, "", 0},
		{"no type", `{"email":"jo@example.org"}`, 400, "type", 0},
		{"another type", `{"email":"jo@example.org","type":"Hard"}`, 400, "type", 0},
		{"a campaign", `{"email":"jo@example.org","type":"soft","campaign_uuid":"` + campaign + `"}`, 200, "", 1},
		{"an unknown campaign", `{"email":"jo@example.org","type":"soft","campaign_uuid":"` + nobodys + `"}`, 200, "", 1},
		{"a malformed campaign", `{"email":"jo@example.org","type":"soft","campaign_uuid":"x"}`, 200, "", 0},
		{"U+0000 in meta", `{"email":"jo@example.org","type":"soft","meta":{"a":"\u0000"}}`, 200, "", 0},
		{"a lone surrogate in source", `{"email":"jo@example.org","type":"soft","source":"\ud800"}`, 200, "", 0},
		{"invalid UTF-8", "{\"email\":\"jo@example.org\",\"type\":\"soft\",\"meta\":{\"a\":\"\xff\"}}", 200, "", 0},
		{"a time", `{"email":"jo@example.org","type":"soft","created_at":"2026-11-22T12:31:02.126+05:30"}`, 200, "", 1},
		{"a time without zone", `{"email":"jo@example.org","type":"soft","created_at":"2026-11-22T12:31:02"}`, 400, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := startListmonk(t, MayPost...)
			status, words := m.post(t, c.body)
			if status != c.status || !strings.Contains(words, c.words) {
				t.Errorf("%d %s", status, words)
			}
			if m.drain(t); len(m.Rows()) != c.rows {
				t.Errorf("stored %+v", m.Rows())
			}
		})
	}
}

func TestListmonkLogins(t *testing.T) {
	t.Parallel()
	m := startListmonk(t, MayPost...)
	for login, want := range map[string]int{
		"token " + User + ":" + Token: 200, "Token " + User + ":" + Token: 403, "Bearer " + Token: 403, "token " + User + ":x": 403,
	} {
		if status, words := m.ask(t, "POST", path, login, `{"email":"who@example.org","type":"soft"}`); status != want {
			t.Errorf("%s: %d %s", login, status, words)
		}
	}
	check := func(what string, want int) {
		t.Helper()
		if status, words := m.post(t, `{}`); status != want {
			t.Errorf("%s: %d %s", what, status, words)
		}
	}
	m.SetUser(User, ListmonkUser{Token: Token})
	check("without permission", 403)
	m.SetUser(User, ListmonkUser{Token: Token, Permissions: MayPost, Disabled: true})
	check("disabled", 403)
	m.set(func() { m.Version = "v3.0.0" })
	check("listmonk 3", 401)
}

// The states of an installation, and how each version shows them.
func TestListmonkStates(t *testing.T) {
	t.Parallel()
	m := startListmonk(t, MayRead...)
	nobody := `{"subscriber_uuid":"00000000-0000-0000-0000-000000000000","type":"soft"}`
	check := func(what, body string, want int, words string) {
		t.Helper()
		if status, said := m.post(t, body); status != want || !strings.Contains(said, words) {
			t.Errorf("%s: %d %s", what, status, said)
		}
	}
	check("right", nobody, 200, "true")
	m.SaveSettings(t, true, false)
	check("webhooks off", nobody, 404, "<html>")
	if status, _ := m.ask(t, "POST", path, "Basic eDp5", nobody); status != 404 {
		t.Errorf("webhooks off, wrong login: %d", status)
	}
	m.SaveSettings(t, false, true)
	check("processing off", nobody, 503, "not enabled")
	check("processing off, an empty event", "{}", 503, "not enabled")
	m.set(func() { m.Version = "v6.1.0" })
	check("processing off on 6.1", nobody, 0, "EOF")
	check("processing off on 6.1, an empty event", "{}", 400, "subscriber_uuid")
	m.SaveSettings(t, true, true)
	check("on 6.1", nobody, 200, "true")
	m.Database(false)
	check("the database away", nobody, 200, "true")
	if status, said := m.ask(t, "GET", "/api/bounces", "", ""); status != 500 {
		t.Errorf("reading: %d %s", status, said)
	}
	if status, said := m.ask(t, "GET", "/health", "", ""); status != 200 {
		t.Errorf("health: %d %s", status, said)
	}
	if status, said := m.ask(t, "GET", "/api/about", "", ""); status != 200 || !strings.Contains(said, `"version":"v6.1.0"`) {
		t.Errorf("about: %d %s", status, said)
	}
	if status, said := m.ask(t, "GET", "/api/profile", "", ""); status != 200 || !strings.Contains(said, `"bounces:get"`) {
		t.Errorf("profile: %d %s", status, said)
	}
	m.SetUser(User, ListmonkUser{Token: Token, Permissions: MayPost})
	if status, said := m.ask(t, "GET", "/api/bounces", "", ""); status != 403 {
		t.Errorf("reading without permission: %d %s", status, said)
	}
}

// A post is answered before it is stored: what is queued is gone with the process, or with the database.
func TestListmonkDurability(t *testing.T) {
	t.Parallel()
	m := startListmonk(t, MayRead...)
	for n := range 30 {
		m.Subscribe(fmt.Sprintf("5d1c9f5e-90a1-4f5f-8f62-%012d", n), fmt.Sprintf("u%d@example.org", n))
	}
	post := func(from, to int) {
		for n := from; n < to; n++ {
			if status, words := m.post(t, fmt.Sprintf(`{"email":"u%d@example.org","type":"soft"}`, n)); status != 200 {
				t.Fatalf("%d %s", status, words)
			}
		}
	}
	post(0, 10)
	if m.drain(t); len(m.Rows()) != 10 {
		t.Fatalf("stored %d", len(m.Rows()))
	}
	m.Database(false)
	post(10, 15)
	m.drain(t)
	m.Database(true)
	unlock := m.Lock()
	post(15, 20)
	m.Kill()
	if status, _ := m.post(t, "{}"); status != 0 {
		t.Errorf("killed, it answers %d", status)
	}
	m.Start(t, nil)
	unlock()
	post(20, 25)
	if m.drain(t); len(m.Rows()) != 15 || m.Lost() < 10 {
		t.Errorf("stored %d, lost %d", len(m.Rows()), m.Lost())
	}
	unlock = m.Lock()
	post(25, 30)
	unlock()
	if m.drain(t); len(m.Rows()) != 20 {
		t.Errorf("behind a lock: stored %d", len(m.Rows()))
	}
}

// A full queue makes a post wait; what the client gives up may still be stored.
func TestListmonkFull(t *testing.T) {
	t.Parallel()
	m := startListmonk(t, MayRead...)
	unlock := m.Lock()
	for n := range listmonkQueue + 1 { // one is in the consumer's hand
		if status, _ := m.post(t, `{"email":"who@example.org","type":"soft"}`); status != 200 {
			t.Fatal(n, status)
		}
	}
	answered := make(chan int)
	go func() {
		status, _ := m.post(t, `{"email":"jo@example.org","type":"soft"}`)
		answered <- status
	}()
	WaitFor(t, time.Millisecond, "it is asked", func() bool { return m.Requests()["POST "+path] == listmonkQueue+2 })
	select {
	case status := <-answered:
		t.Errorf("answered %d at once", status)
	default:
	}
	unlock()
	if status := <-answered; status != 200 {
		t.Errorf("answered %d", status)
	}
}

// Counts: one more than a type's leaves no row; hard and complaint blocklist at once, and then nothing leaves one.
func TestListmonkCounts(t *testing.T) {
	t.Parallel()
	m := startListmonk(t, MayRead...)
	post := func(email, kind string, times, rows int) {
		t.Helper()
		before := len(m.Rows())
		for range times {
			m.post(t, `{"email":"`+email+`","type":"`+kind+`"}`)
		}
		if m.drain(t); len(m.Rows())-before != rows {
			t.Errorf("%s %s: %d rows, want %d", email, kind, len(m.Rows())-before, rows)
		}
	}
	if post("jo@example.org", "soft", 5, 2); m.Blocklisted("jo@example.org") {
		t.Error("blocklisted for soft bounces")
	}
	if post("jo@example.org", "hard", 2, 1); !m.Blocklisted("jo@example.org") {
		t.Error("not blocklisted for a hard bounce")
	}
	post("jo@example.org", "complaint", 1, 0)
	m.Unsubscribe("jo@example.org")
	m.Subscribe(nobodys, "jo@example.org") // imported again: another UUID, no bounces
	post("jo@example.org", "soft", 1, 1)
	m.Blocklist("al@example.org")
	post("al@example.org", "soft", 1, 0)
}

// GET /api/bounces: by source, in order, by pages.
func TestListmonkReading(t *testing.T) {
	t.Parallel()
	m := startListmonk(t, MayRead...)
	for n := range 45 {
		email := fmt.Sprintf("u%d@example.org", n)
		m.Subscribe(fmt.Sprintf("5d1c9f5e-90a1-4f5f-8f62-%012d", n), email)
		m.post(t, fmt.Sprintf(`{"email":"%s","type":"soft","source":"s%d","created_at":"2026-11-22T07:01:%02d.1234567Z","meta":{"id":"%d"}}`, email, n%2, n%40, n))
	}
	m.drain(t)
	read := func(query string) (page struct {
		Data struct {
			Results []ListmonkRow
			Total   int
		}
	}) {
		t.Helper()
		status, text := m.ask(t, "GET", "/api/bounces?"+query, "", "")
		if err := json.Unmarshal([]byte(text), &page); status != 200 || err != nil {
			t.Fatalf("%d %s %v", status, text, err)
		}
		return page
	}
	if p := read("").Data; len(p.Results) != 20 || p.Total != 45 || p.Results[0].CreatedAt.Before(p.Results[19].CreatedAt) {
		t.Errorf("%+v", p)
	}
	if p := read("source=s1&order_by=created_at&order=asc&per_page=10&page=3").Data; len(p.Results) != 2 || p.Total != 22 || p.Results[1].Source != "s1" ||
		p.Results[1].CreatedAt.Format(time.RFC3339Nano) != "2026-11-22T07:01:39.123457Z" {
		t.Errorf("%+v", p)
	}
	if p := read("source=s1&per_page=1000").Data; len(p.Results) != 22 {
		t.Errorf("%+v", p)
	}
	if p := read("source=s1&per_page=10&page=9").Data; len(p.Results) != 0 {
		t.Errorf("%+v", p)
	}
}
