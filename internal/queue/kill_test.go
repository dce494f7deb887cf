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
		killChild(path)
		return
	}
	t.Parallel()
	kills := 60
	if testing.Short() {
		kills = 8
	}
	path := filepath.Join(t.TempDir(), "queue.db")
	committed := map[string]int{}  // by input: events below this number are acknowledged
	delivered := map[string]bool{} // message ids acknowledged as settled
	random := rand.New(rand.NewPCG(5, 6))
	for range kills {
		runAndKill(t, path, time.Duration(random.IntN(60))*time.Millisecond, func(line string) {
			var input, id string
			var n int
			if _, err := fmt.Sscanf(line, "committed %s %d", &input, &n); err == nil {
				committed[input] = max(committed[input], n)
			} else if _, err := fmt.Sscanf(line, "settled %s", &id); err == nil {
				if delivered[id] {
					t.Errorf("%s was settled twice", id)
				}
				delivered[id] = true
			} else {
				t.Errorf("child: %s", line)
			}
		})
		checkAfterKill(t, path, committed, delivered)
	}
	t.Logf("%d kills, acknowledged: %v, settled: %d", kills, committed, len(delivered))
	if len(delivered) == 0 {
		t.Error("nothing was ever settled: the test shows nothing")
	}
}

const killInputs = 4

func runAndKill(t *testing.T, path string, after time.Duration, line func(string)) {
	child := exec.Command(os.Args[0], "-test.run=^TestKill$")
	child.Env = append(os.Environ(), "QUEUE_KILL_TEST="+path)
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

func checkAfterKill(t *testing.T, path string, committed map[string]int, delivered map[string]bool) {
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
			t.Errorf("%s is there twice", id)
		}
		there[id] = true
	}
	s := stats(t, q)
	unreported := int(s.Counters.Output("out", CountSent)) - len(delivered) // settled, and killed before it could say so
	missing := 0
	for input, n := range committed {
		c, err := q.Checkpoint(input)
		if v := stateOf(q, input, "next"); v != c["next"] {
			t.Errorf("input %s: parser state says %s, checkpoint %s", input, v, c["next"])
		}
		at, _ := strconv.Atoi(c["next"])
		if err != nil || at < n {
			t.Errorf("input %s: acknowledged up to %d, checkpoint %v, %v", input, n, c, err)
		}
		for i := range at {
			if id := killEvent(input, i).MessageID; !there[id] && !delivered[id] {
				missing++
				delivered[id] = true
			}
		}
	}
	if missing != unreported {
		t.Errorf("%d stored events are missing, %d were settled unreported", missing, unreported)
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

func killChild(path string) {
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
		go killCommit(q, fmt.Sprintf("in%d", i), tell, fail)
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
		if err := q.Settle("out", s); err != nil {
			fail(err)
		}
		for _, i := range items {
			tell("settled %s", i.Event.MessageID)
		}
	}
}

// killCommit goes on from its checkpoint, telling the last events again.
func killCommit(q *Queue, input string, tell func(string, ...any), fail func(error)) {
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
		if _, err := q.Commit(context.Background(), b); err != nil {
			fail(err)
		}
		tell("committed %s %d", input, n+5)
	}
}
