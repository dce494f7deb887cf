package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/inputs/inputtest"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"

	"github.com/klauspost/compress/gzip"
)

// recorder is a Sink that keeps what the queue would: records and checkpoint together or neither.
type recorder struct {
	mu         sync.Mutex
	lines      []string
	truncated  int
	commits    int
	checkpoint map[string]string
	before     func(recs []event.Record) error // called first; an error refuses the batch
	after      func() error                    // an error although all is stored: the answer got lost
	drop       bool                            // stores the checkpoint without the records: the negative control
}

func (r *recorder) Checkpoint() (map[string]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.checkpoint), nil
}

func (r *recorder) Commit(ctx context.Context, recs []event.Record, checkpoint map[string]string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if r.before != nil {
		if err := r.before(recs); err != nil {
			return err
		}
	}
	r.commits++
	for _, rec := range recs {
		if !r.drop {
			r.lines = append(r.lines, string(rec.Body))
		}
		if rec.Truncated {
			r.truncated++
		}
	}
	if checkpoint != nil {
		r.checkpoint = maps.Clone(checkpoint)
	}
	if r.after != nil {
		return r.after()
	}
	return nil
}

func (r *recorder) received() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// world is a log directory, its writer and its rotation, and a follower that can be stopped and started.
type world struct {
	testing.TB
	dir, path string
	out       *os.File // where the writer writes
	seq, pad  int
	written   []string
	window    map[string]bool // lines that only copytruncate's own window held
	sink      *recorder
	input     *logfile
	log       bytes.Buffer
	stopRun   func()
	asNobody  bool
}

func newWorld(t testing.TB) *world {
	w := &world{TB: t, dir: t.TempDir(), sink: &recorder{}, window: map[string]bool{}}
	w.path = filepath.Join(w.dir, "mail.log")
	w.input = newLogfile(config.Env{Name: "test", Log: slog.New(slog.NewTextHandler(&w.log, nil))},
		logfileConfig{Path: w.path, Start: inputs.StartBeginning, Poll: config.Duration(2 * time.Millisecond)})
	w.input.patience = 10 * time.Millisecond
	w.input.quiet = 100 * time.Millisecond // a busy machine must not make a rotation last longer: it would come apart
	t.Cleanup(func() {
		w.stop()
		w.out.Close()
	})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// start runs the follower as the agent does: again from the checkpoint after an error.
func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		var err error
		if w.asNobody {
			err = inputtest.DropToNobody()
		}
		for err == nil {
			if err = w.input.Run(ctx, inputtest.Lines(w.sink)); err == nil {
				break
			} else if errors.Is(err, errRefusedCommit) {
				err = nil
			}
		}
		done <- err
	}()
	w.stopRun = func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("Run: %v", err)
		}
		w.stopRun = nil
	}
}

var errRefusedCommit = errors.New("disk full")

func (w *world) stop() {
	if w.stopRun != nil {
		w.stopRun()
	}
}

func (w *world) restart() { w.stop(); w.start() }

// create makes a new live file, which the writer writes to from now on.
func (w *world) create() {
	f, err := os.OpenFile(w.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	w.must(err)
	w.out = f
}

func (w *world) line() string {
	w.seq++
	return fmt.Sprintf("line %06d %s", w.seq, strings.Repeat("x", w.pad+w.seq%50))
}

func (w *world) write(n int) {
	w.Helper()
	for range n {
		l := w.line()
		_, err := io.WriteString(w.out, l+"\n")
		w.must(err)
		w.written = append(w.written, l)
	}
}

// shift renames .1 to .2 and so on, then the live log to .1. The writer stays on it.
func (w *world) shift() {
	for n := 40; n > 0; n-- {
		for _, ext := range []string{"", ".gz"} {
			from := fmt.Sprintf("%s.%d%s", w.path, n, ext)
			if _, err := os.Stat(from); err == nil {
				w.must(os.Rename(from, fmt.Sprintf("%s.%d%s", w.path, n+1, ext)))
			}
		}
	}
	w.must(os.Rename(w.path, w.path+".1"))
}

// rotate is what most systems do: shift, compress the one before, create.
func (w *world) rotate() {
	w.shift()
	if _, err := os.Stat(w.path + ".2"); err == nil {
		w.gzip(".2")
	}
	w.create()
}

// gzip compresses as gzip(1) does: the original goes last, the time is kept.
func (w *world) gzip(suffix string) {
	name := w.path + suffix
	data, err := os.ReadFile(name)
	w.must(err)
	st, err := os.Stat(name)
	w.must(err)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data)
	w.must(z.Close())
	w.must(os.WriteFile(name+".gz", b.Bytes(), 0o644))
	w.must(os.Chtimes(name+".gz", time.Time{}, st.ModTime()))
	w.must(os.Remove(name))
}

