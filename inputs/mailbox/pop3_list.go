package mailbox

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
)

// pop3MaxList is how many messages are looked at; of more, the newest, which come last.
const pop3MaxList = 1 << 17

// list gives the messages of the mailbox in order, and their hashes as a set.
func (s *pop3Session) list() ([]pop3Message, hashSet, error) {
	list, err := s.listing("UIDL")
	if err == nil && (s.nameless > 0 || len(list) == 0) { // a message that has no UIDL would never be read
		err = errNoUIDL
	}
	if err != nil && s.conn.dead == nil {
		list, err = s.listByHeader()
	}
	if err != nil {
		return nil, nil, s.orLost(err, "list messages")
	}
	tellApart(list)
	listed := make(hashSet, len(list))
	for i, m := range list {
		listed[i] = m.hash
	}
	slices.Sort(listed)
	return list, listed, nil
}

var errNoUIDL = errors.New("the server's answer to UIDL lacks the name of a message")

// listing is the answer to UIDL or LIST: lines of a number and a word, which is hashed.
func (s *pop3Session) listing(command string) ([]pop3Message, error) {
	if _, err := s.command("%s", command); err != nil {
		return nil, err
	}
	var list []pop3Message
	over := 0
	s.nameless = 0
	err := s.conn.lines(func(line []byte, cut bool) bool {
		id, name, ok := parseListing(line)
		switch {
		case cut || !ok:
			s.nameless++
		case len(list) < pop3MaxList:
			list = append(list, pop3Message{id: id, hash: hash64(name)})
		default:
			list[over%pop3MaxList] = pop3Message{id: id, hash: hash64(name)}
			over++
		}
		return true
	})
	if over > 0 {
		s.log.Warn("more messages than are looked at, the oldest are left out", "over", over, "limit", pop3MaxList)
		slices.SortFunc(list, func(a, b pop3Message) int { return a.id - b.id })
	}
	return list, err
}

// parseListing reads "17 whqtswO00WBw418f9t5JxYwZ" (RFC 1939 §7). Longer names than the 70 bytes allowed do no harm.
func parseListing(line []byte) (id int, name []byte, ok bool) {
	number, name, found := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
	id, err := strconv.Atoi(string(number))
	name = bytes.TrimSpace(name)
	return id, name, found && err == nil && id > 0 && len(name) > 0
}

// listByHeader is for a server without UIDL: a message is known by its header and size.
func (s *pop3Session) listByHeader() ([]pop3Message, error) {
	list, err := s.listing("LIST")
	if err != nil {
		return nil, err
	}
	for i := range list {
		header, err := s.header(list[i].id)
		if err != nil {
			return nil, err
		}
		list[i].hash ^= header
	}
	return list, nil
}

// tellApart renames messages of one name, which no two should have: the second counts as another.
func tellApart(list []pop3Message) {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case list[a].hash < list[b].hash:
			return -1
		case list[a].hash > list[b].hash:
			return 1
		}
		return 0
	})
	times, last := uint64(0), uint64(0)
	for _, i := range order {
		if hash := list[i].hash; hash == last {
			times++
			list[i].hash += times
		} else {
			times, last = 0, hash
		}
	}
}
