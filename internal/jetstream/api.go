package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Ack is JetStream's answer to a message: it has a place in the stream, or it is refused.
type Ack struct {
	Stream    string         `json:"stream"`
	Sequence  uint64         `json:"seq"`
	Duplicate bool           `json:"duplicate"` // of an id within the duplicate window: nothing was stored
	Error     *nats.APIError `json:"error"`
}

// ReadAck reads the answer to a message. The error says why it has no place in the stream.
func (s *Server) ReadAck(m *nats.Msg) error {
	var a Ack
	switch err := json.Unmarshal(m.Data, &a); {
	case err != nil:
		return errors.New("what came is no PubAck of JetStream: something else answers on this subject")
	case a.Error != nil:
		return s.Explain(a.Error)
	case a.Stream != s.Stream || a.Sequence == 0:
		return fmt.Errorf("the PubAck is not of stream %s", s.Stream)
	}
	return nil
}

// API is the subject of a call of JetStream's, "STREAM.INFO.BOUNCES".
func (s *Server) API(call string) string {
	if s.Domain != "" {
		return "$JS." + s.Domain + ".API." + call
	}
	return "$JS.API." + call
}

// Ask makes a call and reads the answer into out. The error says what went wrong, in words.
func (s *Server) Ask(ctx context.Context, c *nats.Conn, call string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout.Std())
	defer cancel()
	var body []byte
	var err error
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	m, err := c.RequestWithContext(ctx, s.API(call), body)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: no answer within %s: has JetStream a leader, and may this account ask (permissions for $JS.API.> and _INBOX.>)? %w", call, s.Timeout.Std(), err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", call, s.Explain(err))
	}
	var failed struct {
		Error *nats.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &failed); err != nil {
		return fmt.Errorf("%s: the answer is none of JetStream's: %w", call, err)
	}
	if failed.Error != nil {
		return fmt.Errorf("%s: %w", call, s.Explain(failed.Error))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(m.Data, out)
}
