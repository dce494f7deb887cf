package mailbox

import (
	"context"

	"bouncefeed/inputs"
	"bouncefeed/internal/event"
)

// mailState is what is known of the messages in a mailbox, by the hashes of their names. The checkpoint holds it under
// these keys.
type mailState struct {
	seen    hashSet           // "seen": committed, and to stay
	toClear map[uint64]uint64 // "doomed": committed, and to be deleted; a mark by which the message is known beside its name
	growing map[uint64]uint64 // "growing": committed, and perhaps longer later: as many bytes were read
}

func loadMailState(sink inputs.Sink) (*mailState, error) {
	checkpoint, err := sink.Checkpoint()
	if err != nil {
		return nil, err
	}
	seen, err := decodeHashes("seen", checkpoint["seen"])
	if err != nil {
		return nil, err
	}
	s := &mailState{seen: seen}
	if s.toClear, err = decodePairs("doomed", checkpoint["doomed"]); err != nil {
		return nil, err
	}
	s.growing, err = decodePairs("growing", checkpoint["growing"])
	return s, err
}

func (s *mailState) checkpoint() map[string]string {
	c := map[string]string{"seen": s.seen.encode(), "doomed": encodePairs(s.toClear)}
	if len(s.growing) > 0 {
		c["growing"] = encodePairs(s.growing)
	}
	return c
}

// keep forgets what is not in the mailbox any more, and says whether that was anything.
func (s *mailState) keep(listed hashSet) (changed bool) {
	before := len(s.seen) + len(s.toClear)
	s.seen = s.seen.only(listed)
	for name := range s.toClear {
		if !listed.has(name) {
			delete(s.toClear, name)
		}
	}
	return len(s.seen)+len(s.toClear) != before
}

// stays notes that a message is known and is not to be deleted.
func (s *mailState) stays(names ...uint64) {
	for _, name := range names {
		delete(s.toClear, name)
	}
	s.seen = s.seen.with(names...)
}

// mailBatch gathers messages for a Commit.
type mailBatch struct {
	mailbox *mailSettings
	sink    inputs.Sink
	state   *mailState
	changed bool // the state is to be committed though no message is

	names, marks []uint64
	recs         []event.Record
	bytes        int
}

func newMailBatch(mailbox *mailSettings, sink inputs.Sink) (*mailBatch, error) {
	state, err := loadMailState(sink)
	return &mailBatch{mailbox: mailbox, sink: sink, state: state}, err
}

// add takes a message with the hash of its name and its mark. full says that it is time to commit.
func (b *mailBatch) add(name, mark uint64, rec event.Record) (full bool) {
	b.names, b.marks, b.recs = append(b.names, name), append(b.marks, mark), append(b.recs, rec)
	b.bytes += len(rec.Body)
	return b.bytes >= batchBytes || len(b.recs) >= batchCount
}

// commit stores what was added, with what is to be deleted of it: the indices of those messages.
func (b *mailBatch) commit(ctx context.Context) (toClear []int, err error) {
	if len(b.recs) == 0 {
		return nil, nil
	}
	err = commitFates(ctx, b.sink, b.recs, func(fates []event.Fate) map[string]string {
		var stay []uint64
		for i, name := range b.names {
			if b.mailbox.deletes(fates[i]) {
				b.state.toClear[name] = b.marks[i]
				toClear = append(toClear, i)
			} else {
				stay = append(stay, name)
			}
		}
		b.state.stays(stay...)
		return b.state.checkpoint()
	})
	b.names, b.marks, b.recs, b.bytes, b.changed = b.names[:0], b.marks[:0], b.recs[:0], 0, false
	return toClear, err
}

// settle stores what changed since the last commit, if anything did.
func (b *mailBatch) settle(ctx context.Context) error {
	if !b.changed {
		return nil
	}
	b.changed = false
	return b.sink.Commit(ctx, nil, b.state.checkpoint())
}
