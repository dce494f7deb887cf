package queue

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

func settledAs(items []Item, outcome Outcome) (s []Settled) {
	for _, i := range items {
		s = append(s, Settled{Seq: i.Seq, Outcome: outcome, Answer: "400 no"})
	}
	return s
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What the receiver has answered for is not sent again, after a restart neither, and stays until it is confirmed.
func TestAcceptedStaysUntilConfirmed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Outputs: []string{"out"}}
	q := openAt(t, path, o)
	commit(t, q, Batch{Events: bounces(0, 200), Counts: read(200)})
	items := next(t, q, "out")
	ok(t, q.Accept("out", settledAs(items[:100], Sent)))
	ok(t, q.Accept("out", settledAs(items[100:110], NotSent)))
	ok(t, q.Accept("out", settledAs(items[110:120], Dead)))
	check := func(from int) {
		t.Helper()
		checkAccounts(t, q, "out")
		if got := next(t, q, "out"); len(got) != 80 || got[0].Event.MessageID != "m120@news.example" {
			t.Fatalf("%d are to be sent", len(got))
		}
		all, err := q.Accepted("out", 0, 1000)
		if err != nil || len(all) != 120-from || len(all) > 0 && all[0].Event.MessageID != fmt.Sprintf("m%d@news.example", from) {
			t.Fatalf("%d are not confirmed, want %d, %v", len(all), 120-from, err)
		}
		for i, item := range all {
			want := Sent
			if from+i >= 110 {
				want = Dead
			} else if from+i >= 100 {
				want = NotSent
			}
			if item.Outcome != want {
				t.Errorf("event %d: %s, want %s", from+i, item.Outcome, want)
			}
		}
	}
	check(0)
	q.Close()
	q = openAt(t, path, o)
	check(0)
	if part, err := q.Accepted("out", items[49].Seq, 10); err != nil || len(part) != 10 || part[0].Seq != items[50].Seq {
		t.Errorf("behind the fiftieth: %v, %v", part, err)
	}
	ok(t, q.Confirm("out", items[49].Seq, map[Word]uint64{CountStored: 48, CountNotStored: 2}))
	check(50)
	if c := stats(t, q).Counters; c.Output("out", CountStored) != 48 || c.Output("out", CountNotStored) != 2 {
		t.Errorf("counters: %v", c)
	}
	if n, err := q.SendAgain("out", []uint64{items[60].Seq, items[0].Seq, 9999}); err != nil || n < 1 || n > 2 {
		t.Errorf("sent again: %d, %v", n, err)
	}
	again := next(t, q, "out")
	if at := slices.IndexFunc(again, func(i Item) bool { return i.Event.MessageID == "m60@news.example" }); at < 0 || at > 1 {
		t.Errorf("what is sent again comes at %d", at)
	}
	if err := q.Confirm("out", items[150].Seq, nil); err == nil {
		t.Error("confirmed what nobody has answered for")
	}
	ok(t, q.Confirm("out", items[119].Seq, nil))
	if all, err := q.Accepted("out", 0, 10); err != nil || len(all) != 0 {
		t.Errorf("not confirmed: %v, %v", all, err)
	}
	settleAll(t, q, "out", Sent)
	checkAccounts(t, q, "out")
	if n := len(groupsOf(t, q)); n > 0 {
		t.Errorf("%d groups are left", n)
	}
}

func groupsOf(t testing.TB, q *Queue) (groups []storedGroup) {
	t.Helper()
	q.lock <- struct{}{}
	defer func() { <-q.lock }()
	tx, err := q.db.Begin(false)
	ok(t, err)
	defer tx.Rollback()
	groups, err = groupsFrom(tx, 0, 1<<30)
	ok(t, err)
	return groups
}

// An event is kept for as long as any output needs it.
func TestSlowestOutputKeepsEvents(t *testing.T) {
	q := openNew(t, Options{Outputs: []string{"a", "b"}})
	commit(t, q, Batch{Events: bounces(0, 100)})
	settleAll(t, q, "a", Sent)
	ok(t, q.Accept("b", settledAs(next(t, q, "b"), Sent)))
	if len(groupsOf(t, q)) == 0 {
		t.Error("deleted, and b's receiver may not have stored them")
	}
	all, err := q.Accepted("b", 0, 1000)
	ok(t, err)
	ok(t, q.Confirm("b", all[len(all)-1].Seq, nil))
	if n := len(groupsOf(t, q)); n > 0 {
		t.Errorf("%d groups are left", n)
	}
}

// Who reads ahead gets each event once, in order, whatever is settled meanwhile.
func TestReadAhead(t *testing.T) {
	q := openNew(t, Options{})
	random := rand.New(rand.NewPCG(1, 1))
	total, mark := 0, Mark{}
	var ahead []Item
	var got []string
	for total < 3000 || len(got) < total {
		if n := random.IntN(50); total < 3000 {
			commit(t, q, Batch{Events: bounces(total, total+n)})
			total += n
		}
		if len(got)+len(ahead) < total {
			items, after, err := q.NextAfter(t.Context(), "out", mark, 1+random.IntN(100))
			ok(t, err)
			mark, ahead = after, append(ahead, items...)
		}
		n := random.IntN(len(ahead) + 1)
		ok(t, q.Settle("out", settledAs(ahead[:n], Sent)))
		got, ahead = append(got, messageIDs(ahead[:n])...), ahead[n:]
		if random.IntN(20) == 0 {
			ok(t, q.Maintain())
		}
	}
	for i, id := range got {
		if want := fmt.Sprintf("m%d@news.example", i); id != want {
			t.Fatalf("%d: got %s, want %s", i, id, want)
		}
	}
}

