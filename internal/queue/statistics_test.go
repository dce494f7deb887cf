package queue

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

func statRow(kind, name string, at time.Time, n uint64) event.Stat {
	return event.Stat{StatKey: event.StatKey{Table: event.StatHours, At: event.Hours(at), Kind: kind, Name: name}, N: n}
}

// countOne counts each event that is stored under its input.
func countOne(e *event.Event) event.Counted {
	return event.Counted{
		Stats:    []event.Stat{statRow("queued", e.Input, time.Now(), 1)},
		Examples: []event.StatExample{{Name: e.Input, Kind: "said", First: e.Time, Last: e.Time, Text: "no"}},
	}
}

// sumStats adds up all statistics by kind and name.
func sumStats(t testing.TB, q *Queue) map[string]uint64 {
	t.Helper()
	sums := map[string]uint64{}
	if err := q.Statistics(time.Unix(0, 0), time.Now().AddDate(10, 0, 0), func(s *event.Stat) {
		if s.Table == event.StatHours {
			sums[s.Kind+" "+s.Name] += s.N
		}
	}); err != nil {
		t.Fatal(err)
	}
	return sums
}

// checkStatistics holds the statistics against the counters, and each day against its hours.
func checkStatistics(t testing.TB, q *Queue) {
	t.Helper()
	sums, counted := sumStats(t, q), map[string]uint64{}
	for c, n := range stats(t, q).Counters {
		if c.Side == InputSide && (c.Word == CountRead || c.Word == CountQueued) && n > 0 {
			counted[string(c.Word)+" "+c.Module] = n
		}
	}
	if !maps.Equal(sums, counted) {
		t.Errorf("statistics %v, counters %v", sums, counted)
	}
	checkDays(t, q)
}

