package nats

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"

	"bouncefeed/inputs"
	"bouncefeed/inputs/inputtest"
	"bouncefeed/internal/config"
	"bouncefeed/internal/e2e/e2etest"
	"bouncefeed/internal/event"
)

// fleet is a real server with a stream and a consumer.
type fleet struct {
	address string
	js      client.JetStreamContext
	n       int
}

// startFleet makes them; spoil changes the consumer before.
func startFleet(t *testing.T, spoil ...func(*client.ConsumerConfig)) *fleet {
	t.Helper()
	f := &fleet{address: e2etest.StartNATS(t, "")}
	f.make(t, spoil)
	return f
}

func (f *fleet) make(t *testing.T, spoil []func(*client.ConsumerConfig), login ...client.Option) {
	t.Helper()
	conn, err := client.Connect("nats://"+f.address, login...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if f.js, err = conn.JetStream(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.js.AddStream(&client.StreamConfig{Name: "BOUNCES", Subjects: []string{"bounces.>"}}); err != nil {
		t.Fatal(err)
	}
	g := &client.ConsumerConfig{Durable: "bouncefeed", AckPolicy: client.AckExplicitPolicy, AckWait: 2 * time.Second, MaxAckPending: 1000}
	for _, change := range spoil {
		change(g)
	}
	if _, err := f.js.AddConsumer("BOUNCES", g); err != nil {
		t.Fatal(err)
	}
}

// add publishes n messages.
func (f *fleet) add(t *testing.T, n int) (bodies []string) {
	t.Helper()
	for range n {
		f.n++
		body := `{"n":` + strconv.Itoa(f.n) + `}`
		if _, err := f.js.Publish("bounces.mx1.hard", []byte(body)); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, body)
	}
	return bodies
}

// left is how many messages are not acknowledged.
func (f *fleet) left(t *testing.T) int {
	t.Helper()
	info, err := f.js.ConsumerInfo("BOUNCES", "bouncefeed")
	if err != nil {
		t.Fatal(err)
	}
	return int(info.NumPending) + info.NumAckPending
}

func (f *fleet) input(t *testing.T, lines ...string) *natsInput {
	t.Helper()
	return mustBuild(t, append([]string{"servers: [nats://" + f.address + "]"}, lines...)...)
}

func mustBuild(t *testing.T, lines ...string) *natsInput {
	t.Helper()
	in, err := tryBuild(t, lines...)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func tryBuild(t *testing.T, lines ...string) (*natsInput, error) {
	t.Helper()
	c, err := config.Parse("test.yaml", []byte("inputs:\n  fleet:\n    type: nats\n    "+strings.Join(lines, "\n    ")+"\noutputs: {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	built, err := inputs.Modules.Build(config.Env{Name: "fleet", Host: "hub", Log: slog.New(slog.DiscardHandler)}, c.Inputs[0].Value)
	if err != nil {
		return nil, err
	}
	return built.Input.(*natsInput), nil
}

func TestConformance(t *testing.T) {
	for _, line := range []string{"double_ack: false", "double_ack: true"} {
		t.Run(line, func(t *testing.T) {
			inputtest.Conformance(t, func(t *testing.T) inputtest.Source {
				f := startFleet(t)
				return inputtest.Source{Input: f.input(t, line), Add: func(n int) []string { return f.add(t, n) }, Unordered: true}
			})
		})
	}
}

// Nothing is acknowledged before it is stored; what is, does not come again; what could not be, does.
func TestAcknowledgesAfterCommit(t *testing.T) {
	f := startFleet(t)
	want := f.add(t, 10)
	unacknowledged := make(chan int, 100)
	sink := &inputtest.Sink{Refuse: func(_ context.Context, recs []event.Record) error {
		if len(recs) > 0 {
			unacknowledged <- f.left(t)
		}
		return nil
	}}
	if err := inputtest.RunUntil(t, f.input(t), sink, func() bool { return sink.Has(want) && f.left(t) == 0 }); err != nil {
		t.Fatal(err)
	}
	if left := <-unacknowledged; left != len(want) {
		t.Errorf("while the first are stored %d of %d are not acknowledged", left, len(want))
	}
}

// While a full queue holds a commit up, the server hears again and again that its messages are being worked on.
func TestFullQueueHoldsMessages(t *testing.T) {
	f := startFleet(t, func(g *client.ConsumerConfig) { g.AckWait = 300 * time.Millisecond })
	conn, err := client.Connect("nats://" + f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	said := make(chan string, 1000)
	if _, err := conn.Subscribe("$JS.ACK.>", func(m *client.Msg) { said <- string(m.Data) }); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	want := f.add(t, 5)
	held := 0
	sink := &inputtest.Sink{Refuse: func(_ context.Context, recs []event.Record) error {
		for ; len(recs) > 0 && held < 20; held++ { // each at least three times, were it one batch
			if word := <-said; word != "+WPI" {
				t.Errorf("%s before anything is stored", word)
			}
		}
		return nil
	}}
	if err := inputtest.RunUntil(t, f.input(t), sink, func() bool { return sink.Has(want) && f.left(t) == 0 }); err != nil {
		t.Fatal(err)
	}
}

// fates is a sink that keeps aside what is no JSON.
type fates struct{ inputtest.Sink }

func (s *fates) CommitFates(ctx context.Context, recs []event.Record, checkpoint func([]event.Fate) map[string]string) error {
	all := make([]event.Fate, len(recs))
	for i := range recs {
		if all[i] = event.Understood; recs[i].Truncated || !strings.HasPrefix(string(recs[i].Body), "{") {
			all[i] = event.Kept
		}
	}
	return s.Commit(ctx, recs, checkpoint(all))
}

// What makes no sense is kept aside and does not come again.
func TestPoisonIsTerminated(t *testing.T) {
	f := startFleet(t)
	terminated := make(chan string, 10)
	conn, err := client.Connect("nats://" + f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>", func(m *client.Msg) { terminated <- string(m.Data) }); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	f.add(t, 1)
	for _, poison := range []string{"poison", "", strings.Repeat("x", maxBody-100)} {
		if _, err := f.js.Publish("bounces.mx1.hard", []byte(poison)); err != nil {
			t.Fatal(err)
		}
	}
	f.add(t, 1)
	sink := &fates{}
	if err := inputtest.RunUntil(t, f.input(t, "double_ack: true"), sink, func() bool { return f.left(t) == 0 }); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		<-terminated
	}
	if len(sink.Bodies) != 5 {
		t.Errorf("%d of 5 messages were handed over", len(sink.Bodies))
	}
}

// A consumer that loses what is not stored at once is not used.
func TestConsumersThatLose(t *testing.T) {
	for want, spoil := range map[string]func(*client.ConsumerConfig){
		"ack_policy none": func(g *client.ConsumerConfig) { g.AckPolicy, g.AckWait, g.MaxAckPending = client.AckNonePolicy, 0, 0 },
		"max_deliver 3":   func(g *client.ConsumerConfig) { g.MaxDeliver = 3 },
		"push consumer":   func(g *client.ConsumerConfig) { g.DeliverSubject = "there" },
	} {
		f := startFleet(t, spoil)
		f.add(t, 1)
		sink := &inputtest.Sink{}
		err := inputtest.RunUntil(t, f.input(t), sink, func() bool { return false })
		if err == nil || !strings.Contains(err.Error(), want) || len(sink.Bodies) > 0 {
			t.Errorf("%v, want %q", err, want)
		}
		if err := f.input(t).Probe(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Probe: %v, want %q", err, want)
		}
	}
}

func TestNoConsumer(t *testing.T) {
	f := startFleet(t)
	for line, want := range map[string]string{"consumer: other": "no such consumer", "stream: OTHER": "no such stream", "domain: leaf": "nobody answers"} {
		if err := f.input(t, line).Run(t.Context(), &inputtest.Sink{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
	if err := mustBuild(t, "servers: [nats://127.0.0.1:1]").Run(t.Context(), &inputtest.Sink{}); !errors.Is(err, client.ErrNoServers) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestMistakes(t *testing.T) {
	for line, want := range map[string]string{"consumer: a.b": "letters, digits", "batch: 0": "from 1 to 5000", "parser: native": "parser"} {
		if _, err := tryBuild(t, "servers: [nats://127.0.0.1:4222]", line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

// TestAcknowledgedBeforeCommitIsLost is the negative control: where a message counts as stored once it is sent, a commit
// that fails loses it.
func TestAcknowledgedBeforeCommitIsLost(t *testing.T) {
	for policy, lost := range map[client.AckPolicy]bool{client.AckExplicitPolicy: false, client.AckNonePolicy: true} {
		f := startFleet(t, func(g *client.ConsumerConfig) {
			if g.AckPolicy = policy; policy == client.AckNonePolicy {
				g.AckWait, g.MaxAckPending = 0, 0
			}
		})
		want := f.add(t, 10)
		crash := errors.New("the power is cut")
		sink := &inputtest.Sink{Refuse: func(context.Context, []event.Record) error { return crash }}
		n := f.input(t)
		run := func() error {
			conn, err := n.Connect(t.Context(), n.name, func(error) {})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			s := &session{natsInput: n, conn: conn, sink: sink, ackWait: time.Second}
			ctx, cancel := context.WithCancel(t.Context())
			var watching sync.WaitGroup
			defer watching.Wait()
			defer cancel()
			watching.Go(func() {
				e2etest.WaitFor(t, 10*time.Millisecond, "nothing is left", func() bool { return ctx.Err() != nil || f.left(t) == 0 })
				cancel()
			})
			return s.work(ctx) // as Run does, without looking at the consumer
		}
		if err := run(); !lost && !errors.Is(err, crash) {
			t.Errorf("%v: %v", policy, err)
		}
		sink.Refuse = nil
		_ = run()
		if got := len(sink.Bodies); lost && got >= len(want) || !lost && got < len(want) {
			t.Errorf("%v: %d of %d are stored, lost: %v", policy, got, len(want), lost)
		}
	}
}

// TestLeastPermissions holds docs/fleet.md to what it says that a hub needs to be allowed.
func TestLeastPermissions(t *testing.T) {
	f := &fleet{address: e2etest.StartNATS(t, `
authorization { users = [
	{ user: admin, password: admin }
	{ user: hub, password: hub, permissions: { publish: ["$JS.API.STREAM.INFO.BOUNCES", "$JS.API.CONSUMER.INFO.BOUNCES.bouncefeed",
	    "$JS.API.CONSUMER.MSG.NEXT.BOUNCES.bouncefeed", "$JS.ACK.BOUNCES.bouncefeed.>"], subscribe: ["_INBOX.>"] } }
] }`)}
	f.make(t, nil, client.UserInfo("admin", "admin"))
	t.Setenv("FLEET_PASSWORD", "hub")
	for _, line := range []string{"double_ack: false", "double_ack: true"} {
		in := f.input(t, "username: hub", "password_env: FLEET_PASSWORD", line)
		want := f.add(t, 3)
		sink := &inputtest.Sink{}
		if err := inputtest.RunUntil(t, in, sink, func() bool { return sink.Has(want) && f.left(t) == 0 }); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
