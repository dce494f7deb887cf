package queue

import (
	"slices"

	"go.etcd.io/bbolt"
)

// copier writes what a walk over pages finds into another file, in transactions of about a megabyte. Reading without
// the mapping and giving back what was written keeps the memory small however large the file is.
type copier struct {
	db      *bbolt.DB
	tx      *bbolt.Tx
	size    int // of the running transaction
	entries int
}

func newCopier(db *bbolt.DB) (*copier, error) {
	tx, err := db.Begin(true)
	return &copier{db: db, tx: tx}, err
}

// at gives the bucket at path in the new file, making it.
func (c *copier) at(path [][]byte) (b *bbolt.Bucket, err error) {
	b, err = c.tx.CreateBucketIfNotExists(path[0])
	for i := 1; i < len(path) && err == nil; i++ {
		b, err = b.CreateBucketIfNotExists(path[i])
	}
	if err == nil {
		b.FillPercent = 0.9 // keys come in order
	}
	return b, err
}

func (c *copier) bucket(path [][]byte, sequence uint64) error {
	b, err := c.at(path)
	if err != nil {
		return err
	}
	return b.SetSequence(sequence)
}

func (c *copier) put(path [][]byte, k, v []byte) error {
	b, err := c.at(path)
	if err != nil {
		return err
	}
	c.size += len(k) + len(v)
	c.entries++
	return b.Put(k, slices.Clone(v))
}

// flush begins a new transaction if the running one is large.
func (c *copier) flush() error {
	if c.size < 1<<20 {
		return nil
	}
	if err := c.finish(); err != nil {
		return err
	}
	tx, err := c.db.Begin(true)
	if err != nil {
		return err
	}
	c.tx, c.size = tx, 0
	unmapIdle(tx)
	return nil
}

func (c *copier) finish() error {
	err := c.tx.Commit()
	c.tx = nil
	return err
}

func (c *copier) abandon() {
	if c.tx != nil {
		c.tx.Rollback()
	}
}

// existing gives the bucket at path in the new file; nil: it has none.
func (c *copier) existing(path [][]byte) *bbolt.Bucket {
	b := c.tx.Bucket(path[0])
	for i := 1; i < len(path) && b != nil; i++ {
		b = b.Bucket(path[i])
	}
	return b
}

// remove deletes an entry, if it is there.
func (c *copier) remove(path [][]byte, k []byte) error {
	b := c.existing(path)
	if b == nil {
		return nil
	}
	c.size += len(k) + 64
	return b.Delete(k)
}

// removeBucket deletes a nested bucket, if it is there.
func (c *copier) removeBucket(path [][]byte) error {
	last := len(path) - 1
	if last == 0 || c.existing(path) == nil {
		return nil
	}
	return c.existing(path[:last]).DeleteBucket(path[last])
}
