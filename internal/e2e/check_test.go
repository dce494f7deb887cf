package e2e

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bouncefeed/internal/e2e/e2etest"
)

// verdict is what the book (traffic.wants) and the receiver's record say of each other. The promises hold if problems
// is empty.
type verdict struct {
	expected    int
	lost        []string // never arrived
	doubled     []string // arrived under two ids
	unexpected  []string // nobody was to hear of it
	wrong       []string // arrived with a wrong field
	repeated    []string // posted again although the receiver had said 200 to the same life of the daemon
	afterKill   int      // posted again by the next life: the kill came between the 200 and its note on disk
	afterSilent int      // posted again because no answer came
}

func (v verdict) problems() []string {
	var all []string
	for _, list := range []struct {
		what  string
		items []string
	}{{"lost", v.lost}, {"two ids", v.doubled}, {"unexpected", v.unexpected}, {"wrong", v.wrong}, {"repeated", v.repeated}} {
		for _, item := range list.items {
			all = append(all, list.what+": "+item)
		}
	}
	return all
}

func (v verdict) String() string {
	return fmt.Sprintf("%d bounces expected: %d lost, %d with two ids, %d unexpected, %d wrong, %d repeated without cause; posted again: %d after a kill, %d for want of an answer",
		v.expected, len(v.lost), len(v.doubled), len(v.unexpected), len(v.wrong), len(v.repeated), v.afterKill, v.afterSilent)
}

// delivery identifies what was bounced: one message to one recipient.
type delivery struct{ recipient, messageID string }

// judge compares what was to be reported under a `send:` setting with what the receiver took.
func judge(wants []want, posts []e2etest.Post, send string) verdict {
	var v verdict
	posts = slices.DeleteFunc(slices.Clone(posts), func(p e2etest.Post) bool { return !p.Taken() })
	arrived := map[delivery][]e2etest.Post{}
	for _, p := range posts {
		key := delivery{p.Email, p.Meta.MessageID}
		arrived[key] = append(arrived[key], p)
	}
	for _, w := range wants {
		if !w.scenario.reported(send) {
			continue
		}
		v.expected++
		key := delivery{w.recipient, w.messageID}
		got := arrived[key]
		delete(arrived, key)
		if len(got) == 0 {
			v.lost = append(v.lost, w.recipient+" of message "+w.messageID)
			continue
		}
		if ids := distinctIDs(got); len(ids) > 1 {
			v.doubled = append(v.doubled, w.recipient+": "+strings.Join(ids, ", "))
		}
		v.wrong = append(v.wrong, w.differences(got[0])...)
	}
	for key, got := range arrived {
		v.unexpected = append(v.unexpected, fmt.Sprintf("%s of message %q: %s %s %s", key.recipient, key.messageID, got[0].Type, got[0].Meta.Reason, got[0].Meta.Diagnostic))
	}
	v.countRepeats(posts)
	return v
}

// countRepeats looks at posts of an id that was taken before.
func (v *verdict) countRepeats(posts []e2etest.Post) {
	before := map[string]e2etest.Post{}
	for _, p := range posts {
		earlier, again := before[p.Meta.ID]
		before[p.Meta.ID] = p
		switch {
		case !again:
		case earlier.Life != p.Life:
			v.afterKill++
		case earlier.Mood == e2etest.DropsAfter:
			v.afterSilent++
		default:
			v.repeated = append(v.repeated, fmt.Sprintf("%s, id %s, %v after the first", p.Email, p.Meta.ID, p.At.Sub(earlier.At)))
		}
	}
}

func distinctIDs(posts []e2etest.Post) []string {
	var ids []string
	for _, p := range posts {
		ids = append(ids, p.Meta.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// differences compares every field of a post with the book.
func (w want) differences(p e2etest.Post) []string {
	var diffs []string
	for _, f := range []struct{ name, got, want string }{
		{"type", p.Type, w.scenario.typ},
		{"reason", p.Meta.Reason, w.scenario.reason},
		{"fault", p.Meta.Fault, w.scenario.fault},
		{"queue_id", p.Meta.QueueID, w.queueID},
		{"campaign_uuid", p.CampaignUUID, w.campaign},
		{"subscriber_uuid", p.SubscriberUUID, w.subscriber},
		{"source", p.Source, "bouncefeed/" + hostName},
	} {
		if w.several && f.got == "" && strings.HasSuffix(f.name, "_uuid") {
			continue // one subscriber's UUID is left with one of those to whom the message went, or with none
		}
		if f.got != f.want {
			diffs = append(diffs, fmt.Sprintf("%s: %s is %q, want %q (%s)", w.recipient, f.name, f.got, f.want, p.Meta.Diagnostic))
		}
	}
	// It happened between submission and post; the log's older time format knows whole seconds only.
	if p.CreatedAt.Before(w.sent.Truncate(time.Second)) || p.CreatedAt.After(p.At) {
		diffs = append(diffs, fmt.Sprintf("%s: created_at %v is not between %v and %v", w.recipient, p.CreatedAt, w.sent, p.At))
	}
	return diffs
}
