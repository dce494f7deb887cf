package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"

	"bouncefeed/internal/config"
	"bouncefeed/parsers"
)

// asJournald is the format of `journalctl -o json`.
const asJournald = "journald"

// spot is where a backfill goes on: in which of its files, at which byte of the contents.
type spot struct {
	job    string
	file   int
	offset int64
}

// checkpoint is what is stored with a part of file up to offset. Dry runs and pipes have none.
func (s spot) checkpoint(file int, offset int64) map[string]string {
	if s.job == "" {
		return nil
	}
	return map[string]string{"job": s.job, "file": strconv.Itoa(file), "offset": strconv.FormatInt(offset, 10)}
}

// resume finds out whether this very backfill was interrupted, and if so restores what its parser knew. The memory of
// any other is forgotten: its events are safe, and read again they are repeats.
func (b *Backfill) resume(s *sink, target backfillStore) (spot, error) {
	if b.DryRun != nil {
		return spot{}, nil
	}
	job, err := b.job()
	if err != nil || job == "" {
		return spot{}, err
	}
	start := spot{job: job}
	stored, err := target.Checkpoint(config.Backfill)
	if err != nil {
		return start, err
	}
	if stored["job"] != job {
		return start, target.Forget(config.Backfill)
	}
	file, ferr := strconv.Atoi(stored["file"])
	offset, oerr := strconv.ParseInt(stored["offset"], 10, 64)
	if ferr != nil || oerr != nil || file < 0 || file >= len(b.Files) || offset < 0 {
		return start, target.Forget(config.Backfill)
	}
	start.file, start.offset = file, offset
	s.parser = nil
	s.load = func(p parsers.Stateful) error { return p.Load(target.State(config.Backfill)) }
	return start, s.ready()
}

// job names this backfill: the same format, senders and files, by name and beginning. "" if it reads from a pipe.
func (b *Backfill) job() (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %d\n", b.As, b.Senders, len(b.Files))
	if len(b.Files) == 0 {
		return "", nil
	}
	for _, file := range b.Files {
		if file == "-" {
			return "", nil
		}
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%q ", file)
		_, err = io.CopyN(sum, f, 1024)
		f.Close()
		if err != nil && err != io.EOF {
			return "", fmt.Errorf("read %s: %w", file, err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:16]), nil
}
