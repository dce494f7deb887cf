package queue

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

func TestCounterText(t *testing.T) {
	t.Parallel()
	for text, c := range map[string]Counter{
		"input/postfix/read":               inputCounter("postfix", CountRead),
		"input/mail.log-1/ignored/repeat":  repeated("mail.log-1"),
		"input/hooks/refused/two_readings": {InputSide, "hooks", RefusedAs("two_readings")},
		"input/hooks/refused/a/b":          {InputSide, "hooks", RefusedAs("a/b")},
		"input/read/read":                  inputCounter("read", CountRead),
		"output/listmonk/not_sent":         outputCounter("listmonk", CountNotSent),
		"output/listmonk/dead_lost":        outputCounter("listmonk", CountDeadLost),
	} {
		if c.String() != text {
			t.Errorf("%+v is written %q, want %q", c, c, text)
		}
		if got, err := ParseCounter(text); got != c || err != nil {
			t.Errorf("%q is read as %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "input", "input/", "input/a", "input/a/", "input//read", "queue/a/read", "input/a/ignored/", "/a/read"} {
		if c, err := ParseCounter(text); err == nil {
			t.Errorf("%q is read as %+v", text, c)
		}
	}
}

func TestCountersAsJSON(t *testing.T) {
	t.Parallel()
	const text = `{"input/in/ignored/repeat":2,"input/in/read":3,"output/out/sent":1}`
	var c Counters
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if c.Input("in", CountRead) != 3 || c[repeated("in")] != 2 || c.Output("out", CountSent) != 1 || c.Output("in", CountRead) != 0 {
		t.Errorf("read: %v", c)
	}
	if again, err := json.Marshal(c); string(again) != text || err != nil {
		t.Errorf("written %s, %v", again, err)
	}
	if err := json.Unmarshal([]byte(`{"nonsense":1}`), &c); err == nil {
		t.Error("a counter of no module was read")
	}
}

// A counter that cannot be one is damage: its file is repaired without it.
func TestDamagedCounterNames(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	filled(t, path)
	db, err := bbolt.Open(path, 0o600, boltOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		return putSealed(tx.Bucket(bucketCounters), []byte("inpux/in/queued"), number(7))
	}); err != nil {
		t.Fatal(err)
	}
	db.Close()
	q := openAt(t, path, Options{Outputs: []string{"out"}})
	if len(damaged(path)) != 1 {
		t.Error("not found")
	}
	if s := stats(t, q); s.Counters.Input("in", CountQueued) != 300 || s.Pending["out"] != 200 {
		t.Errorf("stats: %+v", s)
	}
}

func FuzzParseCounter(f *testing.F) {
	f.Add("input/in/ignored/repeat")
	f.Add("output/out/sent")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseCounter(text); err == nil && c.String() != text {
			t.Errorf("%q is read as %+v and written %q", text, c, c)
		}
	})
}
