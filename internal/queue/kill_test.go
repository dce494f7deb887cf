package queue

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

// The queue's process is killed at random moments; what it acknowledged before must be there, once. The child is this
// test binary: it commits events with one goroutine per input, settles some, retries, maintains and compacts, and
// writes a line to stdout for everything that a method said was done.
func TestKill(t *testing.T) {
	if path := os.Getenv("QUEUE_KILL_TEST"); path != "" {
		killChild(path, wrong(os.Getenv("QUEUE_KILL_WRONG")))
		return
	}
	t.Parallel()
	kills := 60
	if testing.Short() {
		kills = 8
	}
	delivered, problems := killOften(t, kills, "")
	for _, p := range problems {
		t.Error(p)
	}
	if delivered == 0 {
		t.Error("nothing was ever settled: the test shows nothing")
	}
}

// wrong is what the child does wrong on purpose, so that the test is seen to find it.
type wrong string

const (
	checkpointFirst  wrong = "the checkpoint is stored before the events"
	acknowledgeFirst wrong = "what is not stored yet is acknowledged"
	settledFirst     wrong = "what is not noted yet counts as settled"
)

// TestKillFindsWhatIsWrong is the control of TestKill.
func TestKillFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, w := range []wrong{checkpointFirst, acknowledgeFirst, settledFirst} {
		found := 0
		for tries := 0; found == 0 && tries < 20; tries++ {
			_, problems := killOften(t, 10, w)
			found = len(problems)
		}
		if found == 0 {
			t.Errorf("%s, and 200 kills show nothing of it", w)
		}
	}
}

// killOften kills a child again and again, and gives how much it had settled, and what was wrong afterwards.
func killOften(t *testing.T, kills int, w wrong) (settled int, problems []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queue.db")
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	committed := map[string]int{}  // by input: events below this number are acknowledged
	delivered := map[string]bool{} // message ids acknowledged as settled
	random := rand.New(rand.NewPCG(5, 6))
	for range kills {
		runAndKill(t, path, w, time.Duration(random.IntN(60))*time.Millisecond, func(line string) {
			var input, id string
			var n int
			if _, err := fmt.Sscanf(line, "committed %s %d", &input, &n); err == nil {
				committed[input] = max(committed[input], n)
			} else if _, err := fmt.Sscanf(line, "settled %s", &id); err == nil {
				if delivered[id] {
					say("%s was settled twice", id)
				}
				delivered[id] = true
			} else {
				say("child: %s", line)
			}
		})
		checkAfterKill(t, path, committed, delivered, say)
		if w != "" && len(problems) > 0 {
			break
		}
	}
	t.Logf("%d kills, acknowledged: %v, settled: %d", kills, committed, len(delivered))
	return len(delivered), problems
}

const killInputs = 4

func runAndKill(t *testing.T, path string, w wrong, after time.Duration, line func(string)) {
	child := exec.Command(os.Args[0], "-test.run=^TestKill$")
	child.Env = append(os.Environ(), "QUEUE_KILL_TEST="+path, "QUEUE_KILL_WRONG="+string(w))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var killed *time.Timer
	for lines.Scan() { // the clock starts when it has begun to work
		if killed == nil {
			killed = time.AfterFunc(after, func() { child.Process.Kill() })
		}
		line(lines.Text())
	}
	if err := child.Wait(); err == nil || child.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child ended by itself: %v", err)
	}
}

