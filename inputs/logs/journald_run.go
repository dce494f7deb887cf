package logs

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/event"
)

// A journalRun is one Run: what is read and stored.
//
// The keys of a checkpoint:
//
//	cursor   of the last entry committed; "beginning": everything is to be read
//	unread   "true": of the next entry instead
//	users    of the last one out of users' own journals
//	gaps     times that history was missing
type journalRun struct {
	*journald
	sink    inputs.Sink
	cursor  string
	unread  bool
	users   string
	gaps    uint64
	skip    string // the entry that comes first and is committed
	early   early  // what this child printed last, of a time that has not come
	sweepAt time.Time
	warned  bool // that users' journals can't be read
}

const (
	journalBeginning = "beginning"
	sweepEvery       = 10 * time.Second
)

func newJournalRun(j *journald, sink inputs.Sink) (*journalRun, error) {
	r := &journalRun{journald: j, sink: sink}
	stored, err := sink.Checkpoint()
	if err != nil {
		return nil, err
	}
	r.gaps, _ = strconv.ParseUint(stored["gaps"], 10, 64)
	r.cursor, r.unread, r.users = stored["cursor"], stored["unread"] == "true", stored["users"]
	if stored["start"] == string(inputs.StartBeginning) || r.cursor == "" && j.config.Start == inputs.StartBeginning {
		r.cursor, r.unread, r.users = journalBeginning, true, ""
	}
	return r, nil
}

// begin finds where to read from. What a first start finds at the end is stored at once: what comes later is not lost.
func (r *journalRun) begin(ctx context.Context) error {
	last, err := r.first(ctx, "--lines=1", r.ours())
	if err == nil && isEarly(cursorOf(last)) {
		last, err = r.first(ctx, "--lines=1", append([]string{"--reverse", untilNow()}, r.ours()...))
		if err == nil && last == nil && r.cursor == "" {
			return r.store(ctx, journalBeginning, true)
		}
	}
	if err != nil {
		return err
	}
	end := cursorOf(last)
	switch {
	case end == "" && r.cursor == "":
		err = r.store(ctx, journalBeginning, true)
		return cmp.Or(err, errEmptyJournal)
	case end == "":
		return errEmptyJournal
	case r.cursor == "":
		r.users = end
		return r.store(ctx, end, false)
	case r.cursor == journalBeginning:
		return nil
	}
	return r.resume(ctx, end)
}

var errEmptyJournal = errors.New("the journal is empty: is systemd-journald running?")

// resume looks for the entry at the checkpoint.
func (r *journalRun) resume(ctx context.Context, end string) error {
	found, err := r.first(ctx, "--cursor="+r.cursor, r.ours())
	if err != nil {
		return err
	}
	next := cursorOf(found)
	switch {
	case sameCursor(r.cursor, next):
		return nil
	case !r.unread && isSuccessor(r.cursor, next):
		return r.store(ctx, next, true)
	}
	r.gaps++
	r.log.Error("the journal no longer holds the last entry that was read: what came after it may be lost",
		"entry", cursorTime(r.cursor), "oldest_left", cursorTime(next))
	if next == "" || isEarly(next) { // nothing later is left, or the clock was set back
		return r.store(ctx, end, false)
	}
	return r.store(ctx, next, true)
}

// read reads what is there, then what comes, until ctx, a child or the sink ends it. While there are entries from the
// future, a following child could miss what is written meanwhile: it looks again now and then instead.
func (r *journalRun) read(ctx context.Context) error {
	for {
		begun := time.Now()
		if err := r.child(ctx); err != nil {
			return err
		}
		r.where.Store(&journalPosition{r.cursor, r.gaps, true})
		if !r.early.none() {
			if !r.early.wait(ctx, r.log, time.Since(begun)) {
				return nil
			}
			continue
		}
		if err := r.followBoot(ctx); err != nil {
			return err
		}
	}
}

// followFor is how long one child follows: what it does not see, because another boot began or for a fault of its own, is
// found by the next one that reads what is there.
const followFor = time.Minute

// followBoot follows what the current boot writes. Which one that is the journal says: in a container /proc may show the
// host's to a service that systemd 252 protects, and --follow of itself would wait for that one's entries for ever.
func (r *journalRun) followBoot(ctx context.Context) error {
	how := []string{"--follow", "--no-tail"}
	if r.config.Directory == "" {
		last, err := r.first(ctx, "--lines=1", r.ours())
		if err != nil {
			return err
		}
		boot := cursorField(cursorOf(last), "b")
		if boot == "" {
			return errEmptyJournal
		}
		how = append(how, "--boot="+boot)
	}
	return r.child(ctx, how...)
}

