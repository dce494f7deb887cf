package outputs

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/jetstream"
)

// natsConfig is a section `type: nats`.
type natsConfig struct {
	Settings
	jetstream.Server
	// Subject is a form whose blanks become single tokens, whatever an event holds.
	Subject string `yaml:"subject"`
	// BatchSize is how many events are on their way at a time.
	BatchSize int `yaml:"batch"`
}

func init() {
	register("nats", natsConfig{
		Settings: Settings{Send: DefaultSend}, Server: jetstream.Defaults, Subject: "bounces.{{.host}}.{{.type}}", BatchSize: 100,
	}, newNATS)
}

const (
	natsMaxBatch = 10_000
	natsIdle     = 30 * time.Second // then the connection is closed
)

// subjectForm is a subject that an event may be published to.
var subjectForm = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// natsOutput publishes each event as its public JSON, a message of its own, to a stream of NATS JetStream. Its id is the
// event's, by which the stream knows what it has already. It is delivered once the stream has acknowledged that it is
// stored: the PubAck. What is published without one is published again.
type natsOutput struct {
	jetstream.Server
	subject *form
	host    string
	name    string

	mu   sync.Mutex // the timer closes the connection, too
	link *natsLink
	idle *time.Timer
}

// natsLink is one connection; it is not mended, but made anew.
type natsLink struct {
	conn    *nats.Conn
	answers *nats.Subscription
	prefix  string // of the subjects of answers
	sent    uint64 // numbers them

	mu      sync.Mutex
	trouble func(error) // of the Send that is under way
}

func newNATS(env config.Env, section config.Section, c *natsConfig) (Output, error) {
	errs := []error{c.Server.Check(section)}
	if c.BatchSize < 1 || c.BatchSize > natsMaxBatch {
		errs = append(errs, section.Errorf("batch", "must be from 1 to %d", natsMaxBatch))
	}
	c.Batch = c.BatchSize
	n := &natsOutput{Server: c.Server, host: jetstream.Token(env.Host), name: "bouncefeed/" + env.Version + " " + jetstream.Token(env.Host)}
	var err error
	if n.subject, err = parseForm(c.Subject, notEscaped); err == nil {
		_, err = n.subjectOf(&event.Event{ID: "x"})
	}
	if err != nil {
		errs = append(errs, section.Errorf("subject", "%v", err))
	}
	return n, config.Join("", errs...)
}

// subjectOf fills the subject in. What an event holds is a token before it comes near the form: no dot and no wildcard of
// a stranger's reaches it.
func (n *natsOutput) subjectOf(e *event.Event) (string, error) {
	data := formData([]event.Event{*e})
	delete(data, "events")
	for key, v := range data {
		data[key] = jetstream.Token(fmt.Sprint(v))
	}
	data["host"], data["bucket"] = n.host, e.Bucket()
	subject, err := n.subject.fill(data)
	switch {
	case err != nil:
		return "", err
	case !subjectForm.MatchString(subject):
		return "", fmt.Errorf("makes the subject %q: words of letters, digits, - and _ with dots between them are wanted", subject)
	}
	return subject, nil
}

func (n *natsOutput) Send(ctx context.Context, batch []event.Event) error {
	if len(batch) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	l, err := n.connected(ctx)
	if err != nil {
		return err
	}
	defer n.idle.Reset(natsIdle)
	limited, cancel := context.WithTimeoutCause(ctx, n.Timeout.Std(), fmt.Errorf("no PubAck within %s: is the stream's leader there?", n.Timeout.Std()))
	defer cancel()
	limited, stop := context.WithCancelCause(limited)
	defer stop(nil)
	defer l.tell(stop)()
	answered, err := n.publish(limited, l, batch)
	if answered {
		return err
	}
	n.hangUp() // what is on its way still is nobody's any more
	if ctx.Err() != nil {
		return fmt.Errorf("publish: %w", ctx.Err())
	}
	return err
}

