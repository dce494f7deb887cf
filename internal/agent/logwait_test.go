package agent

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

func TestReportsOfLogHostsWait(t *testing.T) {
	const uuid = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
	hosts := newLogHosts()
	hosts.add("mx1.example.com")
	report := event.Event{QueueIDIssuer: "MX1.elsewhere.example", Recipient: "jo@example.org", SubscriberUUID: uuid, Evidence: "uuid"}
	remote, complaint, unproven := report, report, report
	remote.QueueIDIssuer = "mx.example.org"
	complaint.Type = event.Complaint
	unproven.SubscriberUUID = ""
	for _, c := range []struct {
		what          string
		in            event.Event
		trust, format string
		waits, held   int
	}{
		{"a report by a host whose log is read", report, "proof", "mail", 1, 0},
		{"the same, believed", report, "any", "mail", 1, 0},
		{"another host's", remote, "proof", "mail", 0, 0},
		{"a complaint", complaint, "proof", "mail", 0, 0},
		{"without proof", unproven, "proof", "mail", 0, 1},
		{"the log itself", report, "", "postfix", 0, 0},
	} {
		d := newDraft(&sinkConfig{name: "in", format: config.Section{Type: c.format}, classifier: classify.Default(), trust: c.trust, now: time.Now, logHosts: hosts})
		d.accept(c.in)
		waits, held := 0, 0
		for _, h := range d.batch.Held {
			if h.Until.IsZero() {
				held++
			} else {
				waits++
			}
		}
		if waits != c.waits || held != c.held || len(d.batch.Events) != 1-waits-held {
			t.Errorf("%s: %d wait, %d held, %d reported", c.what, waits, held, len(d.batch.Events))
		}
	}
}

// keptStore is a store that keeps the last batch.
type keptStore struct{ last queue.Batch }

func (k *keptStore) Commit(_ context.Context, b queue.Batch) (queue.Result, error) {
	k.last = b
	return queue.Result{Repeat: make([]bool, len(b.Events))}, nil
}

func (*keptStore) Checkpoint(string) (map[string]string, error) { return nil, nil }

const bounceOfOurs = `From: MAILER-DAEMON@mx1.example.com
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx1.example.com

Final-Recipient: rfc822; jo@example.org
Action: failed
Status: 5.1.1

--b
Content-Type: message/rfc822

Message-ID: <m1@news.example>

--b--
`

// A report may be read a moment before the log line that proves it.
func TestReportsWaitForTheirProof(t *testing.T) {
	never := time.Hour
	for _, c := range []struct {
		what           string
		age            time.Duration // of the report
		proven, behind time.Duration // after so long the ledger has it, the log is read
		took           time.Duration // at most, and at least twice logWait less
		fate           event.Fate
	}{
		{"proven at once", 0, 0, 0, 0, event.Understood},
		{"a little later", 0, time.Second, 0, 2 * time.Second, event.Understood},
		{"never", 0, never, 0, logWait + time.Second, event.Kept},
		{"an old one", 2 * logNews, never, 0, 0, event.Kept},
		{"an old one, and the log is behind", 2 * logNews, 50 * time.Second, time.Minute, 51 * time.Second, event.Understood},
		{"the log never catches up", 0, never, never, logPatience + 2*logWait, event.Kept},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, store, hosts := time.Now(), &keptStore{}, newLogHosts()
				hosts.add("mx1.example.com")
				hosts.behind = func() bool { return time.Since(start) < c.behind }
				s := newSink(sinkConfig{
					name: "box", format: config.Section{Type: "mail"}, classifier: classify.Default(), trust: trustProof, now: time.Now, store: store,
					logHosts: hosts, ledger: ledger{[]byte("k"), func([8]byte) (bool, error) { return time.Since(start) >= c.proven, nil }},
				})
				var fates []event.Fate
				err := s.CommitFates(t.Context(), []event.Record{{Time: start.Add(-c.age), Body: []byte(bounceOfOurs)}}, func(f []event.Fate) map[string]string {
					fates = f
					return nil
				})
				if took := time.Since(start); err != nil || took > c.took || took < c.took-2*logWait {
					t.Errorf("took %v, want %v (%v)", took, c.took, err)
				}
				if b := store.last; fates[0] != c.fate || len(b.Held) != 1 || b.Counts[queue.Figure{Word: queue.CountRead}] != 1 {
					t.Errorf("fate %v, want %v; held %+v, counts %v", fates[0], c.fate, b.Held, b.Counts)
				}
				if waits := !store.last.Held[0].Until.IsZero(); waits != (c.fate == event.Understood) {
					t.Errorf("held until %v", store.last.Held[0].Until)
				}
			})
		})
	}
}
