package maillog

import "time"

// memory is what the parser knows of messages that are not done with. It is bounded in bytes and in age: what
// was not heard of for longest is forgotten first. Nothing worse follows than a report without its Message-ID, for the
// queue manager names the sender again before each attempt.
type memory struct {
	messages map[queueKey]*message // the head of its siblings
	firsts   map[string]*message   // by Message-ID
	queued   messageList           // the queue manager has them
	arriving waitingRoom           // not yet; many of these are rejected and never heard of again
	strange  waitingRoom           // the same of foreign clients, who can begin any number: they must not crowd out ours
	flooded  int64                 // when strange was last too long, Unix microseconds; 0: never
	size     int                   // of those queued
	forgot   int64                 // when one of ours was last forgotten for want of room, Unix microseconds; 0: never
	limit    int
	maxAge   time.Duration

	spill     spill
	undecided map[*message]int64 // those with failures that are not told yet, and since when
	orphans   []*message         // such as were forgotten

	changed []*message
	gone    []string // stored keys
	free    []*message
}

// defaultMemory holds some 23 000 messages that wait for another attempt, or 40 000 before their first. What is full
// makes the garbage collector work, and the queue's file grow by nearly twice as much.
const defaultMemory = 16 << 20

const (
	maxFree        = 1 << 10
	maxArriving    = 4 << 10
	arrivingMaxAge = 24 * time.Hour
)

func newMemory(limit int, maxAge time.Duration) *memory {
	return &memory{
		messages: map[queueKey]*message{}, firsts: map[string]*message{}, undecided: map[*message]int64{}, limit: limit, maxAge: maxAge,
		spill: newSpill(nil),
	}
}

func (p *memory) list(m *message) *messageList {
	if m.has(msgQueued) {
		return &p.queued
	}
	return &p.room(m).messageList
}

// room is where m waits for the queue manager.
func (p *memory) room(m *message) *waitingRoom {
	if m.has(msgForeign) {
		return &p.strange
	}
	return &p.arriving
}

// A waitingRoom is a list whose length counts.
type waitingRoom struct {
	messageList
	waiting int
}

// setOrigin notes from whom m comes: of the flags msgBegun and msgForeign those that hold.
func (p *memory) setOrigin(m *message, flags uint32) {
	if m.has(msgQueued) || m.flags&msgForeign == flags&msgForeign {
		m.flags = m.flags&^(msgBegun|msgForeign) | flags
		return
	}
	from := p.room(m)
	from.remove(m)
	from.waiting--
	m.flags = m.flags&^(msgBegun|msgForeign) | flags
	to := p.room(m)
	to.add(m)
	to.waiting++
	if before := m.prev; before != nil { // the order of the list that it is in now
		m.seen = max(m.seen, before.seen)
	}
}

// find gives the message of a queue id in an instance. A service may log under a syslog_name of its own
// (master.cf: -o syslog_name=outbound), so the id in another instance counts where there is none in this.
func (p *memory) find(key *queueKey, instance uint32) *message {
	other := p.messages[*key]
	for m := other; m != nil; m = m.sibling {
		if m.instance == instance {
			return m
		}
		if m.seen > other.seen || m.seen == other.seen && m.instance < other.instance {
			other = m
		}
	}
	return other
}

// holds says whether m is not forgotten.
func (p *memory) holds(m *message) bool {
	for known := p.messages[m.key]; known != nil; known = known.sibling {
		if known == m {
			return true
		}
	}
	return false
}

// open begins a message; one that had the id before is forgotten, for short queue ids come again.
func (p *memory) open(l *logLine) *message {
	head := p.messages[l.key]
	for m := head; m != nil; m = m.sibling {
		if m.instance == l.instance {
			p.forget(m)
			head = p.messages[l.key]
			break
		}
	}
	var m *message
	if n := len(p.free); n > 0 {
		m, p.free = p.free[n-1], p.free[:n-1]
	} else {
		m = new(message)
	}
	*m = message{key: l.key, instance: l.instance, arrived: l.at, sibling: head}
	p.insert(m)
	p.touch(m, l.seen)
	return m
}

func (p *memory) insert(m *message) {
	p.messages[m.key] = m
	p.list(m).add(m)
	if !m.has(msgQueued) {
		p.room(m).waiting++
	}
	if m.has(msgFirst) {
		p.firsts[m.id] = m
	}
	if m.more != nil && len(m.more.failed) > 0 {
		p.undecided[m] = m.more.failed[0].at
	}
	p.updateSize(m)
}

// updateSize counts what m takes.
func (p *memory) updateSize(m *message) {
	if m.has(msgQueued) {
		size := m.measure()
		p.size += size - m.size
		m.size = size
	}
}