// A repeat that knows the subscriber completes the event while it waits, in whatever group it is.
func TestRepeatCompletesWhatWaits(t *testing.T) {
	const uuid = "7a8b9c0d-1e2f-4a3b-9c4d-5e6f7a8b9c0d"
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Outputs: []string{"a", "b"}}
	q := openAt(t, path, o)
	var events []event.Event
	for _, e := range bounces(0, 100) {
		e.Sole, e.Evidence = true, ""
		events = append(events, e)
	}
	commit(t, q, Batch{Events: events, Counts: read(100)})
	ok(t, q.Settle("a", settledAs(next(t, q, "a")[:50], Sent)))
	tell := func(n int) {
		t.Helper()
		report := events[n]
		report.SubscriberUUID, report.CampaignUUID, report.Evidence = uuid, "campaign", "uuid"
		if r := commit(t, q, Batch{Events: []event.Event{report}, Counts: read(1)}); !r.Repeat[0] {
			t.Fatal("the report is no repeat")
		}
	}
	tell(7)  // only b waits for it
	tell(70) // both wait
	for range 2 {
		for output, behind := range map[string]int{"a": 50, "b": 0} {
			for i, item := range next(t, q, output) {
				want := ""
				if n := i + behind; n == 7 || n == 70 {
					want = uuid
				}
				if item.Event.SubscriberUUID != want || item.Event.ID != events[i+behind].ID {
					t.Errorf("%s gets event %d with subscriber %q", output, i+behind, item.Event.SubscriberUUID)
				}
			}
		}
		checkAccounts(t, q, "a", "b")
		q.Close()
		q = openAt(t, path, o)
	}
	settleAll(t, q, "a", Sent)
	ok(t, q.Settle("b", settledAs(next(t, q, "b"), Dead)))
	if dead, err := q.Dead("b"); err != nil || dead[70].Event.SubscriberUUID != uuid {
		t.Errorf("the dead letter: %+v, %v", dead[70].Event, err)
	}
	tell(80) // too late
	if n := len(groupsOf(t, q)); n > 0 {
		t.Errorf("%d groups are left", n)
	}
	q.lock <- struct{}{}
	defer func() { <-q.lock }()
	tx, err := q.db.Begin(false)
	ok(t, err)
	defer tx.Rollback()
	if k, _ := tx.Bucket(bucketCompleted).Cursor().First(); k != nil {
		t.Error("what completed an event outlives it")
	}
}

// Events that come alone are joined into few groups, and stay what they are.
func TestLoneEventsAreJoined(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	q := openNew(t, Options{Now: func() time.Time { return now }})
	for n := range 300 {
		commit(t, q, Batch{Events: bounces(n, n+1)})
	}
	before := groupsOf(t, q)
	ok(t, q.Maintain())
	after := groupsOf(t, q)
	size := 0
	for _, g := range after {
		size += len(g.sealed)
	}
	if len(before) != 300 || len(after) > 20 || size > 300*100 {
		t.Errorf("%d groups became %d of %d bytes", len(before), len(after), size)
	}
	for i, item := range next(t, q, "out") {
		if want := bounce(i); item.Event.MessageID != want.MessageID || item.Event.Recipient != want.Recipient {
			t.Fatalf("event %d is %s now", i, item.Event.MessageID)
		}
	}
	ok(t, q.Maintain())
	if n := len(groupsOf(t, q)); n != len(after) {
		t.Errorf("%d groups became %d with nothing to do", len(after), n)
	}
	settleAll(t, q, "out", Sent)
}

// The group in which damage lies is lost and named, no other.
func TestDamagedGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	var log strings.Builder
	o := Options{Outputs: []string{"out"}, Log: textLog(&log)}
	q := openAt(t, path, o)
	commit(t, q, Batch{Events: bounces(0, 1000), Counts: read(1000)})
	groups := groupsOf(t, q)
	q.Close()
	content, err := os.ReadFile(path)
	ok(t, err)
	g := groups[len(groups)/2]
	at := bytes.Index(content, g.sealed)
	content[at+20] ^= 1
	ok(t, os.WriteFile(path, content, 0o600))
	q = openAt(t, path, o)
	lost := int(groupCount(g.sealed))
	if got := len(next(t, q, "out")); got != 1000-lost {
		t.Errorf("%d of %d are left, the group had %d", got, 1000, lost)
	}
	if want := fmt.Sprintf("events_missing=%d-%d", g.first, int(g.first)+lost-1); !strings.Contains(log.String(), want) {
		t.Errorf("the log does not say %s:\n%s", want, log.String())
	}
	if n := repeats(t, q, 0, 1000); n != 1000-lost {
		t.Errorf("%d are known, want %d", n, 1000-lost)
	}
	if got := len(next(t, q, "out")); got != 1000 {
		t.Errorf("%d are there after their source told them again", got)
	}
}

// The dictionary is part of the file's format: with another one nothing stored can be read.
func TestDictionaryIsTheSameForEver(t *testing.T) {
	if sum := fmt.Sprintf("%x", sha256.Sum256(dictionary)); sum != "dc57ecec39c44b99aeac1e58c30c54fc5f0350a3fa58ff74e7c288c9a80a7432" {
		t.Errorf("it has changed: give a new one a layout of its own beside this one's (%s)", sum)
	}
}
