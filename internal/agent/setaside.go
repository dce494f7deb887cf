package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
	"bouncefeed/internal/queue"
)

// Edit changes fields of one dead letter, by their names in the public schema.
type Edit struct {
	Number uint64            `json:"number"`
	Set    map[string]string `json:"set"`
}

// deadBy gives the dead letters that s names to f, for each output; without an output those of all are meant. A number that
// is not there is an error, and then nothing is done.
func deadBy(q *queue.Queue, s Selection, f func(output string, seqs []uint64) (int, error)) (total int, err error) {
	letters, err := q.Dead(s.Output)
	if err != nil {
		return 0, err
	}
	if s.Output != "" && len(letters) == 0 && !slices.Contains(q.Outputs(), s.Output) {
		return 0, fmt.Errorf("there is no output %q", s.Output)
	}
	by := map[string][]uint64{}
	there := map[uint64]bool{}
	for _, l := range letters {
		there[l.Seq] = true
		if len(s.Numbers) == 0 || slices.Contains(s.Numbers, l.Seq) {
			by[l.Output] = append(by[l.Output], l.Seq)
		}
	}
	if err := missingNumbers("dead letter", s.Numbers, there); err != nil {
		return 0, err
	}
	var errs []error
	for _, output := range slices.Sorted(maps.Keys(by)) {
		n, err := f(output, by[output])
		total += n
		errs = append(errs, err)
	}
	return total, errors.Join(errs...)
}

// narrows says whether s names some of what is held by what they have in common.
func (s *Selection) narrows() bool { return s.Excess || s.Input+s.Domain+s.Provider+s.Reason != "" }

// takes says whether s means a held event.
func (s *Selection) takes(h *HeldEvent) bool {
	e := &h.Event
	domain := domainOf(e.Recipient)
	return (!s.Excess || h.Excess != "") && (s.Input == "" || s.Input == e.Input) && (s.Domain == "" || strings.EqualFold(s.Domain, domain)) &&
		(s.Reason == "" || s.Reason == string(e.Reason)) && (s.Provider == "" || s.Provider == providerOf(e.RemoteMTA, domain))
}

// answerHeld lists what is held and meant.
func answerHeld(q *queue.Queue) func(context.Context, Selection, io.Reader, func(HeldEvent) error) error {
	return func(_ context.Context, s Selection, _ io.Reader, reply func(HeldEvent) error) error {
		var gone error
		err := q.EachHeld(func(h *HeldEvent) {
			if gone == nil && s.takes(h) {
				gone = reply(*h)
			}
		})
		return errors.Join(err, gone)
	}
}

// heldBy gives the held events that s names to f.
func heldBy(q *queue.Queue, s Selection, f func(seqs []uint64) (int, error)) (int, error) {
	there := map[uint64]bool{}
	if err := q.EachHeld(func(h *HeldEvent) { there[h.Seq] = s.takes(h) }); err != nil {
		return 0, err
	}
	if err := missingNumbers("held event", s.Numbers, there); err != nil || len(s.Numbers) > 0 {
		if err != nil {
			return 0, err
		}
		return f(s.Numbers)
	}
	meant := []uint64{}
	for _, seq := range slices.Sorted(maps.Keys(there)) {
		if there[seq] {
			meant = append(meant, seq)
		}
	}
	return f(meant)
}

func missingNumbers(what string, asked []uint64, there map[uint64]bool) error {
	var missing []string
	for _, n := range asked {
		if !there[n] {
			missing = append(missing, fmt.Sprint(n))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("there is no %s %s: nothing is done, see the list", what, strings.Join(missing, ", "))
}

// editDead changes a dead letter. It keeps its id: it is the same bounce.
func editDead(q *queue.Queue, edit Edit) (int, error) {
	letters, err := q.Dead("")
	if err != nil {
		return 0, err
	}
	for _, l := range letters {
		if l.Seq != edit.Number {
			continue
		}
		found, err := q.EditDead(l.Output, l.Seq, func(e *event.Event) error { return setFields(e, edit.Set) })
		if err != nil || found {
			return 1, err
		}
	}
	return 0, missingNumbers("dead letter", []uint64{edit.Number}, nil)
}

// setFields changes what an admin may know better.
func setFields(e *event.Event, set map[string]string) error {
	if len(set) == 0 {
		return errors.New("say what to change: recipient=jo@example.org")
	}
	for key, value := range set {
		switch key {
		case "recipient":
			m, err := address.Parse(value)
			if err != nil {
				return fmt.Errorf("recipient: %w", err)
			}
			e.Recipient = m.String()
		case "subscriber_uuid", "campaign_uuid":
			id := listmonk.UUID(value)
			if value != "" && id == "" {
				return fmt.Errorf("%s: %q is no UUID", key, value)
			}
			*map[string]*string{"subscriber_uuid": &e.SubscriberUUID, "campaign_uuid": &e.CampaignUUID}[key] = id
		case "type":
			if e.Type = event.Type(value); !e.Type.Reported() {
				return fmt.Errorf("type: %q is none of hard, soft, complaint", value)
			}
		default:
			return fmt.Errorf("%s can't be changed: recipient, subscriber_uuid, campaign_uuid and type can", key)
		}
	}
	if cmp.Or(e.Recipient, e.SubscriberUUID) == "" {
		return errors.New("it would name nobody")
	}
	return nil
}
