package queue

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"bouncefeed/internal/guard"
)

// A list is the mail of one server, simulated: where it goes, how often it fails for good, and what the log tells of it.
type list struct {
	*guarded
	random  *rand.Rand
	domains []string
	share   []float64 // of the mail, added up
	fails   []float64 // for good
	relay   string    // all mail goes by it; empty: each domain has its own
}

func newList(t *testing.T, seed uint64, rule guard.Rule, rate float64) *list {
	l := &list{guarded: newGuarded(t), random: rand.New(rand.NewPCG(seed, 1))}
	l.o.Guard.Rule = rule
	add := func(domain string, share, rate float64) {
		if n := len(l.share); n > 0 {
			share += l.share[n-1]
		}
		l.domains, l.share, l.fails = append(l.domains, domain), append(l.share, share), append(l.fails, min(1, rate))
	}
	uneven := func() float64 { return math.Exp(0.35 * l.random.NormFloat64()) }
	add("gmail.com", 0.40, rate*uneven())
	add("outlook.com", 0.12, rate*uneven())
	add("yahoo.com", 0.08, 2*rate*uneven()) // where people leave most
	add("gmx.net", 0.10, rate*uneven())
	const others = 3000
	for i := range others {
		of := rate * uneven()
		if i > 500 && l.random.IntN(100) == 0 {
			of = 1 // the domain is gone
		}
		add(fmt.Sprintf("d%d.example", i), 0.30/float64(i+1)/math.Log(others), of)
	}
	return l
}

// minutes has n mails an hour go out for a time, minute by minute, of which outage makes some fail. It tells how many
// failed for good, and how many of these were held.
func (l *list) minutes(n, perHour int, outage func(domain string) bool) (failed, held int) {
	l.Helper()
	if err := l.write(context.Background(), 0, func(t *txn) error {
		for range n {
			l.now = l.now.Add(time.Minute)
			t.now = l.now
			b := l.minute(perHour, outage)
			p, err := prepare(&b, l.now, l.o.Guard)
			if err == nil {
				err = p.apply(t)
			}
			if err != nil {
				return err
			}
			for i := range p.excess {
				if failed++; p.excess[i] {
					held++
				}
			}
		}
		return nil
	}); err != nil {
		l.Fatal(err)
	}
	return failed, held
}

func (l *list) minute(perHour int, outage func(domain string) bool) Batch {
	b := Batch{Input: "in", Log: true}
	mails := map[int]uint64{}
	n := perHour / 60
	if l.random.IntN(60) < perHour%60 {
		n++
	}
	for range n {
		at := l.random.Float64() * l.share[len(l.share)-1]
		i := 0
		for l.share[i] < at {
			i++
		}
		if l.random.Float64() >= l.fails[i] && (outage == nil || !outage(l.domains[i])) {
			mails[i]++
			continue
		}
		e := l.failures(1, l.domains[i])[0]
		if l.relay != "" {
			e.RemoteMTA = l.relay
		}
		b.Events = append(b.Events, e)
	}
	for i, n := range mails {
		m := l.mails(n, l.domains[i])
		if l.relay != "" {
			m.Relay = l.relay
		}
		b.Mails = append(b.Mails, m)
	}
	return b
}

// What fails from day to day is never held, whatever the size of the server: mail around the clock, in the day only, and
// a list that is written to once a week.
func TestGuardLeavesNormalBouncesAlone(t *testing.T) {
	t.Parallel()
	rule := guard.Rule{Hard: 50, Times: 5, Share: 0.1}
	seeds, most := 2, 1000
	if os.Getenv("BOUNCEFEED_GUARD_LONG") != "" {
		seeds, most = 20, 100_000
	}
	for perHour := 10; perHour <= most; perHour *= 10 {
		for _, rate := range []float64{0.002, 0.01, 0.02} {
			var failed, held, trips int
			for seed := range seeds {
				l := newList(t, uint64(seed), rule, rate)
				for hour := range 24 {
					rate := perHour
					if seed%3 == 1 && hour > 8 || seed%3 == 2 && hour > 3 {
						rate = perHour / 100
					}
					f, h := l.minutes(60, rate, nil)
					failed, held = failed+f, held+h
				}
				trips += len(l.said)
				l.Close()
			}
			t.Logf("%6d mails an hour, %.1f %% fail: %d failed, %d held, %d trips on %d servers", perHour, 100*rate, failed, held, trips, seeds)
			if held > 0 {
				t.Errorf("%d an hour, %v: %d of %d held", perHour, rate, held, failed)
			}
		}
	}
}

// An outage is noticed before many are unsubscribed, whatever the size of the server and whenever it begins.
func TestGuardNoticesOutages(t *testing.T) {
	t.Parallel()
	rule := guard.Rule{Hard: 50, Times: 5, Share: 0.1}
	sizes := []int{2000}
	if os.Getenv("BOUNCEFEED_GUARD_LONG") != "" {
		sizes = append(sizes, 10_000, 100_000)
	}
	for _, perHour := range sizes {
		for _, before := range []int{0, 3, 14} {
			for _, c := range []struct {
				name, relay string
				fails       func(string) bool
			}{
				{"a provider knows nobody", "", func(domain string) bool { return domain == "gmail.com" }},
				{"the DNS knows no domain", "", func(string) bool { return true }},
				{"the relay refuses all", "smtp.isp.example", func(string) bool { return true }},
			} {
				l := newList(t, 7, rule, 0.01)
				l.relay = c.relay
				for range before {
					l.minutes(60, perHour, nil)
				}
				failed, held := l.minutes(120, perHour, c.fails)
				t.Logf("%6d mails an hour for %d h, then %s: %d failed in 2 h, %d went out; said of %v", perHour, before, c.name, failed, failed-held, l.said)
				if out := failed - held; out > 50+failed/10 {
					t.Errorf("%s: %d of %d went out", c.name, out, failed)
				}
				l.Close()
			}
		}
	}
}
