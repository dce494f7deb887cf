package outputs

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
	"bouncefeed/internal/event"
)

// double is a listmonk, and an output that posts to it.
func double(t testing.TB, permissions []string, lines ...string) (*e2etest.Listmonk, *listmonkReceiver) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := e2etest.NewListmonk(permissions...)
	m.Start(t, l)
	return m, doubleOutput(t, m.URL, lines...)
}

func doubleOutput(t testing.TB, url string, lines ...string) *listmonkReceiver {
	t.Helper()
	t.Setenv("LISTMONK_TOKEN", e2etest.Token)
	return mustBuild(t, "listmonk", append([]string{"url: " + url, "username: " + e2etest.User, "password_env: LISTMONK_TOKEN"}, lines...)...).(*listmonkReceiver)
}

var began = time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)

// subscribers makes n events of as many subscribers, a second apart.
func subscribers(m *e2etest.Listmonk, n int, apart time.Duration) (events []event.Event) {
	for i := range n {
		uuid, email := fmt.Sprintf("5d1c9f5e-90a1-4f5f-8f62-%012d", i), fmt.Sprintf("u%d@example.org", i)
		m.Subscribe(uuid, email)
		events = append(events, event.Event{ID: fmt.Sprintf("id%d", i), Time: began.Add(time.Duration(i) * apart), Type: event.Soft, Recipient: email, SubscriberUUID: uuid})
	}
	return events
}

