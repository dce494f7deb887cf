package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/address"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/outputs"
	"bouncefeed/parsers/parsertest"
)

// tellers tell that a message to a mailbox bounced, each in its own form.
var tellers = map[string]func(mailbox string) []string{
	"postfix": func(mailbox string) []string {
		const head = "2026-11-29T09:10:01.000000+00:00 mx1 postfix/"
		return []string{
			head + "smtpd[1]: 4F1A22E332: client=localhost[127.0.0.1]",
			head + "cleanup[2]: 4F1A22E332: message-id=<m1@news.example.com>",
			head + "qmgr[3]: 4F1A22E332: from=<b@news.example.com>, size=979, nrcpt=1 (queue active)",
			head + "smtp[4]: 4F1A22E332: to=<" + mailbox + ">, relay=mx.example.org[192.0.2.1]:25, delay=0, delays=0/0/0/0, dsn=5.1.1, status=bounced " +
				"(host mx.example.org[192.0.2.1] said: 550 5.1.1 user unknown (in reply to RCPT TO command))",
		}
	},
	"mail": func(mailbox string) []string {
		return []string{"Return-Path: <>\nFrom: MAILER-DAEMON@mx1 (Mail Delivery System)\nTo: b@news.example.com\nSubject: Undelivered Mail Returned to Sender\n" +
			"MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\n\n--b\nContent-Type: text/plain; charset=utf-8\n\n" +
			"<" + mailbox + ">: host mx.example.org[192.0.2.1] said: 550 5.1.1 user unknown\n\n--b\nContent-Type: message/delivery-status\n\n" +
			"Reporting-MTA: dns; mx1\nX-Postfix-Queue-ID: 4F1A22E332\n\nFinal-Recipient: rfc822; " + mailbox + "\nOriginal-Recipient: rfc822;" + mailbox +
			"\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 user unknown\n\n--b\nContent-Type: text/rfc822-headers\n\n" +
			"From: news@news.example.com\nTo: ann@example.net\nMessage-ID: <m1@news.example.com>\n\n--b--\n"}
	},
	"postmark": func(mailbox string) []string {
		return []string{`{"RecordType":"Bounce","ID":42,"Type":"HardBounce","Email":` + quotedJSON(mailbox) + `,"From":"news@news.example.com","BouncedAt":"2026-11-29T09:10:01Z","Details":"smtp;550 5.1.1 user unknown"}`}
	},
	"native": func(mailbox string) []string {
		return []string{`{"email":` + quotedJSON(mailbox) + `,"type":"hard","source":"script"}`}
	},
}

func quotedJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Whoever tells that a mailbox failed, the event and what listmonk is posted name that mailbox, or none.
func TestOneMailboxFromLogToListmonk(t *testing.T) {
	t.Parallel()
	posted := make(chan string, 8)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b struct{ Email string }
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &b); err != nil {
			t.Error(err)
		}
		posted <- b.Email
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"data":true}`)
	}))
	defer server.Close()
	out := newTestOutput(t, server.URL)
	for _, mailbox := range testMailboxes(400) {
		want := address.Key(mailbox)
		ids := map[string]bool{}
		for kind, tell := range tellers {
			if kind == "postfix" && address.CheckLogged([]byte(mailbox)) != nil {
				continue // words with an address among them: none
			}
			events := eventsOf(t, kind, tell(mailbox))
			for _, e := range events {
				if e.Recipient != "" && address.Key(e.Recipient) != want || e.OriginalRecipient != "" && address.Key(e.OriginalRecipient) != want {
					t.Errorf("%s: %s becomes %s (%s)", kind, mailbox, e.Recipient, e.OriginalRecipient)
				}
				if kind == "postfix" || kind == "mail" {
					ids[e.MakeID()] = true
				}
				e.SubscriberUUID, e.Type = "0c0c0c0c-1111-4222-8333-444444444444", event.Hard
				if err := out.Send(t.Context(), []event.Event{e}); err != nil {
					t.Fatalf("%s: %v", mailbox, err)
				}
				if email := <-posted; email != "" && address.Key(email) != want {
					t.Errorf("%s: %s is posted as %s", kind, mailbox, email)
				}
			}
			if len(events) != 1 {
				t.Errorf("%s tells of %s: %d events", kind, mailbox, len(events))
			}
		}
		if len(ids) != 1 {
			t.Errorf("log and report of %s have %d ids", mailbox, len(ids))
		}
	}
}

func eventsOf(t *testing.T, kind string, records []string) (events []event.Event) {
	t.Helper()
	p := parsertest.Build(t, config.Env{Name: "test", Host: "mx1"}, kind)
	for _, r := range records {
		found, refused := parsertest.Read(t, p, event.Record{Time: time.Date(2026, 11, 29, 9, 10, 2, 0, time.UTC), Body: []byte(r)})
		if len(refused) > 0 {
			t.Errorf("%s: %v of %q", kind, refused, r)
		}
		events = append(events, found...)
	}
	return events
}

func newTestOutput(t *testing.T, url string) outputs.Output {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte(fmt.Sprintf("outputs: {lm: {type: listmonk, url: %q, max_rate: 0}}", url+"/webhooks/bounce")))
	if err != nil {
		t.Fatal(err)
	}
	built, err := outputs.Modules.Build(config.Env{Name: "lm", Host: "mx1"}, cfg.Outputs[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	return built.Output
}

// testMailboxes are strange ones, and n at random, all of which RFC 5321 and RFC 6531 allow.
func testMailboxes(n int) []string {
	all := []string{
		"jo@example.org", "'victim@innocent.example", "|jo@example.org", "/jo@example.org", "{jo}@example.org", "*jo*@example.org", "`jo`@example.org",
		`"a@b"@example.org`, `"to=<v@i>"@example.org`, "jo+2Bx@example.org", "jo+3D@example.org", "jo@müller.example", "=?utf-8?q?jo?=@example.org",
		`"jo doe"@example.org`, `"a\"b\\c"@example.org`, "jo@[192.0.2.9]", "jo@[IPv6:2001:db8::1]", "jörg@例子.example", "JO@Example.ORG", "b+jo=x.example@example.org",
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	const atext = "abcXYZ019!#$%&'*+-/=?^_`{|}~é用"
	const qtext = atext + " (),:;<>@[]."
	pick := func(from string) string { r := []rune(from); return string(r[rnd.IntN(len(r))]) }
	for range n {
		var local strings.Builder
		for range 1 + rnd.IntN(8) {
			local.WriteString(pick(qtext))
		}
		domain := pick("abc") + pick("xyz-é") + "z." + pick("abc") + "example"
		all = append(all, address.Mailbox{Local: local.String(), Domain: domain}.String())
	}
	return all
}