// touch notes that m was heard of and may have changed. The lists stay in order also where the log's clock steps back.
func (p *memory) touch(m *message, now int64) {
	l := p.list(m)
	l.remove(m)
	if m.seen = now; l.newest != nil {
		m.seen = max(now, l.newest.seen)
	}
	l.add(m)
	p.updateSize(m)
	if !m.has(msgChanged) {
		m.flags |= msgChanged
		p.changed = append(p.changed, m)
	}
}

// setQueued moves m to those that the queue manager has.
func (p *memory) setQueued(m *message) {
	if !m.has(msgQueued) {
		from := p.room(m)
		from.remove(m)
		from.waiting--
		m.flags |= msgQueued
		p.queued.add(m)
	}
}

// setInstance takes m over from a service that logged under a name of its own.
func (p *memory) setInstance(m *message, instance uint32) {
	if m.instance == instance {
		return
	}
	if m.has(msgStored) {
		p.gone = append(p.gone, m.storedKey())
		m.flags &^= msgStored
	}
	m.instance = instance
}

// setID notes the Message-ID; the first message that has it is the one that others may be re-injections of.
func (p *memory) setID(m *message, id string) {
	if m.id == id {
		return
	}
	p.dropFirst(m)
	m.id = id
	if id != "" && p.firsts[id] == nil {
		m.flags |= msgFirst
		p.firsts[id] = m
	}
}

func (p *memory) dropFirst(m *message) {
	if m.has(msgFirst) {
		m.flags &^= msgFirst
		delete(p.firsts, m.id)
	}
}

// forget drops m.
func (p *memory) forget(m *message) {
	if m.more != nil && len(m.more.failed) > 0 {
		orphan := *m
		orphan.flags &^= msgChanged
		p.orphans = append(p.orphans, &orphan)
		delete(p.undecided, m)
	}
	p.dropFirst(m)
	if head := p.messages[m.key]; head == m {
		if m.sibling == nil {
			delete(p.messages, m.key)
		} else {
			p.messages[m.key] = m.sibling
		}
	} else {
		for head.sibling != m {
			head = head.sibling
		}
		head.sibling = m.sibling
	}
	p.list(m).remove(m)
	if !m.has(msgQueued) {
		p.room(m).waiting--
	}
	p.size -= m.size
	if m.has(msgStored) {
		p.gone = append(p.gone, m.storedKey())
	}
	changed := m.has(msgChanged)
	*m = message{key: m.key}
	if !changed && len(p.free) < maxFree { // else p.changed still names it
		p.free = append(p.free, m)
	}
}

// setDone moves m among those of which little is expected any more, where the log does not say that a message is gone.
func (p *memory) setDone(m *message) {
	if !m.has(msgQueued) {
		return
	}
	p.queued.remove(m)
	p.size -= m.size
	m.size = 0
	m.flags &^= msgQueued
	to := p.room(m)
	to.waiting++
	to.add(m)
	p.touch(m, m.seen)
}

// retire keeps of a message that is gone only whose it was, in case it comes back under another queue id later.
func (p *memory) retire(m *message) {
	p.setDone(m)
	m.flags &= msgStored | msgChanged | msgFirst | msgForeign | msgBegun
	m.pending, m.more, m.got = nil, nil, ""
	p.touch(m, m.seen)
}

// isDue says whether bound has something to do at a time.
func (p *memory) isDue(now int64) bool {
	old := now - arrivingMaxAge.Microseconds()
	return p.size > p.limit || p.spill.isDue(now, p.limit) || p.arriving.isDue(old) || p.strange.isDue(old) || p.queued.isOlder(now-p.maxAge.Microseconds())
}

func (r *waitingRoom) isDue(old int64) bool { return r.waiting > maxArriving || r.isOlder(old) }

func (l *messageList) isOlder(than int64) bool { return l.oldest != nil && l.oldest.seen < than }

// bound forgets what is too old and spills, of the oldest, what is too much.
func (p *memory) bound(now int64) {
	tooOld := now - p.maxAge.Microseconds()
	for m := p.queued.oldest; m != nil && (m.seen < tooOld || p.size > p.limit && m != p.queued.newest); m = p.queued.oldest {
		switch {
		case m.seen < tooOld:
			p.forget(m)
		case p.spill.stored != nil:
			p.spillOldest(m)
		default:
			p.forgot = now
			p.forget(m)
		}
	}
	if p.spill.isDue(now, p.limit) {
		p.sweep(now)
	}
	if p.strange.waiting > maxArriving {
		p.flooded = now
	}
	tooOld = now - arrivingMaxAge.Microseconds()
	for _, room := range []*waitingRoom{&p.arriving, &p.strange} {
		for m := room.oldest; m != nil && (m.seen < tooOld || room.waiting > maxArriving); m = room.oldest {
			p.forget(m)
		}
	}
}
