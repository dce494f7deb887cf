package queue

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
)

// position is how far an output is: accepted is the number of the last event that its receiver has answered for, settled
// of the last one that it is known to have stored. Delivery goes on behind accepted; what every output has settled is
// deleted. Where nobody asks the receiver what it has stored, both are the same.
type position struct{ accepted, settled uint64 }

func (p position) encode() []byte {
	return binary.BigEndian.AppendUint64(number(p.accepted), p.settled)
}

// decodePosition reads what is stored of output. Format 2 had one number.
func decodePosition(output, stored []byte) (p position, err error) {
	b, err := unseal(output, stored)
	switch {
	case err != nil:
		return p, err
	case len(b) == 8:
		return position{numbered(b), numbered(b)}, nil
	case len(b) == 16:
		return position{numbered(b[:8]), numbered(b[8:])}, nil
	}
	return p, fmt.Errorf("%w: no position of an output", ErrDamaged)
}

func positionOf(tx *bbolt.Tx, output string) (position, error) {
	v := tx.Bucket(bucketOutputs).Get([]byte(output))
	if v == nil {
		return position{}, fmt.Errorf("the queue knows no output %q", output)
	}
	return decodePosition([]byte(output), v)
}

func (t *txn) setPosition(output string, p position) error {
	return putSealed(t.Bucket(bucketOutputs), []byte(output), p.encode())
}

// passed gives the lowest number that all outputs have settled; the highest number if there are no outputs.
func (t *txn) passed() (uint64, error) {
	lowest := ^uint64(0)
	err := t.Bucket(bucketOutputs).ForEach(func(k, v []byte) error {
		p, err := decodePosition(k, v)
		lowest = min(lowest, p.settled)
		return err
	})
	return lowest, err
}
