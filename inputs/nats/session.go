package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	client "github.com/nats-io/nats.go"

	"bouncefeed/inputs"
	"bouncefeed/internal/event"
)

// session is one connection's work.
type session struct {
	*natsInput
	conn    *client.Conn
	sink    inputs.Sink
	ackWait time.Duration

	inbox    *client.Subscription
	asked    int       // messages that the server may still send
	lastSign time.Time // of the server's life
}

// work takes messages until ctx ends.
func (s *session) work(ctx context.Context) error {
	for {
		if s.asked == 0 {
			if err := s.ask(); err != nil {
				return err
			}
		}
		batch, err := s.gather(ctx)
		if err == nil && len(batch) > 0 {
			err = s.store(ctx, batch)
		}
		if err != nil {
			return err
		}
	}
}

// end gives back what was sent and not looked at, and withdraws the request: what the server sent to nobody would come
// only after ack_wait.
func (s *session) end() {
	if s.inbox == nil || !s.conn.IsConnected() {
		return
	}
	for n, _, _ := s.inbox.Pending(); n > 0; n-- {
		if m, err := s.inbox.NextMsg(time.Second); err == nil && m.Reply != "" {
			_ = m.Nak()
		}
	}
	_ = s.inbox.Unsubscribe()
	_ = s.conn.FlushTimeout(time.Second)
}

// ask lets the server send as much as one batch may hold.
func (s *session) ask() error {
	if s.inbox == nil {
		inbox, err := s.conn.SubscribeSync(s.conn.NewInbox())
		if err != nil {
			return s.Explain(err)
		}
		if err := inbox.SetPendingLimits(2*maxBatch, -1); err != nil {
			return s.Explain(err)
		}
		s.inbox = inbox
	}
	request, err := json.Marshal(map[string]any{"batch": s.batch, "expires": expiry, "idle_heartbeat": heartbeat})
	if err != nil {
		return err
	}
	s.asked, s.lastSign = s.batch, time.Now()
	return s.conn.PublishRequest(s.API("CONSUMER.MSG.NEXT."+s.Stream+"."+s.consumer), s.inbox.Subject, request)
}

// gather waits for a message and takes what came with it. None and no error: there are none at the moment.
func (s *session) gather(ctx context.Context) (batch []*client.Msg, err error) {
	limited, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	bytes := 0
	for len(batch) < s.batch && bytes < maxBytes {
		if n, _, _ := s.inbox.Pending(); n == 0 && len(batch) > 0 {
			break
		}
		m, err := s.inbox.NextMsgWithContext(limited)
		if err != nil {
			return nil, s.silent(ctx, err)
		}
		s.lastSign = time.Now()
		if m.Reply != "" {
			batch, bytes = append(batch, m), bytes+len(m.Data)
			s.asked--
		} else if err := s.status(ctx, m); err != nil {
			return nil, err
		}
		if len(batch) == 0 && s.asked == 0 {
			break
		}
	}
	return batch, nil
}

// silent judges that nothing came. Where not even a heartbeat did for a while, the request is lost: with a server that went.
func (s *session) silent(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !errors.Is(err, context.DeadlineExceeded):
		return s.Explain(err)
	}
	if time.Since(s.lastSign) > 3*heartbeat {
		s.asked = 0
		_ = s.inbox.Unsubscribe()
		s.inbox = nil
	}
	return nil
}

// status reads what the server says instead of a message.
func (s *session) status(ctx context.Context, m *client.Msg) error {
	code, text := m.Header.Get("Status"), m.Header.Get("Description")
	switch code {
	case "100": // a heartbeat: there is nothing
		return s.look(ctx)
	case "404", "408": // the request is over
		s.asked = 0
		return nil
	case "409":
		s.asked = 0
		switch text {
		case "Leadership Change", "Server Shutdown", "Batch Completed":
			return nil // another server has the consumer now
		}
		return fmt.Errorf("consumer %s: %q", s.consumer, text)
	case "503":
		return s.Explain(client.ErrNoResponders)
	}
	return fmt.Errorf("consumer %s answers with status %q %q", s.consumer, code, text)
}

// look asks how much there is: also what was sent to somebody and not acknowledged.
func (s *session) look(ctx context.Context) error {
	info, err := s.Consumer(ctx, s.conn, s.consumer)
	if err == nil {
		s.stands(lagOf(info))
	}
	return err
}

func lagOf(info *client.ConsumerInfo) int64 {
	return int64(info.NumPending) + int64(info.NumAckPending)
}

// store commits a batch and then, and only then, acknowledges it. What makes no sense is kept aside by Commit, and is not
// to come again. An error: it comes again.
func (s *session) store(ctx context.Context, batch []*client.Msg) error {
	recs := make([]event.Record, len(batch))
	for i, m := range batch {
		recs[i] = event.Record{Time: time.Now(), Body: m.Data[:min(len(m.Data), maxBody)], Truncated: len(m.Data) > maxBody}
	}
	var fates []event.Fate
	release := s.hold(batch)
	err := s.commit(ctx, recs, func(f []event.Fate) { fates = f })
	release()
	if err != nil {
		for _, m := range batch {
			_ = m.Nak()
		}
		return err
	}
	replies := make([]string, len(batch))
	for i := range batch {
		replies[i] = "+ACK"
		if fates != nil && fates[i] == event.Kept {
			replies[i] = "+TERM"
		}
	}
	if err := s.acknowledge(ctx, batch, replies); err != nil {
		return err
	}
	if last, err := batch[len(batch)-1].Metadata(); err == nil {
		s.stands(int64(last.NumPending))
	}
	return nil
}

func (s *session) commit(ctx context.Context, recs []event.Record, learn func([]event.Fate)) error {
	sink, ok := s.sink.(inputs.FateSink)
	if !ok {
		return s.sink.Commit(ctx, recs, nil)
	}
	return sink.CommitFates(ctx, recs, func(f []event.Fate) map[string]string { learn(f); return nil })
}

// hold says for as long as a commit takes, or waits for room in the queue, that it is being worked on.
func (s *session) hold(batch []*client.Msg) (release func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(max(s.ackWait/3, 100*time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				for _, m := range batch {
					_ = m.InProgress()
				}
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

// acknowledge says what became of a batch. With double_ack it waits until the server has noted all of it; without, what
// it never hears of comes again.
func (s *session) acknowledge(ctx context.Context, batch []*client.Msg, replies []string) error {
	if !s.doubleAck {
		for i, m := range batch {
			if err := s.conn.Publish(m.Reply, []byte(replies[i])); err != nil {
				return s.Explain(err)
			}
		}
		return nil
	}
	prefix := s.conn.NewInbox() + "."
	noted, err := s.conn.SubscribeSync(prefix + "*")
	if err != nil {
		return s.Explain(err)
	}
	defer noted.Unsubscribe()
	for i, m := range batch {
		if err := s.conn.PublishRequest(m.Reply, prefix+strconv.Itoa(i), []byte(replies[i])); err != nil {
			return s.Explain(err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout.Std())
	defer cancel()
	for range batch {
		if _, err := noted.NextMsgWithContext(ctx); err != nil {
			return fmt.Errorf("the acknowledgements are not noted, and the messages come again: %w", s.Explain(err))
		}
	}
	return nil
}
