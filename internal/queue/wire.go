package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"bouncefeed/internal/event"
)

// A Batch goes as JSON from a command to the process that has the file open: events whole, with what never leaves the
// two.
type wireBatch struct {
	Input      string            `json:"input"`
	Events     []json.RawMessage `json:"events,omitempty"` // records
	Held       []json.RawMessage `json:"held,omitempty"`   // records, with why
	Copies     []json.RawMessage `json:"copies,omitempty"` // records
	Refused    []Refused         `json:"refused,omitempty"`
	State      map[string][]byte `json:"state,omitempty"` // null: forget
	Checkpoint map[string]string `json:"checkpoint"`      // null: leave as is
	Sent       []byte            `json:"sent,omitempty"`  // 8 bytes each
	Counts     map[Figure]uint64 `json:"counts,omitempty"`
	Mails      []Mail            `json:"mails,omitempty"`
	Log        bool              `json:"log,omitempty"`
}

// MarshalJSON writes what UnmarshalJSON reads.
func (b Batch) MarshalJSON() ([]byte, error) {
	w := wireBatch{Input: b.Input, Refused: b.Refused, State: b.State, Checkpoint: b.Checkpoint, Counts: b.Counts, Mails: b.Mails, Log: b.Log}
	var err error
	if w.Events, err = encodeAll(b.Events); err != nil {
		return nil, err
	}
	if w.Copies, err = encodeAll(b.Copies); err != nil {
		return nil, err
	}
	for i := range b.Held {
		record, err := encodeWaiting(&b.Held[i].Event, time.Time{}, b.Held[i].Until, b.Held[i].Why)
		if err != nil {
			return nil, err
		}
		w.Held = append(w.Held, record)
	}
	for _, hash := range b.Sent {
		w.Sent = append(w.Sent, hash[:]...)
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (b *Batch) UnmarshalJSON(text []byte) error {
	var w wireBatch
	if err := json.Unmarshal(text, &w); err != nil {
		return err
	}
	*b = Batch{Input: w.Input, Refused: w.Refused, State: w.State, Checkpoint: w.Checkpoint, Counts: w.Counts, Mails: w.Mails, Log: w.Log}
	var err error
	if b.Events, err = parseAll(w.Events); err != nil {
		return err
	}
	if b.Copies, err = parseAll(w.Copies); err != nil {
		return err
	}
	for _, text := range w.Held {
		r, err := parseRecord(text)
		if err != nil {
			return err
		}
		b.Held = append(b.Held, Held{r.Event, r.Why, r.Until})
	}
	if len(w.Sent)%8 != 0 {
		return errors.New("sent: not of 8 bytes each")
	}
	for ; len(w.Sent) > 0; w.Sent = w.Sent[8:] {
		b.Sent = append(b.Sent, [8]byte(w.Sent))
	}
	return nil
}

func encodeAll(events []event.Event) (all []json.RawMessage, err error) {
	for i := range events {
		record, err := encodeRecord(&events[i], time.Time{}, "")
		if err != nil {
			return nil, err
		}
		all = append(all, record)
	}
	return all, nil
}

func parseAll(records []json.RawMessage) (all []event.Event, err error) {
	for _, text := range records {
		r, err := parseRecord(text)
		if err != nil {
			return nil, err
		}
		all = append(all, r.Event)
	}
	return all, nil
}

// MarshalText and UnmarshalText make a Figure a key of JSON: "read", "ignored/other".
func (f Figure) MarshalText() ([]byte, error) {
	if f.Why == "" {
		return []byte(f.Word), nil
	}
	return []byte(string(f.Word) + "/" + f.Why), nil
}

// UnmarshalText reads what MarshalText wrote.
func (f *Figure) UnmarshalText(text []byte) error {
	word, why, reasoned := strings.Cut(string(text), "/")
	if word == "" || reasoned && why == "" {
		return fmt.Errorf("%q counts nothing", text)
	}
	*f = Figure{Word(word), why}
	return nil
}
