package agent

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// A report that names no message, and that nothing dates, is told from others by what stands in it: an IMAP server that
// numbers its folder anew gives it another time.
func TestAMessageIsKnownByItsContent(t *testing.T) {
	t.Parallel()
	key := func(message string, read time.Time) event.Key {
		s := newSink(sinkConfig{
			name: "in", format: config.Section{Type: "mail"}, trust: "any", classifier: classify.Default(), now: time.Now,
			env: config.Env{Log: slog.New(slog.DiscardHandler)},
		})
		d, err := s.parse([]event.Record{{Time: read, Body: []byte(message)}}, nil, "")
		if err != nil || len(d.batch.Events) != 1 {
			t.Fatalf("%v %+v", err, d.batch)
		}
		return d.batch.Events[0].Keys()[0]
	}
	report := func(first, text string) string {
		return first + "From: MAILER-DAEMON@mx.example.org\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\n" + text +
			"\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n\n" +
			"Final-Recipient: rfc822; jo@example.org\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 user unknown\n\n--b--\n"
	}
	read := time.Date(2026, 11, 22, 7, 1, 2, 0, time.UTC)
	first := key(report("", "a"), read)
	if key(report("", "a"), read.Add(time.Hour)) != first || key(report("Status: RO\nX-UID: 7\n", "a"), read) != first {
		t.Error("the same message read again is another bounce")
	}
	if key(report("", "b"), read) == first {
		t.Error("another message of the same second is the same bounce")
	}
	if slices.Contains([]event.Key{key(report("Subject: x\n", "a"), read)}, first) {
		t.Error("another header is the same bounce")
	}
}
