package logs

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"bouncefeed/internal/disk"
	"bouncefeed/internal/event"
)

var tortureSeeds = flag.Int("logfile.seeds", 4, "number of random histories that TestTorture plays")

// TestTorture plays random histories of writing, rotating in every style, and restarting, against a follower that runs
// all the while. One world keeps to one way of naming, as one machine does. No line may be lost or doubled.
func TestTorture(t *testing.T) {
	t.Parallel()
	seeds := *tortureSeeds
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		for style := range tortureStyles {
			t.Run(fmt.Sprintf("%s/%d", tortureStyles[style].name, seed), func(t *testing.T) {
				t.Parallel() // they wait most of the time
				torture(t, rand.New(rand.NewPCG(uint64(seed), uint64(style))), tortureStyles[style].rotate)
			})
		}
	}
}

var tortureStyles = []struct {
	name   string
	rotate func(w *tortured)
}{
	{"numbered", func(w *tortured) { w.rename(w.shift) }},
	{"dated", func(w *tortured) { w.rename(func() { w.date("-%08d", false) }) }},
	{"postlogd", func(w *tortured) { w.rename(func() { w.date(".%08d-120000", true) }) }},
	{"copytruncate", func(w *tortured) {
		w.makeRoom()
		w.copyTo(".1")
		w.must(os.Truncate(w.path, 0))
	}},
	{"mixed", func(w *tortured) {
		if w.r.IntN(2) == 0 {
			w.rename(w.shift)
		} else {
			w.makeRoom()
			w.copyTo(".1")
			w.must(os.Truncate(w.path, 0))
		}
	}},
}

type tortured struct {
	*world
	r   *rand.Rand
	day int
}

// rename lets the writer stay on the old file for some lines, at times.
func (w *tortured) rename(away func()) {
	away()
	stayed := w.out
	if w.r.IntN(3) == 0 {
		w.write(w.r.IntN(20))
	}
	if w.stopRun != nil && w.r.IntN(3) == 0 {
		w.caughtUp()
	}
	w.create()
	if w.r.IntN(3) == 0 { // the new file is there, and the writer has not been told
		fresh := w.out
		w.out = stayed
		w.write(w.r.IntN(20))
		w.out = fresh
	}
	if w.out != stayed {
		stayed.Close()
	}
	if _, err := os.Stat(w.path + ".2"); err == nil && w.r.IntN(2) == 0 {
		w.gzip(".2")
	}
}

func (w *tortured) date(format string, gz bool) {
	w.day++
	suffix := fmt.Sprintf(format, 20260000+w.day/28*100+100+w.day%28+1)
	w.must(os.Rename(w.path, w.path+suffix))
	if gz {
		w.gzip(suffix) // and a writer still on it writes to nowhere
		w.out.Close()
		w.create()
	}
}

// makeRoom shifts the numbered files, so that .1 is free.
func (w *tortured) makeRoom() {
	for n := 40; n > 0; n-- {
		for _, ext := range []string{"", ".gz"} {
			if from := fmt.Sprintf("%s.%d%s", w.path, n, ext); exists(from) {
				w.must(os.Rename(from, fmt.Sprintf("%s.%d%s", w.path, n+1, ext)))
			}
		}
	}
	if exists(w.path+".2") && w.r.IntN(2) == 0 {
		w.gzip(".2")
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func torture(t *testing.T, r *rand.Rand, rotate func(*tortured)) {
	w := &tortured{world: newWorld(t), r: r}
	w.pad = r.IntN(300)
	fail := 0
	w.sink.before = func([]event.Record) error {
		if fail > 0 {
			fail--
			return errRefusedCommit
		}
		return nil
	}
	w.create()
	w.start()
	w.begun()
	w.write(1)
	w.caughtUp() // an empty file compressed while down can not be told from one that was deleted
	for range 30 {
		w.write(1 + r.IntN(60))
		switch r.IntN(6) {
		case 0, 1:
			tick(w.world)
			rotate(w)
		case 2:
			w.stop()
			for range r.IntN(3) {
				w.write(r.IntN(50))
				tick(w.world)
				rotate(w)
			}
			w.write(r.IntN(50))
			w.start()
		case 3:
			w.hook(func() { fail = 1 + r.IntN(2) })
		case 4:
			w.caughtUp()
		}
	}
	got := w.finish()
	if got.lost != 0 || got.doubled != 0 || got.gaps != "0" {
		t.Errorf("%+v\n%s", got, w.log.String())
	}
}

// tick waits until the filesystem's clock has moved on: what happens within one tick has no order.
func tick(w *world) {
	probe := w.dir + "/clock"
	w.must(os.WriteFile(probe, nil, 0o644))
	first, err := disk.Stat(probe)
	w.must(err)
	w.eventually("the clock moves", func() bool {
		now := time.Now()
		w.must(os.WriteFile(probe, []byte(now.String()), 0o644))
		i, err := disk.Stat(probe)
		w.must(err)
		return i.Mtime > first.Mtime
	})
}
