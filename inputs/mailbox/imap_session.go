package mailbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"bouncefeed/inputs"
	"bouncefeed/internal/event"
)

const (
	imapMaxRetry = 1000 // messages that the server does not give are remembered
)

// imapSession is one connection, logged in.
type imapSession struct {
	*imapInput
	conn   *imapConn
	client *imapclient.Client
	caps   imap.CapSet // what the server can
	stop   func()
	news   chan struct{} // a message came while the server told
	sink   inputs.Sink

	state    *imapState
	selected bool
	changed  bool // the state is to be committed though no message is
	recs     []event.Record
	uids     []imap.UID
	bytes    int
}

func (s *imapSession) close() {
	s.stop()
	if s.client != nil {
		_ = s.client.Close()
	}
}

func (s *imapSession) logout() {
	s.conn.begin(maxOperation)
	_ = s.client.Logout().Wait()
}

// failed words an error at what was done.
func (s *imapSession) failed(doing string, err error) error {
	var answer *imap.Error
	if dead := s.conn.lost(); dead != nil && !errors.As(err, &answer) { // what the library says follows from that
		err = dead
	}
	return fmt.Errorf("%s at %s: %w", doing, s.config.serverSettings.String(), errors.New(serverWords(err.Error(), "")))
}

// selectFolder opens the folder, for reading only if nothing is to be changed in it.
func (s *imapSession) selectFolder() error {
	s.conn.begin(maxOperation)
	data, err := s.client.Select(s.config.Folder, &imap.SelectOptions{ReadOnly: s.config.After == afterLeave}).Wait()
	if err != nil {
		return s.failed("open folder "+s.config.Folder, err)
	}
	s.selected = true
	s.learnCaps()
	if data.UIDValidity == 0 {
		return s.failed("open folder "+s.config.Folder, errors.New("the server gives it no UIDVALIDITY, so its messages can't be told apart"))
	}
	if data.UIDValidity != s.state.validity { // the old UIDs mean nothing any more (RFC 3501 §2.3.1.1)
		if s.state.validity != 0 {
			s.log.Warn("the server numbered the folder anew: everything in it is read again", "folder", s.config.Folder)
		}
		*s.state = imapState{validity: data.UIDValidity, next: 1}
		s.changed = true
	}
	return nil
}

// read commits what is new and clears away what is to go.
func (s *imapSession) read(ctx context.Context) error {
	if !s.selected {
		if err := s.selectFolder(); err != nil {
			return err
		}
	}
	if err := s.clear(s.state.toClear); err != nil {
		return err
	}
	uids, err := s.list()
	if err != nil {
		return err
	}
	s.report(len(uids))
	for i, uid := range uids {
		if uid == s.broke { // last
			s.retryLater(uid)
		} else if err := s.message(ctx, uid); err != nil {
			return err
		}
		s.report(len(uids) - i - 1)
	}
	for _, uid := range slices.Clone(s.state.retry) {
		if err := s.message(ctx, uid); err != nil {
			return err
		}
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	s.report(0)
	if !s.changed {
		return nil
	}
	s.changed = false
	s.conn.begin(maxSession)
	return s.sink.Commit(ctx, nil, s.state.checkpoint())
}

func (s *imapSession) report(left int) {
	s.where.Store(&inputs.Position{At: fmt.Sprintf("%s: UID %d", s.String(), s.state.next), Lag: int64(left), Unit: "messages"})
}

// retryLater notes a message to be tried again after the others.
func (s *imapSession) retryLater(uid imap.UID) {
	if !slices.Contains(s.state.retry, uid) {
		s.state.retry = append(s.state.retry, uid)
	}
	s.state.next, s.changed = max(s.state.next, uid+1), true
}

// message reads one and adds it to the batch.
func (s *imapSession) message(ctx context.Context, uid imap.UID) error {
	rec, found, err := s.fetch(uid)
	if err != nil {
		return s.notGiven(ctx, uid, err)
	}
	if found {
		s.recs, s.bytes = append(s.recs, rec), s.bytes+len(rec.Body)
	} else { // deleted meanwhile
		s.recs = append(s.recs, event.Record{})
	}
	s.uids = append(s.uids, uid)
	if s.bytes < batchBytes && len(s.recs) < batchCount {
		return nil
	}
	return s.flush(ctx)
}

// notGiven is for a message that the server refuses, which is put off, or at which the connection broke: what was read
// before it is committed first.
func (s *imapSession) notGiven(ctx context.Context, uid imap.UID, err error) error {
	var answer *imap.Error
	refused := errors.As(err, &answer)
	if !refused {
		s.broke = uid
	}
	if ferr := s.flush(ctx); ferr != nil {
		return ferr
	}
	if !refused {
		return s.failed(fmt.Sprintf("read message %d", uid), err)
	}
	if !slices.Contains(s.state.retry, uid) {
		s.log.Warn("the server does not give a message, it is tried again", "uid", uid, "answer", serverWords(err.Error(), ""))
	}
	if len(s.state.retry) >= imapMaxRetry {
		return s.failed(fmt.Sprintf("read %d messages", imapMaxRetry), err)
	}
	s.retryLater(uid)
	return nil
}

// fetch reads one message up to its limit, piece by piece; found is false if it is not there any more.
func (s *imapSession) fetch(uid imap.UID) (rec event.Record, found bool, err error) {
	var body []byte
	var came time.Time
	end := time.Now().Add(maxSession)
	for {
		s.conn.begin(min(maxOperation, time.Until(end)))
		piece, at, ok, err := s.piece(uid, len(body))
		if err != nil || !ok {
			return rec, false, err
		}
		body, came = append(body, piece...), at
		if len(piece) < imapChunk || len(body) > maxMessage {
			break
		}
	}
	truncated := len(body) > maxMessage
	body = bytes.ReplaceAll(body[:min(len(body), maxMessage)], []byte("\r\n"), []byte("\n"))
	if came.After(time.Now()) {
		came = time.Time{}
	}
	return messageRecord(body, truncated, came), true, nil
}

// piece reads imapChunk bytes of a message from offset on, without setting \Seen; ok is false if it is not there.
func (s *imapSession) piece(uid imap.UID, offset int) (piece []byte, came time.Time, ok bool, err error) {
	empty := false
	cmd := s.client.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{UID: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{
		{Peek: true, Partial: &imap.SectionPartial{Offset: int64(offset), Size: imapChunk}},
	}})
	for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
		for item := msg.Next(); item != nil; item = msg.Next() {
			switch item := item.(type) {
			case imapclient.FetchItemDataInternalDate:
				came = item.Time
			case imapclient.FetchItemDataBodySection:
				ok = true
				if item.Literal == nil { // NIL: right behind the end of a message only
					empty = offset == 0
					continue
				}
				piece, err = io.ReadAll(item.Literal)
				if err == nil && int64(len(piece)) < item.Literal.Size() {
					err = io.ErrUnexpectedEOF
				}
				if err != nil { // the connection ended: the command must not be asked any more, it would go on reading
					return nil, came, false, err
				}
			}
		}
	}
	if err = cmd.Close(); err == nil && empty {
		err = &imap.Error{Type: imap.StatusResponseTypeNo, Text: "a message of nothing (NIL)"}
	}
	return piece, came, ok, err
}