func postAll(t testing.TB, l *listmonkReceiver, events []event.Event) {
	t.Helper()
	for i := range events {
		if err := l.Send(context.Background(), events[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
}

// stored asks until everything is answered for.
func stored(t testing.TB, l *listmonkReceiver, wanted []event.Event) (yes, no, requests int) {
	t.Helper()
	open := wanted
	for len(open) > 0 {
		r, err := l.Stored(context.Background(), open)
		if err != nil {
			t.Fatal(err)
		}
		if requests += r.Requests; r.Requests > readsAtMost || requests > 200 {
			t.Fatalf("%d requests", requests)
		}
		var rest []event.Event
		for _, e := range open {
			switch is, looked := r.Stored[e.ID]; {
			case !looked:
				rest = append(rest, e)
			case is:
				yes++
			default:
				no++
			}
		}
		open = rest
	}
	return yes, no, requests
}

// What was posted last is found with one request, what is old with a few, at ties and edges too.
func TestListmonkStored(t *testing.T) {
	for _, c := range []struct {
		name     string
		n        int
		apart    time.Duration
		from, to int // asked for
		requests int // at most
	}{
		{"the newest", 2000, time.Second, 1900, 2000, 1},
		{"the newest, over an edge", 2000, time.Second, 1450, 1550, 2},
		{"the oldest", 2000, time.Second, 0, 100, 5},
		{"in the middle", 6000, time.Second, 3100, 3200, 8},
		{"all", 2000, time.Second, 0, 2000, 8},
		{"one instant", 2000, 0, 0, 2000, 10},
		{"few instants", 3000, time.Millisecond / 10, 700, 800, 12},
		{"few", 3, time.Second, 0, 3, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, l := double(t, e2etest.MayRead)
			events := subscribers(m, c.n, c.apart)
			m.Insert(0)
			postAll(t, l, events)
			e2etest.WaitFor(t, time.Millisecond, "all is stored", func() bool { return len(m.Rows()) == c.n })
			wanted := events[c.from:c.to:c.to]
			for i := range 10 { // and some that are not there, at the same times
				e := wanted[i*len(wanted)/10]
				e.ID = fmt.Sprintf("absent%d", i)
				wanted = append(wanted, e)
			}
			yes, no, requests := stored(t, l, wanted)
			if yes != c.to-c.from || no != 10 || requests > c.requests {
				t.Errorf("%d there, %d not, %d requests", yes, no, requests)
			}
			if yes, no, again := stored(t, l, wanted); yes != c.to-c.from || no != 10 || again > max(2, requests) {
				t.Errorf("again: %d there, %d not, %d requests after %d", yes, no, again, requests)
			}
		})
	}
}

func TestListmonkStoredOfNothing(t *testing.T) {
	m, l := double(t, e2etest.MayRead)
	if yes, no, requests := stored(t, l, subscribers(m, 3, time.Second)); yes != 0 || no != 3 || requests != 1 {
		t.Errorf("%d there, %d not, %d requests", yes, no, requests)
	}
	m.Database(false)
	if r, err := l.Stored(t.Context(), []event.Event{{ID: "x"}}); err == nil || len(r.Stored) > 0 || !strings.HasPrefix(err.Error(), "500: ") {
		t.Errorf("without its database: %+v %v", r, err)
	}
}

func TestListmonkOtherwise(t *testing.T) {
	_, l := double(t, e2etest.MayRead)
	e := event.Event{ID: "x", Recipient: "jo@example.org", SubscriberUUID: "5d1c9f5e-90a1-4f5f-8f62-000000000001"}
	if o, ok := l.Otherwise(e); !ok || l.bounce(&o).SubscriberUUID != "" || l.bounce(&o).Email == "" {
		t.Errorf("%+v %v", o, ok)
	}
	e.SubscriberUUID = ""
	if _, ok := l.Otherwise(e); ok {
		t.Error("without UUID there is no other way")
	}
	e.SubscriberUUID, e.Recipient = "5d1c9f5e-90a1-4f5f-8f62-000000000001", `"j o"@example.org`
	if _, ok := l.Otherwise(e); ok {
		t.Error("nor without an address")
	}
	if l.Unfit(&e) {
		t.Error("a UUID is enough")
	}
	for address, unfit := range map[string]bool{"jo@example.org": false, "": true, `"j o"@example.org`: true, "jo@example.org.": false, "jo": true} {
		if l.Unfit(&event.Event{Recipient: address}) != unfit {
			t.Errorf("%q: unfit %v", address, !unfit)
		}
	}
}

func TestListmonkVerifies(t *testing.T) {
	for _, c := range []struct {
		verify      string
		permissions []string
		want        bool
		wrong       string
	}{
		{"auto", e2etest.MayRead, true, ""}, {"auto", e2etest.MayPost, false, ""},
		{"on", e2etest.MayRead, true, ""}, {"on", e2etest.MayPost, false, "give its role bounces:get"},
		{"off", e2etest.MayRead, false, ""},
	} {
		m, l := double(t, c.permissions, "verify: "+c.verify)
		does, err := l.Verifies(t.Context())
		if does != c.want {
			t.Errorf("%+v: %v", c, does)
		}
		expect(t, c.verify, err, c.wrong)
		m.Database(false)
		if does, err = l.Verifies(t.Context()); c.want && (does || err == nil) {
			t.Errorf("%+v: without database: %v %v", c, does, err)
		}
	}
	if _, err := build(t, "listmonk", "url: https://l.example/webhooks/bounce", "verify: perhaps"); err == nil || !strings.Contains(err.Error(), "none of auto, on, off") {
		t.Error(err)
	}
}

// What `check --online` says of the states of an installation.
func TestListmonkProbe(t *testing.T) {
	for _, c := range []struct {
		name                   string
		permissions            []string
		processing, webhooks   bool
		version, path, lines   string
		found, notFound, wrong string
	}{
		{"right", e2etest.MayRead, true, true, "v6.2.0", "", "", "listmonk v6.2.0; the API user may bounces:get, webhooks:post_bounce; what is posted is read back", "hint", ""},
		{"old", e2etest.MayRead, true, true, "v6.1.0", "", "", "listmonk v6.1.0; ", "hint", ""},
		{"may not read", e2etest.MayPost, true, true, "v6.2.0", "", "", "give it bounces:get", "", ""},
		{"must read", e2etest.MayPost, true, true, "v6.2.0", "", "verify: on", "", "", "give its role bounces:get"},
		{"does not read", e2etest.MayRead, true, true, "v6.2.0", "", "verify: off", "verify: off: a bounce that listmonk loses", "", ""},
		{"impatient", e2etest.MayRead, true, true, "v6.2.0", "", "timeout: 5s", "hint: timeout: 5s", "", ""},
		{"webhooks off", e2etest.MayRead, true, false, "v6.2.0", "", "", "", "", "bounce webhooks are switched off in Settings → Bounces"},
		{"wrong path", e2etest.MayRead, true, true, "v6.2.0", "/lists/webhooks/bounce", "", "", "", "/lists is not its root"},
		{"another path", e2etest.MayRead, true, true, "v6.2.0", "/webhooks/bounces", "", "", "", "listmonk's is /webhooks/bounce"},
		{"processing off", e2etest.MayRead, false, true, "v6.2.0", "", "", "", "", "503: bounce processing is switched off"},
		{"processing off on 6.1", e2etest.MayRead, false, true, "v6.1.0", "", "", "listmonk v6.1.0", "", "bounce processing is switched off in Settings → Bounces (listmonk before 6.2"},
		{"may not post", []string{"bounces:get"}, true, true, "v6.2.0", "", "", "", "", "role lacks webhooks:post_bounce"},
		{"listmonk 3, wrong login", e2etest.MayRead, true, true, "v3.0.0", "", "username: other", "", "", "name or token is wrong"},
		{"wrong login", e2etest.MayRead, true, true, "v6.2.0", "", "username: other", "", "", "does not know this username and token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, _ := double(t, c.permissions)
			m.Version = c.version
			m.SaveSettings(t, c.processing, c.webhooks)
			url := m.URL
			if c.path != "" {
				url = strings.TrimSuffix(url, "/webhooks/bounce") + c.path
			}
			t.Setenv("LISTMONK_TOKEN", e2etest.Token)
			lines := []string{"url: " + url, "username: " + e2etest.User, "password_env: LISTMONK_TOKEN"}
			if strings.HasPrefix(c.lines, "username") {
				lines[1] = c.lines
			} else if c.lines != "" {
				lines = append(lines, c.lines)
			}
			found, err := mustBuild(t, "listmonk", lines...).(Probe).Probe(t.Context())
			expect(t, "probe", err, c.wrong)
			told := strings.Join(found, "\n")
			if !strings.Contains(told, c.found) || c.notFound != "" && strings.Contains(told, c.notFound) {
				t.Errorf("found %s", told)
			}
			if len(m.Rows()) > 0 {
				t.Errorf("it stored %+v", m.Rows())
			}
		})
	}
}

// TestListmonkVerifiesNobodyElse: an endpoint that is no listmonk, whatever it makes of the question, is posted to all the same.
func TestListmonkVerifiesNobodyElse(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		waits  bool
	}{
		{http.StatusNotImplemented, "<html>Unsupported method", false},
		{http.StatusInternalServerError, "<html>Internal Server Error", false},
		{http.StatusBadGateway, "<html>nginx", false},
		{http.StatusNotFound, `{"message":"no"}`, false},
		{http.StatusOK, "<html>welcome", false},
		{http.StatusInternalServerError, `{"message":"Error fetching bounces: pq: the database system is shutting down"}`, true},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}))
		does, err := doubleOutput(t, s.URL+"/webhooks/bounce").Verifies(t.Context())
		if does || (err != nil) != c.waits {
			t.Errorf("%d %s: verifies %v, %v", c.status, c.body, does, err)
		}
		s.Close()
	}
}
