package queue

import (
	"fmt"
	"io"
	"slices"
)

// head is what a file's small buckets say, by which the others are read. What is damaged of it is not there.
type head struct {
	meta            map[string][]byte
	inputs, outputs map[string]bool // that there ever were; nil: some may be missing
}

// readHead reads the head of a file that may be damaged.
func readHead(f io.ReaderAt, size int64) head {
	h := head{meta: map[string][]byte{}}
	p, err := openPages(f, size)
	if err != nil {
		return h
	}
	inputs, outputs, whole := map[string]bool{}, map[string]bool{}, true
	p.skip = func(path [][]byte) bool {
		switch string(path[0]) {
		case string(bucketMeta), string(bucketCheckpoints), string(bucketOutputs), string(bucketCounters):
			return false
		}
		return true
	}
	p.bucket = func([][]byte, uint64) error { return nil }
	p.damage = func([][]byte, error) error { whole = false; return nil }
	p.entry = func(path [][]byte, k, v []byte) error {
		if checkEntry(path, k, v) != nil {
			whole = false
			return nil
		}
		switch string(path[0]) {
		case string(bucketMeta):
			h.meta[string(k)] = slices.Clone(v)
		case string(bucketCheckpoints):
			inputs[string(k)] = true
		case string(bucketOutputs):
			outputs[string(k)] = true
		case string(bucketCounters):
			if c, err := ParseCounter(string(k)); err == nil {
				map[Side]map[string]bool{InputSide: inputs, OutputSide: outputs}[c.Side][c.Module] = true
			}
		}
		return nil
	}
	if p.walk() == nil && whole {
		h.inputs, h.outputs = inputs, outputs
	}
	return h
}

// empty says whether there is not even what every file has from its first moment.
func (h *head) empty() bool { return h.meta[string(keyFormat)] == nil }

// checkSeals says whether what the bucket meta has seals of is as it was written.
func (h *head) checkSeals() error {
	for key := range sealOf {
		if err := h.checkSeal([]byte(key), h.meta[key]); err != nil {
			return err
		}
	}
	return nil
}

func (h *head) checkSeal(key, value []byte) error {
	return checkMeta(key, value, h.meta[string(sealOf[string(key)])])
}

// checkBucket says whether a bucket may be where it is, by its name too: nothing else would tell that a byte of that has
// changed, and what is in it would never be looked for.
func (h *head) checkBucket(path [][]byte, sequence uint64) error {
	if err := checkBucket(path, sequence); err != nil || len(path) != 2 {
		return err
	}
	var known map[string]bool
	switch string(path[0]) {
	case string(bucketState), string(bucketRefused):
		known = h.inputs
	case string(bucketAccepted), string(bucketOutcomes), string(bucketAgain), string(bucketDead):
		known = h.outputs
	}
	if known != nil && !known[string(path[1])] {
		return fmt.Errorf("%w: of a module that nothing was counted of", ErrDamaged)
	}
	return nil
}
