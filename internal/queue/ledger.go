package queue

import (
	"bytes"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// The ledger is runs of hashes (see runs.go), a bucket for each day: nothing of it is held in memory, and a message takes
// little more than its 8 bytes.

const ledgerStep = 24 * time.Hour

// storeLedger stores t.sent.
func (t *txn) storeLedger() error {
	if len(t.sent) == 0 {
		return nil
	}
	days, err := openGeneration(t.Bucket(bucketSent), t.own, ledgerStep)
	if err != nil {
		return err
	}
	today, err := openRuns(days.newest, ledgerShape)
	if err != nil {
		return err
	}
	slices.SortFunc(t.sent, func(a, b [8]byte) int { return bytes.Compare(a[:], b[:]) })
	t.sent = slices.Compact(t.sent)
	entries := make([]byte, 0, 8*len(t.sent))
	for _, h := range t.sent {
		entries = append(entries, h[:]...)
	}
	if err := today.add(entries); err != nil {
		return err
	}
	return t.pay(&t.q.ledgerDebt, today, len(t.sent))
}

// WasSent says whether the ledger has h (event.Sent): did we send this message to this address within the retention, and
// to no other? Whoever knows a Message-ID that several recipients were sent has seen the message of one of them, not of
// which.
func (q *Queue) WasSent(h [8]byte) (bool, error) {
	found, others := false, false
	err := q.view(func(tx *bbolt.Tx) error {
		days := tx.Bucket(bucketSent)
		return days.ForEachBucket(func(stamp []byte) error {
			day, err := openRuns(days.Bucket(stamp), ledgerShape)
			if err != nil {
				return err
			}
			return day.each(h[:event.SentID], func(entry []byte) {
				if bytes.Equal(entry, h[:]) {
					found = true
				} else {
					others = true
				}
			})
		})
	})
	return found && !others, err
}
