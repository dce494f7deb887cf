// Package nats takes the events that other bouncefeeds published to a stream of NATS JetStream. Whoever may publish there
// is believed, as another bouncefeed is that posts with the hub's secret.
package nats

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/config"
	"bouncefeed/internal/jetstream"
)

// natsConfig is a section `type: nats`.
type natsConfig struct {
	jetstream.Server
	Senders []string `yaml:"senders"`
	// Consumer is a durable pull consumer of the stream; 'bouncefeed nats setup' makes it.
	Consumer string `yaml:"consumer"`
	// BatchSize is how many messages are stored in one transaction at most.
	BatchSize int `yaml:"batch"`
	// DoubleAck waits until the server has noted each acknowledgement.
	DoubleAck bool `yaml:"double_ack"`
	embedded  inputs.Settings
}

// Common gives the agent the settings of any module; what is published is one format.
func (c *natsConfig) Common() *inputs.Settings {
	c.embedded = inputs.Settings{Parser: config.Section{Type: "standard"}, Senders: c.Senders}
	return &c.embedded
}

const (
	maxBatch  = 5000
	maxBody   = 1 << 20
	maxBytes  = 8 << 20 // of one batch
	heartbeat = 5 * time.Second
	expiry    = 60 * time.Second // of a request for messages; then it is made anew
	leastWait = 10 * time.Second // for an acknowledgement: a commit may take as long on a busy disk
)

func init() {
	inputs.Register("nats", natsConfig{Server: jetstream.Defaults, Consumer: "bouncefeed", BatchSize: 500}, build)
}

// natsInput takes messages from a durable pull consumer. They are acknowledged after the Commit that stored them, never
// before: what was not, comes again, and is then a repeat, known by its id. The consumer is the checkpoint.
type natsInput struct {
	jetstream.Server
	consumer  string
	batch     int
	doubleAck bool
	name      string // the connection's
	where     atomic.Pointer[inputs.Position]
}

func build(env config.Env, section config.Section, c *natsConfig) (inputs.Input, error) {
	errs := []error{c.Server.Check(section)}
	if !jetstream.IsToken(c.Consumer) {
		errs = append(errs, section.Errorf("consumer", "must be a name of letters, digits, - and _"))
	}
	if c.BatchSize < 1 || c.BatchSize > maxBatch {
		errs = append(errs, section.Errorf("batch", "must be from 1 to %d", maxBatch))
	}
	return &natsInput{
		Server: c.Server, consumer: c.Consumer, batch: c.BatchSize, doubleAck: c.DoubleAck,
		name: "bouncefeed/" + env.Version + " " + jetstream.Token(env.Host),
	}, config.Join("", errs...)
}

func (n *natsInput) String() string { return n.Server.String() + " consumer " + n.consumer }

// Needs implements jetstream.Needer.
func (n *natsInput) Needs() jetstream.Need {
	return jetstream.Need{Server: n.Server, Consumer: n.consumer}
}

// Report tells how many messages the stream still holds for this consumer.
func (n *natsInput) Report() inputs.Position {
	if w := n.where.Load(); w != nil {
		return *w
	}
	return inputs.Position{At: n.String(), Lag: -1, Unit: "messages"}
}

func (n *natsInput) stands(lag int64) {
	p := inputs.Position{At: n.String(), Lag: lag, Unit: "messages"}
	if lag == 0 {
		p.CaughtUp = time.Now()
	} else if before := n.where.Load(); before != nil {
		p.CaughtUp = before.CaughtUp
	}
	n.where.Store(&p)
}

// Probe looks at the stream and the consumer.
func (n *natsInput) Probe(ctx context.Context) error {
	conn, err := n.Connect(ctx, n.name, func(error) {})
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := n.Inspect(ctx, conn, ""); err != nil {
		return err
	}
	info, err := n.Consumer(ctx, conn, n.consumer)
	if err == nil && info.Config.AckWait < leastWait {
		err = fmt.Errorf("consumer %s: ack_wait %s: what is not stored in that time is sent again meanwhile: make it 60s", n.consumer, info.Config.AckWait)
	}
	return err
}

// Run implements Input.
func (n *natsInput) Run(ctx context.Context, sink inputs.Sink) error {
	working, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	conn, err := n.Connect(ctx, n.name, fail)
	if err != nil {
		return ended(ctx, err)
	}
	defer conn.Close()
	info, err := n.Consumer(working, conn, n.consumer)
	if err == nil {
		n.stands(lagOf(info))
		err = sink.Commit(working, nil, nil) // it works again
	}
	if err != nil {
		return ended(ctx, err)
	}
	s := &session{natsInput: n, conn: conn, sink: sink, ackWait: info.Config.AckWait}
	defer s.end()
	err = s.work(working)
	if cause := context.Cause(working); cause != nil && errors.Is(err, context.Canceled) {
		err = cause
	}
	return ended(ctx, err)
}

// ended is nil where Run was told to end.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
