package mailbox

import (
	"errors"
	"fmt"
	"slices"

	"github.com/emersion/go-imap/v2"
)

const (
	imapWindow    = 1000    // messages listed in one operation
	imapMaxList   = 1 << 17 // messages that one list holds; newer ones are for the next
	imapMaxExists = 1 << 24 // messages that a folder may have
)

// list gives the UIDs that were not read yet, in order. They are those of the last messages, because UIDs grow.
func (s *imapSession) list() ([]imap.UID, error) {
	s.conn.begin(maxOperation)
	if err := s.client.Noop().Wait(); err != nil { // brings the number of messages up to date
		return nil, s.failed("list messages", err)
	}
	folder := s.client.Mailbox()
	if folder == nil { // closed under us: deleted, or renamed
		if err := s.selectFolder(); err != nil {
			return nil, err
		}
		folder = s.client.Mailbox()
	}
	if folder == nil {
		return nil, s.failed("list messages", errors.New("the folder was closed"))
	}
	if folder.NumMessages > imapMaxExists {
		return nil, s.failed("list messages", fmt.Errorf("the server says there are %d, which is not believed", folder.NumMessages))
	}
	var all []imap.UID
	for last := folder.NumMessages; last > 0; {
		first := max(1, last-min(last, imapWindow)+1)
		uids, err := s.listWindow(first, last)
		if err != nil {
			return nil, s.failed("list messages", err)
		}
		if all = append(all, uids...); len(all) > imapMaxList {
			all = slices.Clone(all[len(all)-imapMaxList:]) // the windows go down: what is behind is older
		}
		if len(uids) == 0 || first == 1 {
			break
		}
		last = first - 1
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// listWindow gives the UIDs of some messages, downwards, that were not read yet.
func (s *imapSession) listWindow(first, last uint32) ([]imap.UID, error) {
	var window imap.SeqSet
	window.AddRange(first, last)
	var fresh imap.UIDSet
	fresh.AddRange(s.state.next, 0)
	s.conn.begin(maxOperation)
	data, err := s.client.UIDSearch(&imap.SearchCriteria{SeqNum: []imap.SeqSet{window}, UID: []imap.UIDSet{fresh}}, nil).Wait()
	if err != nil {
		return nil, err
	}
	found, ok := data.All.(imap.UIDSet)
	if !ok {
		return nil, errors.New("the server's answer to UID SEARCH has no UIDs")
	}
	uids, err := uidsOf(found)
	uids = slices.DeleteFunc(uids, func(uid imap.UID) bool { return uid < s.state.next }) // "N:*" always has the last one
	slices.Reverse(uids)
	return uids, err
}

// uidsOf gives the members of a set, at most imapWindow. The library's own function does not: one range makes it take
// all memory there is, the UID 4294967295 too, and 0 makes it panic.
func uidsOf(set imap.UIDSet) (uids []imap.UID, err error) {
	for _, r := range set {
		if r.Start == 0 || r.Stop < r.Start || r.Stop == 1<<32-1 || r.Stop-r.Start >= imap.UID(imapWindow-len(uids)) {
			return nil, errors.New("the server's answer to UID SEARCH has UIDs that can't be")
		}
		for uid := r.Start; uid <= r.Stop; uid++ {
			uids = append(uids, uid)
		}
	}
	return uids, nil
}
