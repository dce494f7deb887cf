package queue

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// An output that is paused is given nothing to send by NextAfter, over restarts too, until it is told to go on. Since when it is
// stands in the meta bucket.

const pausedPrefix = "paused/"

func pausedKey(output string) []byte { return []byte(pausedPrefix + output) }

// Pause has an output send nothing more, from now on. What it was given before is to be forgotten: see Edits.
func (q *Queue) Pause(output string) error {
	return q.setPaused(output, func(meta *bbolt.Bucket) error {
		if meta.Get(pausedKey(output)) != nil {
			return nil
		}
		return meta.Put(pausedKey(output), number(uint64(q.o.Now().Unix())))
	})
}

// Continue has an output that was paused go on.
func (q *Queue) Continue(output string) error {
	return q.setPaused(output, func(meta *bbolt.Bucket) error { return meta.Delete(pausedKey(output)) })
}

func (q *Queue) setPaused(output string, change func(*bbolt.Bucket) error) error {
	if !slices.Contains(q.outputs, output) {
		return fmt.Errorf("there is no output %q", output)
	}
	var paused map[string]time.Time
	if err := q.write(context.Background(), 0, func(t *txn) error {
		meta := t.Bucket(bucketMeta)
		err := change(meta)
		paused = pausedIn(meta)
		return err
	}); err != nil {
		return err
	}
	q.mu.Lock()
	q.paused = paused
	q.mu.Unlock()
	q.edits.Add(1)
	q.wake()
	return nil
}

// Paused gives since when outputs are paused; who is not among them is not.
func (q *Queue) Paused() map[string]time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return maps.Clone(q.paused)
}

func (q *Queue) isPaused(output string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.paused[output].IsZero()
}

// setUpPaused forgets pauses of outputs that are gone, and reads the others.
func (q *Queue) setUpPaused(meta *bbolt.Bucket) error {
	for name := range pausedIn(meta) {
		if !slices.Contains(q.outputs, name) {
			if err := meta.Delete(pausedKey(name)); err != nil {
				return err
			}
		}
	}
	q.paused = pausedIn(meta)
	return nil
}

func pausedIn(meta *bbolt.Bucket) map[string]time.Time {
	paused := map[string]time.Time{}
	c := meta.Cursor()
	for k, v := c.Seek([]byte(pausedPrefix)); k != nil && strings.HasPrefix(string(k), pausedPrefix); k, v = c.Next() {
		if at := numbered(v); at > 0 {
			paused[string(k[len(pausedPrefix):])] = time.Unix(int64(at), 0).UTC()
		}
	}
	return paused
}

// movePaused has the new name of a renamed output paused if the old one was.
func movePaused(meta *bbolt.Bucket, from, to string) error {
	at := slices.Clone(meta.Get(pausedKey(from)))
	if at == nil {
		return nil
	}
	if err := meta.Delete(pausedKey(from)); err != nil {
		return err
	}
	return meta.Put(pausedKey(to), at)
}