// compress runs one of the other compressors.
func (w *world) compress(tool, suffix string) {
	if out, err := exec.Command(tool, "-q", w.path+suffix).CombinedOutput(); err != nil {
		w.Fatalf("%s: %v %s", tool, err, out)
	}
	os.Remove(w.path + suffix)
}

// copyTo copies the live log, as copytruncate does.
func (w *world) copyTo(suffix string) {
	data, err := os.ReadFile(w.path)
	w.must(err)
	w.must(os.WriteFile(w.path+suffix, data, 0o644))
}

// eventually polls until ok.
func (w *world) eventually(what string, ok func() bool) {
	w.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("never: %s\nreceived %d of %d lines\n%s", what, len(w.sink.received()), len(w.written), w.log.String())
		}
	}
}

// hook changes the sink while it may be in use.
func (w *world) hook(change func()) {
	w.sink.mu.Lock()
	defer w.sink.mu.Unlock()
	change()
}

// begun waits for the first checkpoint: from then on nothing may be lost.
func (w *world) begun() {
	w.Helper()
	w.eventually("a checkpoint", func() bool { c, _ := w.sink.Checkpoint(); return c != nil })
}

func (w *world) caughtUp() { w.Helper(); w.await(len(w.written)) }

func (w *world) await(n int) {
	w.Helper()
	w.eventually(fmt.Sprintf("%d lines", n), func() bool { return len(w.sink.received()) >= n })
}

// tally is a row of the loss matrix.
type tally struct {
	written, received, lost, window, doubled, disordered int
	gaps                                                 string
}

func (w *world) tally() tally {
	got := w.sink.received()
	stored, _ := w.sink.Checkpoint()
	t := tally{written: len(w.written), received: len(got), gaps: stored["gaps"]}
	count := map[string]int{}
	for i, l := range got {
		count[l]++
		if i > 0 && l < got[i-1] {
			t.disordered++
		}
	}
	for _, l := range w.written {
		switch n := count[l]; {
		case n == 0 && w.window[l]:
			t.window++
		case n == 0:
			t.lost++
		default:
			t.doubled += n - 1
		}
		delete(count, l)
	}
	for l := range count {
		w.Errorf("received a line never written: %.80q", l)
	}
	return t
}

// finish waits until nothing more comes, and counts.
func (w *world) finish() tally {
	deadline := time.Now().Add(time.Minute)
	for {
		t := w.tally()
		if t.lost == 0 || time.Now().After(deadline) {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	w.restart() // whatever comes twice comes now
	w.create()
	last := w.line()
	w.written = append(w.written, last)
	_, err := io.WriteString(w.out, last+"\n")
	w.must(err)
	w.eventually("the last line", func() bool { return slices.Contains(w.sink.received(), last) })
	w.stop()
	return w.tally()
}

// lineInput gives a log file's input the sink that it needs.
type lineInput struct{ *logfile }

func (l lineInput) Run(ctx context.Context, sink inputs.Sink) error {
	return l.logfile.Run(ctx, inputtest.Lines(sink))
}
