package maillog

// A queueKey names a queue file: a hash of the host, so that one log may hold several, and the queue id, padded.
type queueKey struct {
	host uint32
	id   [28]byte
}

func (k *queueKey) String() string {
	n := 0
	for n < len(k.id) && k.id[n] != 0 {
		n++
	}
	return string(k.id[:n])
}

// What a message may be, in message.flags. The bits are stored.
const (
	msgStored        = 1 << iota // the queue has it
	msgChanged                   // since the last Changes
	msgFirst                     // the first one with its Message-ID: others may be its re-injections
	msgQueued                    // the queue manager has seen it; before, it may never come to anything
	msgSender                    // sender is known
	_                            // was used once
	msgForeign                   // handed in by a client that is not ours: what it says of subscribers is not believed
	msgActive                    // deliveries under way and nothing told of them yet but re-injection
	msgReinjected                // came back under another queue id
	msgRequeued                  // queued again by the admin: comes back under another queue id
	msgForwarded                 // a copy made by an alias or .forward
	msgSeveral                   // has more than one recipient: what it says of a subscriber may be another's
	msgAuthenticated = 1 << 15   // the client has logged in
	msgBegun         = 1 << 16   // the line was seen that tells which client handed it in
	msgNotice        = 1 << 18   // the mail system's own, to the postmaster
	msgShared        = 1 << 17   // a foreign message has the same Message-ID: whatever comes under it may be that one's
)

// A message is what the log told of one queue file.
type message struct {
	key      queueKey
	instance uint32 // hash of the syslog_name; short queue ids of two instances may be alike
	flags    uint32
	arrived  int64 // Unix microseconds, by the log's clock
	active   int64 // when the queue manager last took it up; 0: not seen
	seen     int64 // of the last line
	left     int   // recipients not done with, of a log that tells their number; Postfix's tells when it removes a message
	sender   string
	id       string // Message-ID as logged, with angle brackets
	got      string // the first recipient who has it, as the sender knows him; more in details
	pending  []outcome
	more     *details // nil for nearly all

	sibling    *message // same host and queue id in another instance
	prev, next *message // in its list, by time of the last line
	size       int      // as counted in the memory's; 0 while arriving
}

// details are what few messages have.
type details struct {
	origin               string    // the queue id under which the sender handed it in, if it was another
	others               []string  // further queue ids it had in between
	passed               []string  // queue ids under which it came back, already gone again
	aliases              []string  // pairs: recipient and the address that the sender knows
	campaign, subscriber string    // from logged header fields
	delivered            []string  // recipients, as the sender knows them, who have the message, where others' failures may be theirs
	copies               []string  // pairs: a queue id that an alias or .forward made, and for whom
	failed               []outcome // failures that are not told yet: the recipient may have the message all the same
}

func (m *message) has(flag uint32) bool { return m.flags&flag != 0 }

// details gives what few messages have, to be read.
func (m *message) details() *details {
	if m.more == nil {
		return &noDetails
	}
	return m.more
}

var noDetails details // never written to

// editDetails gives the same to be written to.
func (m *message) editDetails() *details {
	if m.more == nil {
		m.more = &details{}
	}
	return m.more
}

const messageSize = 320 // bytes of a message in memory, without its strings

func (m *message) measure() int {
	n := messageSize + len(m.sender) + len(m.id) + len(m.got)
	n += measureOutcomes(m.pending)
	if d := m.more; d != nil {
		n += 200
		for _, list := range d.lists() {
			for _, s := range *list {
				n += 16 + len(s)
			}
		}
		n += measureOutcomes(d.failed)
	}
	return n
}

func measureOutcomes(list []outcome) (n int) {
	for i := range list {
		o := &list[i]
		n += 128 + len(o.to) + len(o.origTo) + len(o.remote) + len(o.status) + len(o.diagnostic) + len(o.returnPath)
	}
	return n
}

// A messageList holds messages by the time of their last line, the oldest first.
type messageList struct{ oldest, newest *message }

func (l *messageList) add(m *message) {
	m.prev, m.next = l.newest, nil
	if l.newest == nil {
		l.oldest = m
	} else {
		l.newest.next = m
	}
	l.newest = m
}

func (l *messageList) remove(m *message) {
	if m.prev == nil {
		l.oldest = m.next
	} else {
		m.prev.next = m.next
	}
	if m.next == nil {
		l.newest = m.prev
	} else {
		m.next.prev = m.prev
	}
	m.prev, m.next = nil, nil
}
