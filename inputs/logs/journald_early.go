package logs

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"

	"bouncefeed/internal/event"
)

// earlyBy is how far in the future an entry's time may lie: clocks are set forth and back by as much.
const earlyBy = 10 * time.Minute

const (
	earlyEvery = 5 * time.Second // how often to look again while there are entries from the future
	maxEarly   = 16 << 20        // of them in memory, bytes
)

// isEarly says whether the time of an entry has not come yet.
func isEarly(cursor string) bool { return cursorTime(cursor).After(time.Now().Add(earlyBy)) }

// untilNow is journalctl's argument for what is not early.
func untilNow() string { return fmt.Sprintf("--until=@%d", time.Now().Add(earlyBy).Unix()) }

// early holds the entries that a child printed last, if their time has not come. If others follow they stand in the
// right place and only their clock was wrong: they are given out in their order.
type early struct {
	recs []event.Record
	size int
	lost int // for which there was no room
	told bool
}

func (e *early) none() bool { return len(e.recs) == 0 && e.lost == 0 }

func (e *early) forget() { e.recs, e.size, e.lost = nil, 0, 0 }

// sort takes what came next and gives what may be committed, up to the last entry that is not early, and how many of
// these it had no room for.
func (e *early) sort(recs []event.Record) (good []event.Record, lost int) {
	n := len(recs)
	for n > 0 && isEarly(cursorOf(recs[n-1].Body)) {
		n--
	}
	good = recs[:n]
	if n > 0 && !e.none() {
		good, lost = append(e.recs, good...), e.lost
		e.forget()
	}
	for _, rec := range recs[n:] {
		if e.size += len(rec.Body); e.size > maxEarly {
			e.lost++
			continue
		}
		rec.Body = bytes.Clone(rec.Body)
		e.recs = append(e.recs, rec)
	}
	return good, lost
}

// wait lets time pass until it is worth to look again, longer where looking took long; false: ctx has ended.
func (e *early) wait(ctx context.Context, log *slog.Logger, took time.Duration) bool {
	if !e.told {
		e.told = true
		var first time.Time
		if len(e.recs) > 0 {
			first = cursorTime(cursorOf(e.recs[0].Body))
		}
		log.Error("the journal ends with entries from the future, which are not read until their time has come or others follow them: is the clock right, does this directory hold only this mail server's journal?",
			"entries", len(e.recs)+e.lost, "first", first)
	}
	t := time.NewTimer(max(earlyEvery, 3*took))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