// child reads what one journalctl prints, from the checkpoint on. One that follows is stopped (nil) by an entry from the
// future.
func (r *journalRun) child(ctx context.Context, how ...string) error {
	args := append(r.source(), how...)
	if r.cursor != journalBeginning {
		args = append(args, "--cursor="+r.cursor)
	}
	r.skip = ""
	if !r.unread {
		r.skip = r.cursor
	}
	r.early.forget()
	c, err := r.start(ctx, append(args, r.matches()...)...)
	if err != nil {
		return err
	}
	follows, until := len(how) > 0, time.Now().Add(followFor)
	before := r.where.Load() // what was read stays read
	r.where.Store(&journalPosition{r.cursor, r.gaps, before != nil && before.idle})
	var s splitter
	for err == nil && !c.ended && (!follows || r.early.none() && time.Now().Before(until)) {
		err = r.round(ctx, c, &s)
	}
	stopped := c.ended
	if err = cmp.Or(err, c.stop()); err == nil && follows && stopped {
		err = errors.New("journalctl ended by itself")
	}
	return err
}

// round reads one batch and commits it, and looks into the users' journals when it is time.
func (r *journalRun) round(ctx context.Context, c *journalChild, s *splitter) error {
	if time.Now().After(r.sweepAt) {
		if err := r.sweep(ctx); err != nil {
			return err
		}
		r.sweepAt = time.Now().Add(sweepEvery)
	}
	c.wait(time.Until(r.sweepAt))
	s.now = time.Now()
	if _, err := s.fill(c); err != nil {
		return err
	}
	recs, err := s.recs, error(nil)
	if len(recs) > 0 && r.skip != "" {
		if sameCursor(r.skip, cursorOf(recs[0].Body)) {
			recs = recs[1:]
		}
		r.skip = ""
	}
	recs, lost := r.early.sort(recs)
	if lost > 0 {
		r.gaps++
		r.log.Error("too many entries were written while the clock was wrong: some are not read", "entries", lost)
	}
	r.countDropped(recs)
	if len(recs) > 0 {
		err = r.commit(ctx, recs)
	}
	r.where.Store(&journalPosition{r.cursor, r.gaps, time.Since(c.last) > gather/2})
	s.take()
	if len(recs) == 0 {
		s.shrink()
	}
	return err
}

func (r *journalRun) countDropped(recs []event.Record) {
	for i := range recs {
		if unit := droppedFrom(recs[i].Body); unit != "" && r.isWatched(unit) {
			r.gaps++
			r.log.Error("journald dropped messages of the mail server, bounces among them are lost: set LogRateLimitBurst=1000000 below [Service] with systemctl edit "+unit+", then restart the mail server", "unit", unit)
		}
	}
}

// commit stores recs of the child with the place of the last one.
func (r *journalRun) commit(ctx context.Context, recs []event.Record) error {
	if last := lastCursor(recs); last != "" {
		r.cursor, r.unread = last, false
	}
	return r.sink.Commit(ctx, recs, r.checkpoint())
}

// store stores a place found without reading.
func (r *journalRun) store(ctx context.Context, cursor string, unread bool) error {
	r.cursor, r.unread = cursor, unread
	return r.sink.Commit(ctx, nil, r.checkpoint())
}

func (r *journalRun) checkpoint() map[string]string {
	return map[string]string{
		"cursor": r.cursor, "unread": strconv.FormatBool(r.unread), "users": r.users, "gaps": strconv.FormatUint(r.gaps, 10),
	}
}

// sweep reads what has come into the users' own journals.
func (r *journalRun) sweep(ctx context.Context) error {
	files := r.userFiles()
	if len(files) == 0 {
		return nil
	}
	var args []string
	for _, pattern := range files {
		args = append(args, "--file="+pattern)
	}
	if r.users != "" {
		args = append(args, "--cursor="+r.users)
	}
	c, err := r.start(ctx, append(args, r.matches()...)...)
	if err != nil {
		return err
	}
	s := splitter{now: time.Now()}
	for err == nil && !c.ended {
		c.wait(journalPatience)
		if _, err = s.fill(c); err == nil {
			err = r.commitUsers(ctx, s.recs)
			s.take()
		}
	}
	if stopped := c.stop(); stopped != nil && ctx.Err() == nil && !r.warned {
		r.warned = true
		r.log.Warn("users' own journals can't be read: forgeries there are not counted", "error", stopped)
	}
	return err
}

// commitUsers stores what users wrote under a mail server's name, for the parser to refuse.
func (r *journalRun) commitUsers(ctx context.Context, recs []event.Record) error {
	if len(recs) > 0 && sameCursor(cursorOf(recs[0].Body), r.users) {
		recs = recs[1:]
	}
	if len(recs) == 0 {
		return nil
	}
	r.users = cmp.Or(lastCursor(recs), r.users)
	return r.sink.Commit(ctx, recs, r.checkpoint())
}

// lastCursor is the cursor of the last entry that was not cut before it.
func lastCursor(recs []event.Record) string {
	for i := len(recs) - 1; i >= 0; i-- {
		if cursor := cursorOf(recs[i].Body); cursor != "" {
			return cursor
		}
	}
	return ""
}
