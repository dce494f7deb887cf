package queue

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// dump gives all there is in the file, by the holder of the lock.
func dump(t testing.TB, q *Queue) (all []string) {
	t.Helper()
	info, err := q.file.Stat()
	ok(t, err)
	p, err := openPages(q.file, info.Size())
	ok(t, err)
	p.bucket = func(path [][]byte, sequence uint64) error {
		all = append(all, fmt.Sprintf("%q %d", path, sequence))
		return nil
	}
	p.entry = func(path [][]byte, k, v []byte) error {
		all = append(all, fmt.Sprintf("%q %q %x", path, k, v))
		return nil
	}
	p.damage = func(_ [][]byte, err error) error { return err }
	ok(t, p.walk())
	return all
}

// shrinkNow compacts the file beside the work, whether it is worth it or not.
func shrinkNow(q *Queue) error {
	s, err := beginShrink(q)
	if err == nil {
		err = s.run()
	}
	return err
}

func beginShrink(q *Queue) (*shrinking, error) {
	q.lock <- struct{}{}
	first, err := q.stateNow()
	<-q.lock
	if err != nil {
		return nil, err
	}
	db, file, err := openTemp(q.path + suffixCompact)
	if err != nil {
		return nil, err
	}
	return &shrinking{q: q, db: db, file: file, temp: q.path + suffixCompact, from: q.file, last: first}, nil
}

// Whatever is written while the file is compacted is in the copy, and nothing else.
func TestShrinkFollowsWhatIsWritten(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	q := openNew(t, Options{Outputs: []string{"a", "b"}, Now: func() time.Time { return now }})
	random := rand.New(rand.NewPCG(5, 9))
	n := 0
	work := func(steps int) {
		for range steps {
			output := []string{"a", "b"}[random.IntN(2)]
			switch random.IntN(9) {
			case 0, 1, 2:
				commit(t, q, randomBatch(random, &n))
			case 3:
				commit(t, q, Batch{Events: bounces(1_000_000+n, 1_000_000+n+300), State: map[string][]byte{fmt.Sprint(n % 50): []byte(noise(500)), fmt.Sprint(n % 7): nil}, Counts: read(300), Sent: [][8]byte{{byte(n)}}})
				n += 300
			case 4, 5:
				items := next(t, q, output)
				ok(t, q.Settle(output, settledAs(items[:random.IntN(len(items)+1)], []Outcome{Sent, Dead}[random.IntN(20)/19])))
			case 6:
				_, err := q.DropDead(output, nil)
				ok(t, err)
			case 7:
				_, err := q.ReleaseHeld(nil)
				ok(t, err)
			case 8:
				now = now.Add(time.Duration(random.IntN(40)) * time.Hour)
				for more := true; more; {
					var err error
					more, err = q.maintainOnce()
					ok(t, err)
				}
			}
		}
	}
	for range 4 {
		work(30)
		s, err := beginShrink(q)
		ok(t, err)
		ok(t, s.copyAll())
		for range random.IntN(3) {
			work(1 + random.IntN(30))
			q.lock <- struct{}{}
			next, err := q.stateNow()
			<-q.lock
			ok(t, err)
			ok(t, s.follow(next))
		}
		work(random.IntN(5))
		q.lock <- struct{}{}
		want := dump(t, q)
		last, err := q.stateNow()
		ok(t, err)
		ok(t, s.finish(last))
		got := dump(t, q)
		<-q.lock
		if !slices.Equal(got, want) {
			for i := range want {
				if i >= len(got) || got[i] != want[i] {
					t.Fatalf("%d entries, want %d; the first that differs:\n%.200s\nwant\n%.200s", len(got), len(want), got[min(i, len(got)-1)], want[i])
				}
			}
			t.Fatalf("%d entries, want %d", len(got), len(want))
		}
		checkAccounts(t, q, "a", "b")
	}
	path := q.path
	ok(t, q.Close())
	var log strings.Builder
	openAt(t, path, Options{Log: textLog(&log)})
	if len(damaged(path)) > 0 {
		t.Errorf("the copy is not sound: %s", log.String())
	}
}

// While commits and deliveries go on, the file becomes small, and a close waits for no more than a moment of it.
func TestShrinkBesideWork(t *testing.T) {
	t.Parallel()
	q := openNew(t, Options{})
	for n := 0; n < 2000; n += 500 {
		b := Batch{Events: bounces(n, n+500)}
		for i := range b.Events {
			b.Events[i].Diagnostic = noise(6000)
		}
		commit(t, q, b)
	}
	before := stats(t, q).FileSize
	settleAll(t, q, "out", Sent)
	done := make(chan error)
	go func() { done <- q.Maintain() }()
	for n := 10_000; ; n += 10 {
		commit(t, q, Batch{Events: bounces(n, n+10)})
		select {
		case err := <-done:
			ok(t, err)
			if after := stats(t, q).FileSize; after > before/2 {
				t.Errorf("%d bytes of %d are left", after, before)
			}
			if entries, _ := os.ReadDir(q.path[:strings.LastIndexByte(q.path, '/')]); len(entries) != 1 {
				t.Errorf("left behind: %v", entries)
			}
			if got := len(next(t, q, "out")); got != n+10-10_000 {
				t.Errorf("%d events are there, want %d", got, n+10-10_000)
			}
			return
		default:
		}
	}
}
