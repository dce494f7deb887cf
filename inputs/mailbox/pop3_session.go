package mailbox

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"bouncefeed/inputs"

	"github.com/knadh/go-pop3"
)

// Limits of one session; what is beyond them is for the next.
const (
	pop3MaxFetched = 5000             // messages: their deletion counts only once the session ends well
	pop3MaxRefused = 20               // messages in a row that the server will not give
	pop3Spare      = 2 * maxOperation // of the session's time, to end it well
)

// pop3Session is one connection, logged in.
type pop3Session struct {
	*pop3Input
	*mailBatch
	conn *pop3Conn
	pop  *pop3.Conn
	stop func()

	scratch []byte        // the message being received
	read    []pop3Message // the batch

	nameless int // lines of the last listing that name no message

	fetched, refused, inRow int
	deleted, undeleted      int    // DELE was answered +OK, or was not
	answer                  string // to the last of those
}

// pop3Message is one message on the server.
type pop3Message struct {
	id   int    // its number in this session
	hash uint64 // of its name
}

func (s *pop3Session) close() {
	s.stop()
	s.conn.Close()
}

// lost words the end of the connection at what was done.
func (s *pop3Session) lost(doing string) error {
	return fmt.Errorf("%s at %s: %w", doing, s.server.String(), s.conn.dead)
}

// work commits what is new, deletes what is to be deleted, and says whether there is more.
func (s *pop3Session) work(ctx context.Context) (again bool, err error) {
	list, listed, err := s.list()
	if err != nil {
		return false, err
	}
	s.changed = s.state.keep(listed) || s.changed
	left := 0
	for _, m := range list {
		if !s.state.seen.has(m.hash) {
			left++
		}
	}
	for _, last := range []bool{false, true} {
		for i := 0; i < len(list) && s.fits(); i++ {
			if m := list[i]; s.slow[m.hash] == last && !s.state.seen.has(m.hash) {
				s.report(len(list), left)
				if err := s.message(ctx, m); err != nil {
					return false, err
				}
				left--
			}
		}
	}
	if err := s.flush(ctx); err != nil {
		return false, err
	}
	s.report(len(list), left)
	done := s.fetched - s.refused + s.deleted
	if left > 0 && done == 0 && !s.fits() {
		return false, fmt.Errorf("%s: listing %d messages took the whole session: the server offers no UIDL, so let delete-all keep the mailbox small", s.server.String(), len(list))
	}
	return left > 0 && done > 0 && !s.fits(), s.end(ctx)
}

func (s *pop3Session) report(total, left int) {
	s.where.Store(&inputs.Position{At: fmt.Sprintf("%s: message %d of %d", s.server.String(), total-left, total), Lag: int64(left), Unit: "messages"})
}

// fits says whether one more message does.
func (s *pop3Session) fits() bool {
	return s.fetched+s.deleted < pop3MaxFetched && time.Until(s.conn.end) > pop3Spare
}

