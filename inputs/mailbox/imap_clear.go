package mailbox

import (
	"errors"
	"fmt"
	"slices"

	"github.com/emersion/go-imap/v2"

	"bouncefeed/internal/event"
)

const (
	imapClear      = 100    // messages cleared away in one operation: some servers tell of each
	imapMaxPending = 10_000 // messages that could not be cleared away are remembered
	imapInRow      = 3      // refusals one after the other, and the rest is not tried one by one
)

// clears says whether something is to be done about a message of that fate.
func (c *imapConfig) clears(fate event.Fate) bool {
	if c.After == afterFlag || c.After == afterMove {
		return fate == event.Understood
	}
	return c.deletes(fate)
}

// clear does what is to be done about messages whose Commit is on disk. Done twice it does no harm. What the server
// refuses stays pending for the next poll, and bars no other message.
func (s *imapSession) clear(uids []imap.UID) error {
	if len(uids) == 0 {
		return nil
	}
	var pending []imap.UID
	var last error
	for some := range slices.Chunk(uids, imapClear) {
		left, err := s.clearSome(some)
		if err != nil && !isRefusal(err) {
			return s.failed("clear away messages (after: "+s.config.After+")", err)
		}
		if pending = append(pending, left...); err != nil {
			last = err
		}
	}
	kept := s.state.toClear[:len(s.state.toClear)-len(uids)] // uids are the last of them, or all
	s.state.toClear, s.changed = slices.Concat(kept, pending), s.changed || len(pending) < len(uids)
	s.sayPending(last)
	if len(s.state.toClear) > imapMaxPending {
		return s.failed(fmt.Sprintf("clear away %d messages (after: %s)", len(s.state.toClear), s.config.After), last)
	}
	return nil
}

// clearSome gives what is left of uids, and the last refusal. If the server refuses all together, one of them may be to
// blame.
func (s *imapSession) clearSome(uids []imap.UID) (left []imap.UID, last error) {
	s.conn.begin(maxOperation)
	err := s.clearAway(imap.UIDSetNum(uids...))
	if err == nil || !isRefusal(err) {
		return nil, err
	}
	if len(uids) == 1 {
		return uids, err
	}
	inRow := 0
	for i, uid := range uids {
		s.conn.begin(maxOperation)
		switch err := s.clearAway(imap.UIDSetNum(uid)); {
		case err == nil:
			inRow = 0
		case !isRefusal(err):
			return nil, err
		default:
			left, last = append(left, uid), err
			if inRow++; inRow == imapInRow {
				return append(left, uids[i+1:]...), err
			}
		}
	}
	return left, last
}

var errIgnored = errors.New("the server says OK to STORE and changes nothing")

// isRefusal says that the server answered, and would answer further commands.
func isRefusal(err error) bool {
	_, answered := errors.AsType[*imap.Error](err)
	return answered || errors.Is(err, errIgnored)
}

// sayPending says once that messages are not cleared away, until they are.
func (s *imapSession) sayPending(last error) {
	n := len(s.state.toClear)
	if n > 0 && !s.saidPending && last != nil {
		s.log.Warn("some messages can't be cleared away, they are kept as pending and tried again at every poll: check this user's rights to the folder and move_to",
			"after", s.config.After, "messages", n, "answer", serverWords(last.Error(), ""))
	}
	s.saidPending = n > 0
}

func (s *imapSession) clearAway(uids imap.UIDSet) error {
	switch {
	case s.config.After == afterLeave:
		return nil
	case s.config.After == afterFlag:
		return s.flag(uids, imap.FlagSeen)
	case s.config.After != afterMove:
		return s.delete(uids)
	case s.caps.Has(imap.CapMove):
		_, err := s.client.Move(uids, s.config.MoveTo).Wait()
		return err
	}
	if _, err := s.client.Copy(uids, s.config.MoveTo).Wait(); err != nil {
		return err
	}
	err := s.delete(uids)
	if err != nil && isRefusal(err) { // else they would be copied at every poll
		s.log.Warn("messages were copied and can't be deleted: they stay in both folders", "folder", s.config.Folder, "answer", serverWords(err.Error(), ""))
		return nil
	}
	return err
}

// flag sets a flag. A server whose access list does not allow that may say OK all the same, so it is looked at.
func (s *imapSession) flag(uids imap.UIDSet, flag imap.Flag) error {
	err := s.client.Store(uids, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{flag}}, nil).Close()
	if err != nil {
		return err
	}
	data, err := s.client.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{uids}, NotFlag: []imap.Flag{flag}}, nil).Wait()
	if err != nil {
		return err
	}
	if found, ok := data.All.(imap.UIDSet); ok && len(found) > 0 {
		return errIgnored
	}
	return nil
}

// delete flags messages as deleted and has them expunged; a server that can't expunge just these (UIDPLUS, RFC 4315)
// keeps them flagged, because others may be flagged there, too.
func (s *imapSession) delete(uids imap.UIDSet) error {
	if err := s.flag(uids, imap.FlagDeleted); err != nil || !s.caps.Has(imap.CapUIDPlus) {
		return err
	}
	return s.client.UIDExpunge(uids).Close()
}