// checkDays: a day is the sum of its hours, in the tables.
func checkDays(t testing.TB, q *Queue) {
	t.Helper()
	days := map[event.StatKey]int64{}
	if err := q.view(func(tx *bbolt.Tx) error {
		for table, sign := range map[event.StatTable]int64{event.StatHours: 1, event.StatDays: -1} {
			if err := tableOf(tx, table).ForEach(func(k, v []byte) error {
				s, err := parseStat(table, k, v)
				days[event.StatKey{At: s.At / 24 * 24, Kind: s.Kind, Name: s.Name}] += sign * int64(s.N)
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for key, n := range days {
		if n != 0 {
			t.Errorf("%+v: hours and day differ by %d", key, n)
		}
	}
}

// TestStatisticsAddUp: whatever is committed, refused to be, repeated, held and released, with restarts in between.
func TestStatisticsAddUp(t *testing.T) {
	t.Parallel()
	path, random := filepath.Join(t.TempDir(), "queue.db"), rand.New(rand.NewPCG(3, 4))
	o := Options{Outputs: []string{"out"}, Counted: countOne, freshEnough: 300}
	q := openAt(t, path, o)
	want := map[string]uint64{}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	start := event.HourTime(event.Hours(time.Now())).Add(-20 * 24 * time.Hour)
	for i := range 400 {
		at := start.Add(time.Duration(random.IntN(20*24)) * time.Hour)
		b := Batch{Input: "in", Events: bounces(random.IntN(300), 300)[:random.IntN(3)], Counted: event.Counted{Stats: []event.Stat{
			statRow("sent", fmt.Sprint("p", random.IntN(5)), at, uint64(random.IntN(9)+1)), statRow("late", "p0", at, 1),
		}}}
		if random.IntN(10) == 0 {
			b.Held = []Held{{Event: bounce(1000 + i), Why: "no proof"}}
		}
		switch random.IntN(12) {
		case 0:
			b.Sent = nil
			if _, err := q.Commit(cancelled, b); err == nil {
				for _, s := range b.Counted.Stats {
					want[s.Kind+" "+s.Name] += s.N
				}
			}
			continue
		case 1:
			if err := q.Maintain(); err != nil {
				t.Fatal(err)
			}
		case 2:
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			q = openAt(t, path, o)
		case 3:
			if _, err := q.ReleaseHeld(nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := q.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		for _, s := range b.Counted.Stats {
			want[s.Kind+" "+s.Name] += s.N
		}
	}
	counters := stats(t, q).Counters
	want["queued in"] = counters.Input("in", CountQueued)
	for c, n := range counters { // held, then released, they count
		if c.Word == CountReleased {
			want["queued "+c.Module] += n
		}
	}
	if got := sumStats(t, q); !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if err := q.update((*txn).addStats); err != nil {
		t.Fatal(err)
	}
	if got := sumStats(t, q); !maps.Equal(got, want) {
		t.Errorf("in the tables %v\nwant %v", got, want)
	}
	checkDays(t, q)
}

// TestStatisticsAreBounded: of names beyond the cap no count is lost, and what is known goes on under its name.
func TestStatisticsAreBounded(t *testing.T) {
	t.Parallel()
	q := openNew(t, Options{})
	now := time.Now()
	row := func(name string) event.Stat {
		return event.Stat{StatKey: event.StatKey{Table: event.StatDomains, At: dayOf(now), Kind: "a", Name: name}, N: 1}
	}
	for range 3 {
		var b Batch
		for i := range 1500 {
			b.Counted.Stats = append(b.Counted.Stats, row(fmt.Sprintf("%04d.example", i)))
		}
		b.Counted.Stats = append(b.Counted.Stats, row(strings.Repeat("x", 300)), row("a\x00b"))
		b.Input = "in"
		if _, err := q.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if err := q.update((*txn).addStats); err != nil {
			t.Fatal(err)
		}
	}
	sums := map[string]uint64{}
	if err := q.Statistics(now, now.Add(time.Hour), func(s *event.Stat) { sums[s.Name] += s.N }); err != nil {
		t.Fatal(err)
	}
	if len(sums) != 1001 || sums[OtherName] != 3*502 || sums["0000.example"] != 3 {
		t.Errorf("%d names, %d other, the first %d", len(sums), sums[OtherName], sums["0000.example"])
	}
}

// TestStatisticsAreForgotten: hours after a month, days later; by the day they are told all the same.
func TestStatisticsAreForgotten(t *testing.T) {
	t.Parallel()
	now := time.Now()
	q := openNew(t, Options{freshEnough: 1, Now: func() time.Time { return now }})
	commitRow := func() {
		t.Helper()
		if _, err := q.Commit(t.Context(), Batch{Input: "in", Counted: event.Counted{
			Stats:    []event.Stat{statRow("sent", "p", now, 1)},
			Examples: []event.StatExample{{Name: "p", Kind: now.Format(time.DateOnly), Last: now}},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	begun := now
	for range 450 {
		commitRow()
		if err := q.Maintain(); err != nil {
			t.Fatal(err)
		}
		now = now.Add(24 * time.Hour)
	}
	hours, days := map[uint32]uint64{}, 0
	if err := q.Statistics(begun, now, func(s *event.Stat) { hours[s.At] += s.N }); err != nil {
		t.Fatal(err)
	}
	for at, n := range hours {
		if n != 1 {
			t.Errorf("%v counted %d times", event.HourTime(at), n)
		}
		if at%24 == 0 {
			days++
		}
	}
	if len(hours) < 400 || len(hours) > 403 || len(hours)-days > 33 {
		t.Errorf("%d days are left, %d of them by the hour", len(hours), len(hours)-days)
	}
	said, err := q.Examples()
	if err != nil || len(said) < 30 || len(said) > 32 {
		t.Errorf("%d examples, %v", len(said), err)
	}
}

// TestFullQueueForgetsStatistics: the oldest day goes, and nobody waits.
func TestFullQueueForgetsStatistics(t *testing.T) {
	t.Parallel()
	q := openNew(t, Options{MaxSize: 256 << 10, freshEnough: 1})
	now := time.Now()
	for i := range 40 {
		at := now.Add(time.Duration(i-39) * 8 * time.Hour)
		var b Batch
		for p := range 150 {
			b.Counted.Stats = append(b.Counted.Stats, statRow(strings.Repeat("k", 100), fmt.Sprint("p", p), at, 1))
		}
		b.Input = "in"
		if _, err := q.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if err := q.Maintain(); err != nil {
			t.Fatal(err)
		}
	}
	oldest, newest := ^uint32(0), uint32(0)
	if err := q.Statistics(time.Unix(0, 0), now.Add(time.Hour), func(s *event.Stat) { oldest, newest = min(oldest, s.At), max(newest, s.At) }); err != nil {
		t.Fatal(err)
	}
	if newest != event.Hours(now) || event.HourTime(oldest).Before(now.Add(-9*24*time.Hour)) {
		t.Errorf("kept from %v to %v", event.HourTime(oldest), event.HourTime(newest))
	}
}
