package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

// stormBounce is an event as a log tells it in a storm: what is the recipient's and the message's own is random.
func stormBounce(r *rand.Rand, n int) event.Event {
	domain := []string{"gmail.com", "yahoo.com", "example.org", "outlook.com", "web.de", "gmx.net", "t-online.de", "orange.fr"}[r.IntN(8)]
	to := fmt.Sprintf("user%d@%s", r.IntN(1<<30), domain)
	e := event.Event{
		Time: time.Unix(1_800_000_000+int64(n/50), 0).UTC(), Input: "postfix", Type: event.Hard, Reason: event.UserUnknown, Fault: event.FaultRecipient,
		Recipient: to, Sender: "bounces@news.example.com", MessageID: fmt.Sprintf("%08x.%016x@news.example.com", r.Uint32(), r.Uint64()),
		QueueID: fmt.Sprintf("4X%09dz", n), QueueIDIssuer: "mx1", RemoteMTA: "mx1." + domain, Code: 550, Status: "5.1.1", Rule: "enhanced-status/5.1.1", Ours: true, Sole: true,
		Diagnostic: fmt.Sprintf("host mx%d.%s[192.0.2.%d] said: 550 5.1.1 <%s>: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command)", r.IntN(3), domain, r.IntN(100), to),
	}
	e.ID = e.MakeID()
	return e
}

// memory gives the process's own memory and the highest it was, without what is the page cache's, in MiB.
func memory() (own int) {
	text, _ := os.ReadFile("/proc/self/status")
	var kb int
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &kb); err == nil {
			own = kb >> 10
		}
	}
	return own
}

// BenchmarkBacklog fills a queue in commits of 1000 events, opens it, and empties it: BOUNCEFEED_BACKLOG says how many
// events (13,000,000 are three days at 50 a second).
func BenchmarkBacklog(b *testing.B) {
	total, _ := strconv.Atoi(os.Getenv("BOUNCEFEED_BACKLOG"))
	if total == 0 {
		total = 100_000
	}
	o := Options{Outputs: []string{"out"}, History: DefaultRetain}
	q := openNew(b, o)
	r := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		var spent, longest time.Duration
		own := 0
		done := make(chan struct{})
		go func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(20 * time.Millisecond):
					began := time.Now()
					q.lock <- struct{}{}
					<-q.lock
					longest = max(longest, time.Since(began))
					own = max(own, memory())
				}
			}
		}()
		for n := 0; n < total; n += 1000 {
			batch := Batch{Input: "postfix", Checkpoint: map[string]string{"offset": fmt.Sprint(n)}}
			for i := range 1000 {
				batch.Events = append(batch.Events, stormBounce(r, n+i))
			}
			began := time.Now()
			if _, err := q.Commit(context.Background(), batch); err != nil {
				b.Fatal(err)
			}
			spent += time.Since(began)
			if n%1_000_000 == 0 {
				b.Logf("%d: %.1f s of commits, %d MiB own, %d runs", n, spent.Seconds(), own, countRuns(q))
			}
		}
		close(done)
		began := time.Now()
		if err := q.Maintain(); err != nil {
			b.Fatal(err)
		}
		kept := time.Since(began)
		s := stats(b, q)
		b.Logf("%d events: %.0f/s, %.0f B each, longest lock %v, maintain %v, %d MiB own, file %d MiB", total,
			float64(total)/spent.Seconds(), float64(s.Used)/float64(total), longest, kept, own, s.FileSize>>20)
		path := q.path
		q.Close()
		began = time.Now()
		q = openAt(b, path, o)
		b.Logf("open: %v, %d MiB own", time.Since(began), memory())
		drain(b, q, total)
		searchAll(b, q, total)
	}
}

func drain(b *testing.B, q *Queue, total int) {
	began := time.Now()
	longest := time.Duration(0)
	var mark Mark
	for n := 0; n < total; {
		items, after, err := q.NextAfter(context.Background(), "out", mark, 500)
		if err != nil {
			b.Fatal(err)
		}
		mark = after
		var s []Settled
		for _, i := range items {
			s = append(s, Settled{Seq: i.Seq, Outcome: Sent})
		}
		at := time.Now()
		if err := q.Settle("out", s); err != nil {
			b.Fatal(err)
		}
		longest = max(longest, time.Since(at))
		if n += len(s); n%(total/10) < 500 {
			at := time.Now()
			if err := q.Maintain(); err != nil {
				b.Fatal(err)
			}
			st := stats(b, q)
			b.Logf("%d sent: file %d MiB, used %d MiB, maintain %v, %d MiB own", n, st.FileSize>>20, st.Used>>20, time.Since(at), memory())
		}
	}
	b.Logf("drained at %.0f/s, longest settle %v", float64(total)/time.Since(began).Seconds(), longest)
}

// searchAll looks for one address in the past.
func searchAll(b *testing.B, q *Queue, total int) {
	s := stats(b, q)
	began, n := time.Now(), 0
	if err := q.Search(Search{Word: "nobody@example.org"}, func(Past) error { n++; return nil }); err != nil || n > 0 {
		b.Fatal(n, err)
	}
	b.Logf("%d of the past searched in %v, %.0f B each with their keys", total, time.Since(began), float64(s.Used)/float64(total))
}

func countRuns(q *Queue) (n int) {
	q.lock <- struct{}{}
	defer func() { <-q.lock }()
	tx, _ := q.db.Begin(false)
	defer tx.Rollback()
	eachDay(tx.Bucket(bucketKeys), indexShape, func(d *runDay) error { n += len(d.list); return nil })
	return n
}
