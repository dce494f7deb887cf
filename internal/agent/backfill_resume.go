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

const (
	asJournald = "journald" // `journalctl -o json`
	asMail     = "mail"     // messages, whose files mail programs change as they like
)

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
func (b *Backfill) resume(c *sinkConfig, target backfillStore) (spot, error) {
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
	c.memory = func(p parsers.Stateful) error { return p.Load(target.State(config.Backfill)) }
	return start, nil
}

// job names this backfill: the same format, trust, senders and files. "" if it reads from a pipe.
func (b *Backfill) job() (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %q %d\n", b.As, b.Trust, b.Senders, len(b.Files))
	if len(b.Files) == 0 {
		return "", nil
	}
	for _, file := range b.Files {
		if file == "-" {
			return "", nil
		}
		st, err := os.Stat(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%q ", file)
		switch {
		case b.As == asMail && st.IsDir(): // begun anew anyway
		case !st.Mode().IsRegular() && !st.IsDir():
			return "", nil // what is read from a pipe is gone
		case b.As == asMail: // a place in it is the same only in the same file
			fmt.Fprintf(sum, "%d %d ", st.Size(), st.ModTime().UnixNano())
		default:
			if err := beginning(sum, file); err != nil {
				return "", err
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:16]), nil
}

// beginning writes what a log, which may have grown, begins with.
func beginning(w io.Writer, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyN(w, f, 1024); err != nil && err != io.EOF {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return nil
}