func checkAfterKill(t *testing.T, path string, committed map[string]int, delivered map[string]bool, say func(string, ...any)) {
	t.Helper()
	q := openAt(t, path, Options{Outputs: []string{"out"}})
	defer q.Close()
	if aside := damaged(path); len(aside) > 0 {
		t.Fatalf("a kill damaged the file: %q", aside)
	}
	there := map[string]bool{}
	for _, i := range next(t, q, "out") {
		id := i.Event.MessageID
		if there[id] || delivered[id] {
			say("%s is there twice", id)
		}
		there[id] = true
	}
	s := stats(t, q)
	unreported := int(s.Counters.Output("out", CountSent)) - len(delivered) // settled, and killed before it could say so
	missing := 0
	for input, n := range committed {
		c, err := q.Checkpoint(input)
		if v := stateOf(q, input, "next"); v != c["next"] {
			say("input %s: parser state says %s, checkpoint %s", input, v, c["next"])
		}
		at, _ := strconv.Atoi(c["next"])
		if err != nil || at < n {
			say("input %s: acknowledged up to %d, checkpoint %v, %v", input, n, c, err)
		}
		for i := range at {
			if id := killEvent(input, i).MessageID; !there[id] && !delivered[id] {
				missing++
				delivered[id] = true
			}
		}
	}
	if missing != unreported {
		say("%d stored events are missing, %d were settled unreported", missing, unreported)
	}
	checkAccounts(t, q, "out")
	checkStatistics(t, q)
}

func stateOf(q *Queue, input, key string) string {
	for k, v := range q.State(input) {
		if k == key {
			return string(v)
		}
	}
	return ""
}

func killEvent(input string, n int) event.Event {
	e := bounce(n)
	e.MessageID = fmt.Sprintf("%s-%d", input, n)
	e.QueueID, e.OtherQueueIDs, e.ProviderID = "", nil, ""
	e.ID = e.MakeID()
	return e
}

func killChild(path string, w wrong) {
	fail := func(err error) {
		fmt.Println(err)
		os.Exit(1)
	}
	q, err := Open(path, Options{Outputs: []string{"out"}, Counted: countOne, freshEnough: 500})
	if err != nil {
		fail(err)
	}
	var say sync.Mutex
	tell := func(format string, args ...any) {
		say.Lock()
		defer say.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	for i := range killInputs {
		go killCommit(q, fmt.Sprintf("in%d", i), w, tell, fail)
	}
	go func() {
		for {
			if err := q.Maintain(); err != nil {
				fail(err)
			}
			if err := shrinkNow(q); err != nil {
				fail(err)
			}
			q.lock <- struct{}{}
			err := q.guarded(q.replace) // whether it is worth it or not
			<-q.lock
			if err != nil {
				fail(err)
			}
		}
	}()
	for {
		items, err := q.Next(context.Background(), "out", 3)
		if err != nil {
			fail(err)
		}
		var s []Settled
		for _, i := range items {
			s = append(s, Settled{Seq: i.Seq, Outcome: Sent})
		}
		settle := func() {
			if err := q.Settle("out", s); err != nil {
				fail(err)
			}
		}
		if w != settledFirst {
			settle()
		}
		for _, i := range items {
			tell("settled %s", i.Event.MessageID)
		}
		if w == settledFirst {
			settle()
		}
	}
}

// killCommit goes on from its checkpoint, telling the last events again.
func killCommit(q *Queue, input string, w wrong, tell func(string, ...any), fail func(error)) {
	c, err := q.Checkpoint(input)
	if err != nil {
		fail(err)
	}
	start, _ := strconv.Atoi(c["next"])
	for n := start; ; n += 5 {
		b := Batch{Input: input, Counts: read(0)}
		for i := max(0, n-2); i < n+5; i++ {
			b.Events = append(b.Events, killEvent(input, i))
			b.Sent = append(b.Sent, [8]byte{byte(i), byte(i >> 8)})
			b.Counts[Figure{Word: CountRead}]++
		}
		next := strconv.Itoa(n + 5)
		b.Checkpoint = map[string]string{"next": next}
		b.Counted.Stats = []event.Stat{statRow("read", input, time.Now(), b.Counts[Figure{Word: CountRead}])}
		b.State = map[string][]byte{"next": []byte(next), strconv.Itoa(n): make([]byte, 100), strconv.Itoa(n - 50): nil}
		if w == acknowledgeFirst {
			tell("committed %s %d", input, n+5)
		}
		if w == checkpointFirst {
			if _, err := q.Commit(context.Background(), Batch{Input: input, State: b.State, Checkpoint: b.Checkpoint}); err != nil {
				fail(err)
			}
			b.State, b.Checkpoint = nil, nil
		}
		if _, err := q.Commit(context.Background(), b); err != nil {
			fail(err)
		}
		tell("committed %s %d", input, n+5)
	}
}
