package agent

import (
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/outputs"
)

// verification is what a receiver has answered for and is not known to have stored, in the queue's order. The receiver
// takes events into a queue in memory, and stores them in that order; some it stores never: of a subscriber whom it does
// not know, say. That one is not there proves nothing, until one that was posted after it is: then both are through, and
// it was lost or can't be stored. Posting it again, once, can't double it.
//
// It holds no lock and asks nobody: a delivery tells it what it posts and what the receiver says.
type verification struct {
	rules   verifyRules
	posted  []*posted
	lost    []*posted   // those of them to be posted again
	open    int         // those of them to be asked for
	through time.Time   // what was posted before is stored, lost or unstorable
	taken   []time.Time // when the last rules.holds of all posts were answered, oldest first
	broke   time.Time   // the connection was refused last; zero: not lately

	posts    int       // since the last reading
	lastPost time.Time // its end
	lastRead time.Time // its end
	cost     int       // requests of the last reading
	pause    time.Duration
}

// verifyRules are how long things take.
type verifyRules struct {
	holds  int           // events that the receiver's memory holds, and some: behind so many more one is through
	unsure time.Duration // a POST without an answer may arrive for so long
	broken time.Duration // after a refused connection what was in memory is gone, or stored
	quiet  time.Duration // and when nothing happens at all

	soon   time.Duration // the first reading after a post
	seldom time.Duration // between readings when little is posted; it doubles up to rarely
	rarely time.Duration
	often  int // posts for each request of a reading, at least
	most   int // events that may be unverified
}

var listmonkRules = verifyRules{
	holds: 1100, unsure: 30 * time.Second, broken: time.Minute, quiet: 10 * time.Minute,
	soon: time.Second, seldom: 15 * time.Second, rarely: time.Minute, often: 100, most: 5000,
}

// posted is an event that the receiver has, or may have.
type posted struct {
	seq          uint64
	event        event.Event
	began, ended time.Time     // of its last POST; began is zero if another life of the daemon made it
	unsure       time.Duration // without an answer: how long it may still arrive
	tries        int           // POSTs that were proved to have left nothing
	fate         postFate
}

// postFate is what became of a posted event.
type postFate int

const (
	postOpen    postFate = iota
	postMissing          // it is proved not to be there: to be posted again
	postStored
	postNotStored // and will not be
	postExempt    // nothing was posted
)

// posts of one event that may leave nothing before it counts as not stored; the last is in another form where there is one.
const triesAtMost = 2

// add notes a POST and what came of it; err is nil or an outputs.UncertainError.
func (v *verification) add(item queue.Item, began, ended time.Time, uncertain bool) {
	p := &posted{seq: item.Seq, event: item.Event}
	v.posted = append(v.posted, p)
	v.note(p, began, ended, uncertain)
}

// addOld notes an event that another life of the daemon has posted, or may have; now is the start of this one, and for so
// long its requests may still arrive.
func (v *verification) addOld(item queue.Item, now time.Time, unsure time.Duration) {
	v.posted = append(v.posted, &posted{seq: item.Seq, event: item.Event, ended: now, unsure: unsure})
	v.open++
	v.lastPost = now
}

// skip notes an event that was not posted, for its place in the order.
func (v *verification) skip(seq uint64) {
	v.posted = append(v.posted, &posted{seq: seq, fate: postExempt})
}

// again notes that a missing event was posted again.
func (v *verification) again(p *posted, began, ended time.Time, uncertain bool) {
	v.note(p, began, ended, uncertain)
}

func (v *verification) note(p *posted, began, ended time.Time, uncertain bool) {
	p.fate, p.began, p.ended, p.unsure = postOpen, began, ended, 0
	v.open++
	if uncertain {
		p.unsure = v.rules.unsure
	} else {
		if v.taken = append(v.taken, ended); len(v.taken) > v.rules.holds {
			v.advance(v.taken[0])
			v.taken = v.taken[1:]
		}
	}
	v.posts++
	v.lastPost, v.pause = ended, 0
}

// refused notes that nobody listened at the receiver's address.
func (v *verification) refused(now time.Time) { v.broke = now }

func (v *verification) advance(to time.Time) {
	if to.After(v.through) {
		v.through = to
	}
}

