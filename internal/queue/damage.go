package queue

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"go.etcd.io/bbolt"
)

// Damage is what was found when the file was damaged, and what came of it. It is kept until somebody has taken note.
type Damage struct {
	Time    time.Time       `json:"time"`
	Cause   string          `json:"cause"`             // what made no sense first
	Aside   string          `json:"aside"`             // the damaged file
	Kept    int             `json:"kept"`              // entries that could be read
	Missing string          `json:"missing,omitempty"` // numbers of events that are neither there nor settled
	Lost    map[Word]uint64 `json:"lost,omitempty"`    // as counted, over all inputs and outputs: it may be told again
	Repeat  bool            `json:"repeat"`            // sources tell again what they still hold
	Parts   map[string]int  `json:"parts,omitempty"`   // bucket → unreadable pages and entries
}

var keyDamage = []byte("damage") // sealed JSON, oldest first

const maxDamage = 20 // as many are remembered, the newest

// damages reads what is remembered; what makes no sense is nothing.
func damages(tx *bbolt.Tx) (all []Damage) {
	if v := tx.Bucket(bucketMeta).Get(keyDamage); v != nil && unsealJSON(keyDamage, v, &all) != nil {
		return nil
	}
	return all
}

// noteDamage remembers this one.
func (s *salvage) noteDamage(t *txn) error {
	d := Damage{Time: t.now.UTC(), Cause: s.cause.Error(), Aside: s.aside, Kept: s.copier.entries, Missing: s.missing,
		Repeat: s.repeats(), Parts: maps.Clone(s.damaged), Lost: map[Word]uint64{}}
	for c, n := range t.counts {
		switch {
		case n == 0:
		case c.Word == CountLost || c.Word == CountHeldLost || c.Word == CountDeadLost:
			d.Lost[c.Word] += n
		case c.Why == WhyUncounted:
			d.Lost[WhyUncounted] += n
		}
	}
	all := append(damages(t.Tx), d)
	text, err := json.Marshal(all[max(0, len(all)-maxDamage):])
	if err != nil {
		return err
	}
	return putSealed(t.Bucket(bucketMeta), keyDamage, text)
}

// Damage tells of each time that the file was damaged and nobody has taken note of, oldest first.
func (q *Queue) Damage() (all []Damage, err error) {
	err = q.view(func(tx *bbolt.Tx) error {
		all = damages(tx)
		return nil
	})
	return all, err
}

// AcknowledgeDamage forgets what Damage tells, and gives it.
func (q *Queue) AcknowledgeDamage() (all []Damage, err error) {
	q.lock <- struct{}{}
	defer func() { <-q.lock }()
	err = q.update(func(t *txn) error {
		if all = damages(t.Tx); all == nil {
			return nil
		}
		return t.Bucket(bucketMeta).Delete(keyDamage)
	})
	if err != nil {
		return nil, fmt.Errorf("acknowledge the damage: %w", err)
	}
	return all, nil
}
