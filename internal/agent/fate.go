package agent

import (
	"context"

	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

// CommitFates implements inputs.FateSink.
func (s *sink) CommitFates(ctx context.Context, recs []event.Record, checkpoint func([]event.Fate) map[string]string) error {
	fates := make([]event.Fate, len(recs))
	batch, err := s.parseFates(recs, fates)
	if err != nil {
		return err
	}
	batch.Checkpoint = checkpoint(fates)
	return s.put(ctx, batch)
}

// outcomes counts what decides a record's fate, over a batch.
type outcomes struct {
	kept, unreported uint64
}

func (s *sink) outcomes() outcomes {
	return outcomes{
		kept:       uint64(len(s.batch.Refused) + len(s.batch.Held)),
		unreported: s.noted[event.Ordinary] + s.batch.Counts[queue.IgnoredAs(ignoredSender)],
	}
}

// fateSince is the fate of the record parsed since before: the most cautious one of all that was found in it.
func (s *sink) fateSince(before outcomes) event.Fate {
	switch now := s.outcomes(); {
	case s.found == 0 || now.kept > before.kept:
		return event.Kept
	case now.unreported > before.unreported:
		return event.Unreported
	}
	return event.Understood
}
