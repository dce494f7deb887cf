package parsers

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"bouncefeed/internal/event"
)

// FuzzMail holds what every message must hold to, whatever it says: no more events than one report may have, an answer
// for each, only addresses that it names, text that JSON can carry, and the record left as it was.
func FuzzMail(f *testing.F) {
	seeds, err := filepath.Glob("testdata/mail/*.in")
	if err != nil || len(seeds) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range seeds {
		seed, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		kept := bytes.Clone(body)
		var events []event.Event
		err := mailParser{}.Parse(event.Record{Body: body}, func(e event.Event) { events = append(events, e) })
		if (err == nil) == (len(events) == 0) || len(events) > mailMaxRecipients {
			t.Fatalf("%d events and error %v", len(events), err)
		}
		if !bytes.Equal(body, kept) {
			t.Fatal("changed the record's body")
		}
		for _, e := range events {
			checkMailEvent(t, e)
		}
	})
}

func checkMailEvent(t *testing.T, e event.Event) {
	if len(e.Diagnostic) > mailMaxDiagnostic || !utf8.ValidString(e.Diagnostic) {
		t.Fatalf("diagnostic of %d bytes, valid %v", len(e.Diagnostic), utf8.ValidString(e.Diagnostic))
	}
	for _, addr := range []string{e.Recipient, e.OriginalRecipient, e.Sender} {
		if len(addr) > mailMaxAddress || strings.ContainsAny(addr, "\n\r\x00") || !utf8.ValidString(addr) {
			t.Fatalf("address %q", addr)
		}
	}
	for _, u := range []string{e.SubscriberUUID, e.CampaignUUID} {
		if u != "" && (!isUUID(u) || u == noUUID) {
			t.Fatalf("UUID %q", u)
		}
	}
	for _, s := range []string{e.MessageID, e.QueueID, e.RemoteMTA, e.Host, e.Status} {
		if len(s) > mailMaxName || !utf8.ValidString(s) {
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