// publish sends all of batch and waits for all answers. answered: there are as many as there should be, and the error is
// what they say: one that will never do, unless one asks to come again.
func (n *natsOutput) publish(ctx context.Context, l *natsLink, batch []event.Event) (answered bool, err error) {
	var never, later error
	note := func(err error) {
		switch {
		case err == nil:
		case event.IsPermanent(err):
			never = err
		default:
			later = err
		}
	}
	unanswered := map[uint64]bool{}
	for i := range batch {
		m, err := n.message(l, &batch[i])
		if err == nil {
			unanswered[l.sent] = true
			m.Reply = l.prefix + strconv.FormatUint(l.sent, 10)
			l.sent++
			err = l.conn.PublishMsg(m)
		}
		if err != nil && !event.IsPermanent(err) {
			return false, n.Explain(err)
		}
		note(err)
	}
	for len(unanswered) > 0 {
		m, err := l.answers.NextMsgWithContext(ctx)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return false, n.Explain(err)
		}
		number, err := strconv.ParseUint(m.Subject[len(l.prefix):], 10, 64)
		if err != nil || !unanswered[number] {
			continue // an answer twice
		}
		delete(unanswered, number)
		note(n.ReadAck(m))
	}
	return true, errors.Join(later, only(never, later == nil))
}

func only(err error, is bool) error {
	if is {
		return err
	}
	return nil
}

// message is e as it is published. A permanent error: it can't be.
func (n *natsOutput) message(l *natsLink, e *event.Event) (*nats.Msg, error) {
	body, err := encode(e)
	if err != nil {
		return nil, event.Permanent(err)
	}
	subject, err := n.subjectOf(e)
	if err != nil {
		return nil, event.Permanent(fmt.Errorf("subject: %w", err))
	}
	m := nats.NewMsg(subject)
	m.Data = body
	m.Header.Set(nats.MsgIdHdr, e.ID)
	m.Header.Set(nats.ExpectedStreamHdr, n.Stream)
	m.Header.Set("Content-Type", "application/json")
	if most := l.conn.MaxPayload(); int64(m.Size()) > most {
		return nil, event.Permanent(fmt.Errorf("the event has %d bytes and the server takes %d: raise its max_payload", m.Size(), most))
	}
	return m, nil
}

// connected is the connection, made if there is none.
func (n *natsOutput) connected(ctx context.Context) (*natsLink, error) {
	if n.link != nil && n.link.conn.IsConnected() {
		n.idle.Stop()
		return n.link, nil
	}
	n.hangUp()
	l := &natsLink{}
	conn, err := n.Connect(ctx, n.name, l.complain)
	if err != nil {
		return nil, err
	}
	l.conn, l.prefix = conn, conn.NewInbox()+"."
	if l.answers, err = conn.SubscribeSync(l.prefix + "*"); err != nil {
		conn.Close()
		return nil, n.Explain(err)
	}
	if err := l.answers.SetPendingLimits(2*natsMaxBatch, -1); err != nil {
		conn.Close()
		return nil, n.Explain(err)
	}
	n.link = l
	n.idle = time.AfterFunc(natsIdle, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.link == l {
			n.hangUp()
		}
	})
	return l, nil
}

func (n *natsOutput) hangUp() {
	if n.link != nil {
		n.idle.Stop()
		n.link.conn.Close()
		n.link = nil
	}
}

// tell has f told of the connection's trouble until the function that it gives is called.
func (l *natsLink) tell(f func(error)) (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trouble = f
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.trouble = nil
	}
}

func (l *natsLink) complain(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trouble != nil {
		l.trouble(err)
	}
}

// Needs implements jetstream.Needer.
func (n *natsOutput) Needs() jetstream.Need {
	prefix := ""
	for word := range strings.SplitSeq(n.subject.text, ".") {
		if !jetstream.IsToken(word) {
			break
		}
		prefix += word + "."
	}
	return jetstream.Need{Server: n.Server, Subjects: prefix + ">"}
}

// Probe implements Probe: it looks at the stream and publishes nothing.
func (n *natsOutput) Probe(ctx context.Context) ([]string, error) {
	conn, err := n.Connect(ctx, n.name, func(error) {})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	subject, err := n.subjectOf(&event.Event{ID: "x", Type: event.Hard})
	if err != nil {
		return nil, err
	}
	return n.Inspect(ctx, conn, subject)
}
