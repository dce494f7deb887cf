package e2e

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"bouncefeed/internal/e2e/e2etest"
)

// moods is what the receiver does while the daemon is being killed: mostly it takes what comes.
func moods() []e2etest.Mood {
	all := []e2etest.Mood{e2etest.Forbids, e2etest.Hangs}
	for m, n := range map[e2etest.Mood]int{e2etest.Takes: 40, e2etest.Busy: 6, e2etest.DropsFirst: 4, e2etest.DropsAfter: 4} {
		for range n {
			all = append(all, m)
		}
	}
	return all
}

// TestKills is the spine under fire: the daemon is killed at random moments while mail bounces, the receiver fails and
// the log is rotated. Nothing may be lost, nothing told under two ids, and nothing posted again except what a kill or a
// missing answer had left open.
func TestKills(t *testing.T) {
	if !jailed(t) {
		return
	}
	rsyslogd := startMailServer(t, rfc3164Log)
	r := startReceiver(t)
	r.BeAny(moods()...)
	d := newDaemon(t, r, mailLog, sendDefault)
	kills, seed := setting(t, "BOUNCEFEED_E2E_KILLS", 25), setting(t, "BOUNCEFEED_E2E_SEED", int(time.Now().UnixNano()))
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	t.Logf("BOUNCEFEED_E2E_SEED=%d", seed)

	writes := watchWrites(t, d.dir)
	var tr traffic
	d.start(t) // what is rotated away before it has stored a place behind some lines may be history to the next
	tr.send(t, randomLetter(random))
	waitFor(t, "a place in the log is stored", func() bool { return d.status(t).Inputs[0].Read > 0 })
	d.process.kill(t)
	r.NextLife(t)
	began, rotations, hupDue := time.Now(), 0, false
	for range kills {
		d.launch(t)
		// From the first instructions of a start to the middle of a busy stretch.
		for end := time.Now().Add(time.Duration(random.IntN(2500)) * time.Millisecond); time.Now().Before(end); {
			tr.send(t, randomLetter(random))
			switch {
			case hupDue && random.IntN(10) == 0:
				rsyslogd.signal(t, syscall.SIGHUP)
				hupDue = false
			case !hupDue && random.IntN(40) == 0:
				rotate(t)
				rotations++
				hupDue = true
			}
			<-time.After(time.Duration(random.IntN(60)) * time.Millisecond)
		}
		d.strike(t, random, writes)
		r.NextLife(t)
	}
	if hupDue {
		rsyslogd.signal(t, syscall.SIGHUP)
	}
	r.Be(e2etest.Takes)
	d.start(t)
	settle(t, &tr, d)
	t.Logf("%d kills in %v, %d rotations, %d recipients, %d posts", kills, time.Since(began).Round(time.Second), rotations, len(tr.wants), len(r.Seen()))
	requireFaultless(t, &tr, d, sendDefault)
	d.stop(t)
}

// strike kills the daemon: half the time at any moment, else right after it has begun to store something.
func (d *daemon) strike(t *testing.T, random *rand.Rand, writes <-chan struct{}) {
	t.Helper()
	if random.IntN(2) == 0 {
		select {
		case <-writes:
		case <-time.After(time.Second):
		}
		<-time.After(time.Duration(random.IntN(4000)) * time.Microsecond)
	}
	if !d.process.running() {
		t.Errorf("the daemon ended by itself: %v", d.process.cmd.ProcessState)
	}
	d.process.kill(t)
}

// watchWrites tells whoever waits of a write to the queue file in dir.
func watchWrites(t *testing.T, dir string) <-chan struct{} {
	t.Helper()
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	if err := watcher.Add(dir); err != nil {
		t.Fatal(err)
	}
	writes, done := make(chan struct{}), make(chan struct{})
	go func() { // an overflow loses events, which is nothing here, but must not stop the others
		for range watcher.Errors {
		}
	}()
	go func() {
		defer close(done)
		for e := range watcher.Events {
			if filepath.Base(e.Name) != "queue.db" {
				continue
			}
			select {
			case writes <- struct{}{}:
			default: // nobody waits
			}
		}
	}()
	t.Cleanup(func() {
		watcher.Close()
		<-done
	})
	return writes
}

// randomLetter has up to eight recipients and any ending.
func randomLetter(random *rand.Rand) letter {
	l := letter{identified: []string{anonymous, inHeaders, inID, inEnvelope}[random.IntN(4)]}
	n := 1
	if l.identified == anonymous {
		n += random.IntN(8)
	}
	if random.IntN(8) == 0 {
		l.port = filteredPort
	}
	for range n {
		l.names = append(l.names, scenarios[random.IntN(len(scenarios))].name)
	}
	return l
}

// setting is a number from the environment.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