// message reads one that is not known, or deletes one that is known to be deleted.
func (s *pop3Session) message(ctx context.Context, m pop3Message) error {
	if want, committed := s.state.toClear[m.hash]; committed {
		header, err := s.header(m.id)
		if err != nil {
			return err
		}
		if header == want {
			return s.delete(m)
		}
	}
	s.fetched++
	truncated, err := s.retrieve(m.id)
	if err != nil && (s.conn.dead == nil || !truncated) {
		return s.notGiven(ctx, m, err)
	}
	s.inRow = 0
	body := bytes.Clone(s.scratch)
	s.read = append(s.read, m)
	full := s.add(m.hash, headerHash(headerOf(body)), messageRecord(body, truncated, time.Time{}))
	if !full && s.conn.dead == nil {
		return nil
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	if s.conn.dead != nil { // the beginning is enough, but the connection was given up for the rest
		return s.lost(fmt.Sprintf("skip the rest of message %d", m.id))
	}
	return nil
}

// notGiven is for a RETR that failed: a broken session commits what it has and ends, a refused message is for the next.
func (s *pop3Session) notGiven(ctx context.Context, m pop3Message, err error) error {
	if s.conn.dead != nil {
		if err := s.flush(ctx); err != nil {
			return err
		}
		if len(s.slow) >= batchCount {
			s.slow = nil
		}
		if s.slow == nil {
			s.slow = map[uint64]bool{}
		}
		s.slow[m.hash] = true
		return s.lost(fmt.Sprintf("read message %d", m.id))
	}
	s.refused++
	if s.inRow++; s.inRow >= pop3MaxRefused {
		return fmt.Errorf("%s: the server refuses %d messages one after the other: %s", s.server.String(), s.inRow, serverWords(err.Error(), ""))
	}
	return nil
}

// flush commits what was read and marks for deletion what may go.
func (s *pop3Session) flush(ctx context.Context) error {
	toClear, err := s.commit(ctx)
	if err != nil {
		return err
	}
	for _, i := range toClear {
		if err := s.delete(s.read[i]); err != nil {
			return err
		}
	}
	s.read = s.read[:0]
	return nil
}

// delete marks a message whose Commit is on disk; the server deletes it at QUIT.
func (s *pop3Session) delete(m pop3Message) error {
	if s.conn.dead != nil {
		return nil // the next session does it
	}
	err := s.pop.Dele(m.id)
	switch {
	case s.conn.dead != nil:
		return s.lost(fmt.Sprintf("delete message %d", m.id))
	case err != nil: // it stays, and is known
		s.undeleted, s.answer = s.undeleted+1, serverWords(err.Error(), "")
		s.state.stays(m.hash)
		s.changed = true
	default:
		s.deleted++
	}
	return nil
}

// end has the server delete what is marked. Whether it did is seen in the next session's list: until then the state
// holds it.
func (s *pop3Session) end(ctx context.Context) error {
	s.complain()
	if _ = s.pop.Quit(); s.conn.dead != nil && s.deleted > 0 {
		return s.lost("delete messages (QUIT)")
	}
	return s.settle(ctx)
}

func (s *pop3Session) complain() {
	if s.refused != s.warned {
		s.warned = s.refused
		if s.refused > 0 {
			s.log.Warn("the server does not give some messages, they are tried again at every poll", "messages", s.refused)
		}
	}
	if s.undeleted > 0 {
		s.log.Warn("the server does not delete some messages, they stay there", "messages", s.undeleted, "answer", s.answer)
	}
}

// retrieve reads a message into s.scratch. Of a large one the beginning is kept: truncated with an error says that the
// connection is lost over skipping the rest.
func (s *pop3Session) retrieve(id int) (truncated bool, err error) {
	s.scratch = s.scratch[:0]
	if _, err := s.command("RETR %d", id); err != nil {
		return false, err
	}
	err = s.conn.lines(func(line []byte, cut bool) bool {
		if len(s.scratch)+len(line) < maxMessage {
			s.scratch = append(append(s.scratch, line...), '\n')
			truncated = truncated || cut
		} else {
			s.scratch = append(s.scratch, line[:max(0, maxMessage-len(s.scratch))]...)
			truncated = true
		}
		return true
	})
	return truncated && (err == nil || len(s.scratch) == maxMessage), err
}

// header is the hash of a message's header; by TOP, which is optional, or by reading the message.
func (s *pop3Session) header(id int) (uint64, error) {
	if _, err := s.command("TOP %d 0", id); err != nil {
		if s.conn.dead != nil {
			return 0, s.lost("read a header")
		}
		if _, err := s.retrieve(id); err != nil {
			return 0, s.orLost(err, "read a message for its header")
		}
		return headerHash(headerOf(s.scratch)), nil
	}
	s.scratch = s.scratch[:0]
	err := s.conn.lines(func(line []byte, _ bool) bool {
		if len(s.scratch) < maxHeader {
			s.scratch = append(append(s.scratch, line...), '\n')
		}
		return true
	})
	if err != nil {
		return 0, s.lost("read a header")
	}
	return headerHash(headerOf(s.scratch)), nil
}

func (s *pop3Session) orLost(err error, doing string) error {
	if s.conn.dead != nil {
		return s.lost(doing)
	}
	return fmt.Errorf("%s at %s: %s", doing, s.server.String(), serverWords(err.Error(), ""))
}

// command sends a command and reads its status line, nothing behind it.
func (s *pop3Session) command(format string, args ...any) (string, error) {
	b, err := s.pop.Cmd(fmt.Sprintf(format, args...), false)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}

// headerHash stands for a header, without the fields in which servers keep what was read.
func headerHash(header []byte) uint64 {
	var kept [][]byte
	skip := false
	for line := range bytes.Lines(header) {
		if line[0] != ' ' && line[0] != '\t' {
			name, _, _ := bytes.Cut(line, []byte(":"))
			switch strings.ToLower(string(name)) {
			case "status", "x-status", "x-uidl", "x-uid", "x-keywords":
				skip = true
			default:
				skip = false
			}
		}
		if !skip {
			kept = append(kept, bytes.TrimRight(line, "\r\n"))
		}
	}
	return max(1, hash64(kept...))
}
