package parsertest

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	fuzzHang     = 5 * time.Second // an execution that takes longer is reported while it runs
	fuzzMaxAlike = 2               // failures of one sort that are kept
	fuzzProgress = time.Minute
)

// A volume is one target's run on so many mutations.
type volume struct {
	f          *testing.F
	name       string
	executions int64
	seed       uint64
	pool       *fuzzPool
	next       atomic.Int64 // the first execution that no worker has taken
	done       atomic.Int64
	workers    []*volumeWorker

	mu       sync.Mutex
	failures map[string]int // of each sort
}

// A volumeWorker is one goroutine with parsers of its own.
type volumeWorker struct {
	*volume
	check   Check
	mutator *mutator
	current atomic.Int64 // the execution under way
	since   atomic.Int64 // when it started; 0: none does
	slowest time.Duration
	slow    int64 // the slowest execution
}

// A fuzzFailure is the testing.TB of a check outside a test: failing ends this execution, not the run.
type fuzzFailure struct {
	testing.TB
	sort string // the first failure without its values: a bug fails many inputs, and must not hide others
	text string
}

type fuzzFatal struct{}

func (t *fuzzFailure) Helper()           {}
func (t *fuzzFailure) Error(args ...any) { t.fail("", fmt.Sprintln(args...)) }
func (t *fuzzFailure) Fatal(args ...any) { t.Error(args...); panic(fuzzFatal{}) }

func (t *fuzzFailure) Errorf(format string, args ...any) {
	t.fail(format, fmt.Sprintf(format, args...)+"\n")
}
func (t *fuzzFailure) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	panic(fuzzFatal{})
}

func (t *fuzzFailure) fail(sort, text string) {
	t.sort = cmp.Or(t.sort, sort, "error")
	t.text += text
}

// runCheck says what is wrong with an input, no text if nothing is.
func runCheck(tb testing.TB, check Check, input []byte) (failure fuzzFailure) {
	t := &fuzzFailure{TB: tb}
	defer func() {
		if r := recover(); r != nil {
			if _, fatal := r.(fuzzFatal); !fatal {
				place, way := panicPlace(string(debug.Stack()))
				t.fail(place, fmt.Sprintf("panic: %v\n%s\n", r, way))
			}
		}
		failure = *t
	}()
	check(t, input)
	return failure
}

// panicPlace finds in a stack where a parser panicked, and the calls that led there.
func panicPlace(stack string) (place, way string) {
	_, stack, _ = strings.Cut(stack, "\npanic(")
	_, stack, _ = strings.Cut(stack, "\nbouncefeed/")
	frames := strings.Split(stack, "\n")
	return frames[min(1, len(frames)-1)], strings.Join(frames[:min(8, len(frames))], "\n")
}

// fuzzVolume holds mutations of the seeds to the check, on all processors. BOUNCEFEED_FUZZ_SEED repeats a run: the nth
// input is the same whatever the number of processors. A fatal error of the runtime (stack, memory) is no panic: it ends
// the process, and the input is to be found by running up to the number that was last printed.
func fuzzVolume(f *testing.F, executions int64, pool *fuzzPool, newCheck func(testing.TB) Check) {
	v := &volume{
		f: f, name: f.Name(), executions: executions, seed: uint64(time.Now().UnixNano()), pool: pool,
		failures: map[string]int{},
	}
	if text := os.Getenv("BOUNCEFEED_FUZZ_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			f.Fatalf("BOUNCEFEED_FUZZ_SEED: %v", err)
		}
		v.seed = seed
	}
	fmt.Printf("%s: %d mutations of %d seeds and %d finds, %d words, BOUNCEFEED_FUZZ_SEED=%d\n", v.name, executions, len(pool.seeds),
		len(pool.found), len(pool.words), v.seed)
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // the heap is small, the garbage much
	for range runtime.GOMAXPROCS(0) {
		v.workers = append(v.workers, &volumeWorker{volume: v, check: newCheck(f), mutator: newMutator(v.pool, v.seed)})
	}
	start, stop := time.Now(), make(chan struct{})
	var working, watching sync.WaitGroup
	watching.Go(func() { v.watch(stop) })
	for _, w := range v.workers {
		working.Go(w.run)
	}
	working.Wait()
	close(stop)
	watching.Wait()
	v.report(time.Since(start))
}

// run takes executions by the thousand until there are none.
func (w *volumeWorker) run() {
	const block = 1000
	for {
		to := w.next.Add(block)
		for n := to - block; n < min(to, w.executions); n++ {
			w.execute(n)
		}
		if to >= w.executions {
			return
		}
	}
}

func (w *volumeWorker) execute(n int64) {
	input := w.mutator.input(n)
	start := time.Now()
	w.current.Store(n)
	w.since.Store(start.UnixNano())
	failure := runCheck(w.f, w.check, input)
	w.since.Store(0)
	w.done.Add(1)
	if failure.text != "" {
		w.keep(n, failure)
	}
	// What took long because others had the processor takes less when done again.
	took := time.Since(start)
	for i := 0; i < 3 && took > w.slowest && took < fuzzHang; i++ {
		start = time.Now()
		runCheck(w.f, w.check, w.mutator.input(n))
		took = min(took, time.Since(start))
	}
	if took > w.slowest {
		w.slowest, w.slow = took, n
	}
}

// keep reports the nth input and stores it where go test finds it, as go test -fuzz does.
func (v *volume) keep(n int64, failure fuzzFailure) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.failures[failure.sort]++; v.failures[failure.sort] > fuzzMaxAlike {
		return
	}
	input := writeCorpusFile(newMutator(v.pool, v.seed).input(n))
	file := filepath.Join("testdata/fuzz", v.name, fmt.Sprintf("%x", sha256.Sum256(input))[:16])
	err := cmp.Or(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, input, 0o644))
	v.f.Fail()
	fmt.Printf("%s: execution %d fails, kept in %s (%v):\n%s", v.name, n, file, err, failure.text)
}

// watch reports executions that take long, once each, and how far the run is.
func (v *volume) watch(stop chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	hung := make([]int64, len(v.workers))
	for start, told := time.Now(), time.Now(); ; {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		for i, w := range v.workers {
			n, since := w.current.Load(), w.since.Load()
			if took := time.Since(time.Unix(0, since)); since != 0 && took > fuzzHang && hung[i] != n+1 {
				hung[i] = n + 1
				v.keep(n, fuzzFailure{sort: "time", text: fmt.Sprintf("runs for %s\n", took)})
			}
		}
		if time.Since(told) > fuzzProgress {
			told = time.Now()
			fmt.Printf("%s: %d done, %.0f a second\n", v.name, v.done.Load(), float64(v.done.Load())/time.Since(start).Seconds())
		}
	}
}

func (v *volume) report(took time.Duration) {
	slowest, failures := v.workers[0], 0
	for _, w := range v.workers {
		if w.slowest > slowest.slowest {
			slowest = w
		}
	}
	for _, n := range v.failures {
		failures += n
	}
	fmt.Printf("%s: %d executions in %s, %.0f a second; slowest %s with %d bytes (execution %d); %d failures of %d sorts\n", v.name, v.done.Load(),
		took.Round(time.Second), float64(v.done.Load())/took.Seconds(), slowest.slowest.Round(time.Microsecond),
		len(newMutator(v.pool, v.seed).input(slowest.slow)), slowest.slow, failures, len(v.failures))
}