// barrier is up to when everything posted is through, as is known at a moment before the receiver is asked.
func (v *verification) barrier(now time.Time) time.Time {
	v.advance(now.Add(-v.rules.quiet))
	if !v.broke.IsZero() && now.Sub(v.broke) >= v.rules.broken {
		v.advance(v.broke)
		v.broke = time.Time{}
	}
	return v.through
}

// wanted is what to ask the receiver for.
func (v *verification) wanted() (events []event.Event) {
	for _, p := range v.posted {
		if p.fate == postOpen {
			events = append(events, p.event)
		}
	}
	return events
}

// learn notes what the receiver said; barrier is that of before it was asked. otherwise is the output's.
func (v *verification) learn(a outputs.Answered, barrier, now time.Time, otherwise func(event.Event) (event.Event, bool)) {
	news := false
	for _, p := range v.posted {
		is, looked := a.Stored[p.event.ID]
		switch {
		case p.fate != postOpen || !looked:
			continue
		case is:
			p.fate = postStored
			v.open--
			v.advance(p.began)
		case p.ended.Add(p.unsure).After(barrier):
			continue
		default:
			v.miss(p, otherwise)
		}
		news = true
	}
	v.read(a, now)
	if news {
		v.pause = v.rules.seldom
	}
}

// read notes that the receiver was asked, whether it answered or not.
func (v *verification) read(a outputs.Answered, now time.Time) {
	v.posts, v.lastRead, v.cost = 0, now, max(a.Requests, 1)
	v.pause = min(max(2*v.pause, v.rules.seldom), v.rules.rarely)
}

// miss notes that what was posted last of p left nothing.
func (v *verification) miss(p *posted, otherwise func(event.Event) (event.Event, bool)) {
	v.open--
	if p.unsure == 0 { // else perhaps nobody took it
		p.tries++
	}
	if p.tries >= triesAtMost {
		e, ok := otherwise(p.event)
		if !ok {
			p.fate = postNotStored
			return
		}
		p.event = e
	}
	p.fate = postMissing
	v.lost = append(v.lost, p)
}

// giveUp notes that the receiver refused a missing event for good.
func (v *verification) giveUp(p *posted) { p.fate = postNotStored }

// next takes out what to post again next; nil: nothing.
func (v *verification) next() *posted {
	if len(v.lost) == 0 {
		return nil
	}
	p := v.lost[0]
	v.lost = v.lost[1:]
	return p
}

// full says whether no more may be posted before some are verified.
func (v *verification) full() bool { return len(v.posted) >= v.rules.most }

// due is when to ask the receiver next. Zero: there is nothing to ask for.
func (v *verification) due() time.Time {
	if v.open == 0 {
		return time.Time{}
	}
	at := v.lastPost.Add(v.rules.soon)
	if regular := v.lastRead.Add(max(v.pause, v.rules.seldom)); regular.After(at) {
		at = regular
	}
	if v.posts >= v.rules.often*max(v.cost, 1) || v.full() {
		if early := v.lastRead.Add(v.rules.soon); early.Before(at) {
			at = early
		}
	}
	return at
}

// ready says whether something is settled at the beginning.
func (v *verification) ready() bool {
	return len(v.posted) > 0 && v.posted[0].fate != postOpen && v.posted[0].fate != postMissing
}

// done takes out what is settled at the beginning: up to which event, and how many of them are stored and not.
func (v *verification) done() (upTo uint64, counts map[queue.Word]uint64) {
	counts = map[queue.Word]uint64{}
	for len(v.posted) > 0 {
		p := v.posted[0]
		switch p.fate {
		case postStored:
			counts[queue.CountStored]++
		case postNotStored:
			counts[queue.CountNotStored]++
		case postExempt:
		default:
			return upTo, counts
		}
		upTo = p.seq
		v.posted = v.posted[1:]
	}
	return upTo, counts
}

// trust takes all that was answered for as stored: the receiver will not be asked. What it may not even have is missing.
func (v *verification) trust() (upTo uint64) {
	for _, p := range v.posted {
		if p.fate == postOpen && p.unsure > 0 {
			p.fate = postMissing
			v.lost = append(v.lost, p)
			v.open--
		}
	}
	for len(v.posted) > 0 && v.posted[0].fate != postMissing {
		if v.posted[0].fate == postOpen {
			v.open--
		}
		upTo = v.posted[0].seq
		v.posted = v.posted[1:]
	}
	return upTo
}
