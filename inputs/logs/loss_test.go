package logs

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestLossMatrix prints the matrix with -v.
func TestLossMatrix(t *testing.T) {
	t.Parallel()
	t.Logf("%-58s %8s %9s %5s %7s %8s %5s", "case", "written", "received", "lost", "window", "doubled", "gaps")
	for _, c := range lossMatrix {
		t.Run(strings.ReplaceAll(c.name, "/", ""), func(t *testing.T) {
			t.Parallel()
			got := runCase(t, c)
			want := c.gaps
			if want == "" {
				want = "0"
			}
			if got.lost != 0 || got.doubled != 0 || got.disordered != 0 && !c.late || got.gaps != want && want != "any" || got.window > 0 && !c.window {
				t.Errorf("%+v, want gaps %s", got, want)
			}
		})
	}
}

func runCase(t *testing.T, c matrixCase) tally {
	w := newWorld(t)
	w.create()
	w.start()
	w.begun()
	c.do(w)
	got := w.finish()
	if t.Failed() {
		t.Log(w.log.String())
		files, _ := filepath.Glob(w.dir + "/*")
		t.Log(files, w.sink.checkpoint)
	}
	t.Logf("%-58s %8d %9d %5d %7d %8d %5s", c.name, got.written, got.received, got.lost, got.window, got.doubled, got.gaps)
	return got
}

// TestLossMatrixSeesLoss is the negative control: a sink that forgets a batch must show.
func TestLossMatrixSeesLoss(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create()
	w.start()
	w.write(20)
	w.caughtUp()
	w.stop()
	w.sink.drop = true
	commits := w.sink.commits
	w.write(10)
	w.start()
	w.eventually("a commit", func() bool {
		w.sink.mu.Lock()
		defer w.sink.mu.Unlock()
		return w.sink.commits > commits
	})
	w.stop()
	w.sink.drop = false
	if got := w.tally(); got.lost != 10 {
		t.Errorf("the harness missed a loss: %+v", got)
	}
	w.sink.lines = append(w.sink.lines, w.sink.lines[3])
	if got := w.tally(); got.doubled != 1 {
		t.Errorf("the harness missed a double: %+v", got)
	}
}
