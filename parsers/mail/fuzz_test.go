package mail

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
	"bouncefeed/parsers"
	"bouncefeed/parsers/parsertest"
)

// FuzzMail holds what every message must hold to, whatever it says: no more events than one report may have, an answer
// for each, and only addresses that it names.
func FuzzMail(f *testing.F) { parsertest.Fuzz(f, "mail", nil, checkMessage) }

func checkMessage(testing.TB, string) parsertest.Check {
	return func(t testing.TB, body []byte) {
		events, refused := parsertest.Read(t, parser{}, event.Record{Body: body})
		if (len(refused) == 0) == (len(events) == 0) || len(events) > maxRecipients {
			t.Fatalf("%d events, refused %q", len(events), refused)
		}
		for _, e := range events {
			checkEvent(t, e)
		}
	}
}

func checkEvent(t testing.TB, e event.Event) {
	if len(e.Diagnostic) > parsers.MaxDiagnostic || !utf8.ValidString(e.Diagnostic) {
		t.Fatalf("diagnostic of %d bytes, valid %v", len(e.Diagnostic), utf8.ValidString(e.Diagnostic))
	}
	for _, addr := range []string{e.Recipient, e.OriginalRecipient, e.Sender} {
		if len(addr) > address.MaxLength || strings.ContainsAny(addr, "\n\r\x00") || !utf8.ValidString(addr) {
			t.Fatalf("address %q", addr)
		}
	}
	for _, u := range []string{e.SubscriberUUID, e.CampaignUUID} {
		if u != "" && (!listmonk.IsUUID(u) || u == listmonk.NoUUID) {
			t.Fatalf("UUID %q", u)
		}
	}
	for _, s := range []string{e.MessageID, e.QueueID, e.RemoteMTA, e.QueueIDIssuer, e.Status} {
		if len(s) > parsers.MaxName || !utf8.ValidString(s) {
			t.Fatalf("value %q", s)
		}
	}
	if (e.SubscriberUUID == "") != (e.Evidence == "") {
		t.Fatalf("evidence %q with subscriber %q", e.Evidence, e.SubscriberUUID)
	}
	if e.Code != 0 && (e.Code < 400 || e.Code > 599) {
		t.Fatalf("code %d", e.Code)
	}
}

// A message cut off anywhere gives what is there: no panic, and no recipient that the whole message does not name.
func TestTruncated(t *testing.T) {
	samples, err := filepath.Glob("../testdata/mail/*.in")
	if err != nil || len(samples) == 0 {
		t.Fatal("no samples", err)
	}
	for _, name := range samples {
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for end := 1; end < len(whole); end++ {
			_ = parser{}.Parse(event.Record{Body: whole[:end], Truncated: true}, func(e event.Event) {
				if e.Recipient != "" && !namesAddress(whole, e.Recipient) {
					t.Errorf("%s cut at %d names %q", name, end, e.Recipient)
				}
			})
		}
	}
}

// Only a message that the input cut off ends in half an address: one without a line end at its end is whole.
func TestWithoutLastLineEnd(t *testing.T) {
	for name, message := range map[string]string{
		"text":   "From: MAILER-DAEMON@mx.example\nSubject: Undelivered Mail Returned to Sender\n\nUser unknown: jo@dest.example",
		"status": bombStatus + "Action: failed\nStatus: 5.1.1\nFinal-Recipient: rfc822; jo@dest.example",
	} {
		t.Run(name, func(t *testing.T) {
			for _, cut := range []bool{false, true} {
				want := "jo@dest.example"
				if cut {
					want = ""
				}
				err := parser{}.Parse(event.Record{Body: []byte(message), Truncated: cut}, func(e event.Event) {
					if e.Recipient != want {
						t.Errorf("cut off %v: recipient %q, want %q", cut, e.Recipient, want)
					}
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// namesAddress says whether addr stands in message and ends where it does there; one that was decoded does not stand
// there at all.
func namesAddress(message []byte, addr string) bool {
	found := false
	for rest := message; ; found = true {
		i := bytes.Index(rest, []byte(addr))
		if i < 0 {
			return !found
		}
		rest = rest[i+len(addr):]
		if len(rest) == 0 || !address.IsDomainByte(rest[0]) || rest[0] == '.' {
			return true
		}
	}
}
