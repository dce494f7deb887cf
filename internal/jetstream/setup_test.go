package jetstream_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"bouncefeed/internal/config"
	"bouncefeed/internal/e2e/e2etest"
	"bouncefeed/internal/jetstream"
)

var wish = jetstream.Wish{MaxAge: 15 * 24 * time.Hour, MaxBytes: 1 << 30, Window: 24 * time.Hour}

// connect gives a connection to a real server of its own.
func connect(t *testing.T) (*jetstream.Server, *nats.Conn) {
	t.Helper()
	s := &jetstream.Server{Servers: []string{"nats://" + e2etest.StartNATS(t, "")}, Stream: "BOUNCES", Timeout: config.Duration(e2etest.Patience)}
	conn, err := s.Connect(t.Context(), "test", func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return s, conn
}

// plan gives the steps as lines, and does them if it is told to.
func plan(t *testing.T, s *jetstream.Server, c *nats.Conn, n jetstream.Need, w jetstream.Wish, apply bool) string {
	t.Helper()
	steps, err := s.Plan(t.Context(), c, n, w)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, step := range steps {
		lines = append(lines, step.What+": "+step.Detail)
		if apply {
			if err := s.Apply(t.Context(), c, step); err != nil {
				t.Fatalf("%s: %s: %v", step.What, step.Detail, err)
			}
		}
	}
	return strings.Join(lines, "\n")
}

func TestSetup(t *testing.T) {
	s, c := connect(t)
	need := jetstream.Need{Server: *s, Subjects: "bounces.>", Consumer: "bouncefeed"}
	first := plan(t, s, c, need, wish, false)
	if _, err := s.Inspect(t.Context(), c, "bounces.mx1.hard"); err == nil {
		t.Fatal("to tell what is to be done made the stream")
	}
	for _, want := range []string{"stream BOUNCES: create it", "discard new", "duplicate_window 24h", "max_age 360h", "retention limits", "storage file", "consumer bouncefeed of BOUNCES: create it", "ack_policy explicit", "ack_wait 1m", "max_deliver -1"} {
		if !strings.Contains(first, want) {
			t.Errorf("lacks %q: %s", want, first)
		}
	}
	if again := plan(t, s, c, need, wish, true); again != first {
		t.Errorf("told %q, did %q", first, again)
	}
	const done = "stream BOUNCES: \nconsumer bouncefeed of BOUNCES: "
	if left := plan(t, s, c, need, wish, false); left != done {
		t.Errorf("left to do: %q", left)
	}
	found, err := s.Inspect(t.Context(), c, "bounces.mx1.hard")
	if err != nil || len(found) != 2 || !strings.Contains(found[1], "sync_interval") {
		t.Errorf("%q, %v", found, err)
	}
	if _, err := s.Consumer(t.Context(), c, "bouncefeed"); err != nil {
		t.Error(err)
	}
}

// What somebody made otherwise is mended where it must be, and left as it is where it may be.
func TestSetupMends(t *testing.T) {
	s, c := connect(t)
	js, err := c.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.AddStream(&nats.StreamConfig{Name: "BOUNCES", Description: "ours", Subjects: []string{"old.>"}, MaxAge: 30 * 24 * time.Hour, MaxMsgsPerSubject: 7}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.AddConsumer("BOUNCES", &nats.ConsumerConfig{Durable: "bouncefeed", AckPolicy: nats.AckExplicitPolicy, MaxDeliver: 3, AckWait: 5 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	need := jetstream.Need{Server: *s, Subjects: "bounces.>", Consumer: "bouncefeed"}
	if _, err := s.Inspect(t.Context(), c, "bounces.mx1.hard"); err == nil || !strings.Contains(err.Error(), "does not take the subject") {
		t.Errorf("a stream of other subjects: %v", err)
	}
	const want = "stream BOUNCES: discard old → new, duplicate_window 2m → 24h, subjects [old.>] → [old.> bounces.>]\n" +
		"consumer bouncefeed of BOUNCES: max_ack_pending 1000 → 5000, max_deliver 3 → -1"
	if got := plan(t, s, c, need, wish, true); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	info, err := js.StreamInfo("BOUNCES")
	if err != nil || info.Config.Description != "ours" || info.Config.MaxMsgsPerSubject != 7 || info.Config.MaxAge != 30*24*time.Hour || info.Config.Discard != nats.DiscardNew {
		t.Errorf("%v, %+v", err, info.Config)
	}
}

// Every bucket has one consumer, and one only.
func TestSetupPartitions(t *testing.T) {
	s, c := connect(t)
	js, err := c.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	three := wish
	three.Partitions = 3
	plan(t, s, c, jetstream.Need{Server: *s, Subjects: "bounces.>", Consumer: "bouncefeed-1"}, three, true)
	const n = 256
	for i := range n {
		if _, err := js.Publish("bounces.mx1.hard."+string("0123456789abcdef"[i/16])+string("0123456789abcdef"[i%16]), nil); err != nil {
			t.Fatal(err)
		}
	}
	sum := uint64(0)
	for _, name := range []string{"bouncefeed-0", "bouncefeed-1", "bouncefeed-2"} {
		info, err := s.Consumer(t.Context(), c, name)
		if err != nil {
			t.Fatal(err)
		}
		if info.NumPending < n/6 {
			t.Errorf("%s has %d of %d", name, info.NumPending, n)
		}
		sum += info.NumPending
	}
	if sum != n {
		t.Errorf("the three have %d of %d messages", sum, n)
	}
}