// flush commits what was read; empty records stand for messages that are gone.
func (s *imapSession) flush(ctx context.Context) error {
	if len(s.uids) == 0 {
		return nil
	}
	var recs []event.Record
	var of []imap.UID
	for i, rec := range s.recs {
		if rec.Body != nil {
			recs, of = append(recs, rec), append(of, s.uids[i])
		}
	}
	pending := len(s.state.toClear)
	s.conn.begin(maxSession) // Commit may take its time
	err := commitFates(ctx, s.sink, recs, func(fates []event.Fate) map[string]string {
		for i, uid := range of {
			if s.config.clears(fates[i]) {
				s.state.toClear = append(s.state.toClear, uid)
			}
		}
		s.state.retry = slices.DeleteFunc(s.state.retry, func(uid imap.UID) bool { return slices.Contains(s.uids, uid) })
		s.state.next = max(s.state.next, slices.Max(s.uids)+1)
		return s.state.checkpoint()
	})
	if err != nil {
		return err
	}
	s.uids, s.recs, s.bytes, s.changed = nil, nil, 0, false
	return s.clear(s.state.toClear[pending:])
}

// errHungUp: the server need not keep a connection on which nothing happens (RFC 3501 §5.4).
var errHungUp = errors.New("the server hung up")

// idle waits until the server tells of a message or hangs up, or until the next poll.
func (s *imapSession) idle(ctx context.Context) error {
	select {
	case <-s.news: // came while the others were read
		return nil
	default:
	}
	err := s.waitTold(ctx)
	dead := s.conn.lost()
	switch {
	case errors.Is(dead, io.EOF), errors.Is(dead, io.ErrUnexpectedEOF):
		return errHungUp
	case err != nil && ctx.Err() == nil:
		return s.failed("wait for messages (IDLE)", err)
	}
	return nil
}

func (s *imapSession) waitTold(ctx context.Context) error {
	s.conn.begin(maxOperation)
	cmd, err := s.client.Idle()
	if err != nil {
		return err
	}
	s.conn.begin(s.config.Poll.Std() + s.config.Poll.Std()/5 + 2*maxOperation)
	timer := time.NewTimer(jitter(s.config.Poll.Std()))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
		s.selected = false // the folder may be another by now, of which this server would never tell
	case <-s.news:
	case <-s.client.Closed():
	}
	s.conn.begin(maxOperation)
	if err := cmd.Close(); err != nil {
		return err
	}
	return cmd.Wait()
}
