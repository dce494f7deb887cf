package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bouncefeed/internal/e2e/e2etest"
)

// harnessCanFail is the negative control: it damages what Postfix logged, what the receiver recorded or what the daemon
// remembers, and the judge must name exactly that damage.
func harnessCanFail(t *testing.T, wants []want) {
	log := readFile(t, mailLog)
	victim := wants[slices.IndexFunc(wants, func(w want) bool { return w.scenario.name == "unknown" })]

	t.Run("Undamaged", func(t *testing.T) {
		v := replay(t, log, wants)
		mustSay(t, v.problems())
	})
	t.Run("LineMissing", func(t *testing.T) {
		v := replay(t, withoutLine(log, "to=<"+victim.recipient+">"), wants)
		mustSay(t, v.problems(), "lost: "+victim.recipient)
	})
	t.Run("ToldTwice", func(t *testing.T) { // as if a message had got a second identity
		var again strings.Builder
		for line := range strings.Lines(log) {
			if strings.Contains(line, " "+victim.queueID+":") {
				again.WriteString(strings.NewReplacer(victim.queueID, "F"+victim.queueID, victim.messageID, "other").Replace(line))
			}
		}
		v := replay(t, log+again.String(), wants)
		mustSay(t, v.problems(), "unexpected: "+victim.recipient)
	})
	t.Run("ReceiverForgets", func(t *testing.T) {
		r, _ := replayed(t, log)
		posts := slices.DeleteFunc(r.Seen(), func(p e2etest.Post) bool { return p.Email == victim.recipient })
		v := judge(wants, posts, sendAll)
		mustSay(t, v.problems(), "lost: "+victim.recipient)
	})
	t.Run("DaemonForgets", func(t *testing.T) { // a queue that loses what it had settled
		r, d := replayed(t, log)
		d.stop(t)
		if err := os.Remove(filepath.Join(d.dir, "queue.db")); err != nil {
			t.Fatal(err)
		}
		d.start(t)
		d.waitIdle(t)
		v := judge(wants, r.Seen(), sendAll)
		if len(v.repeated) != v.expected || len(v.lost)+len(v.doubled)+len(v.unexpected)+len(v.wrong) != 0 {
			t.Errorf("everything was told twice, but the judge says: %v", v)
		}
	})
}

// replayed lets a new daemon read a log from its beginning, until it is done.
func replayed(t *testing.T, log string) (*e2etest.Receiver, *daemon) {
	t.Helper()
	file := "/var/log/" + strings.ReplaceAll(t.Name(), "/", "_") + ".log"
	writeFile(t, file, log)
	r := startReceiver(t)
	d := newDaemon(t, r, file, sendAll)
	d.start(t)
	d.waitIdle(t)
	return r, d
}

func replay(t *testing.T, log string, wants []want) verdict {
	t.Helper()
	r, _ := replayed(t, log)
	return judge(wants, r.Seen(), sendAll)
}

// mustSay compares the problems found with the ones made, by their beginnings.
func mustSay(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(g, w string) bool { return strings.HasPrefix(g, w) }) {
		t.Errorf("the judge says %q, want %q", got, want)
	}
}

func withoutLine(log, containing string) string {
	var kept strings.Builder
	for line := range strings.Lines(log) {
		if !strings.Contains(line, containing) {
			kept.WriteString(line)
		}
	}
	if kept.Len() == len(log) {
		panic(fmt.Sprintf("no line holds %q", containing))
	}
	return kept.String()
}
