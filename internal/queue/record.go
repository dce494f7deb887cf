package queue

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// record is what is stored of an event: its public JSON, the fields that never leave the process (all of event.Event's
// with the tag "-"), and for a dead letter or a held event since when and why.
type record struct {
	event.Event
	QueueIDIssuer string       `json:"_host,omitempty"`
	OtherQueueIDs []string     `json:"_other_queue_ids,omitempty"`
	ProviderID    string       `json:"_provider_id,omitempty"`
	NeverHard     bool         `json:"_expired,omitempty"`
	Hint          event.Reason `json:"_hint,omitempty"`
	OwnWords      bool         `json:"_own_words,omitempty"`
	Claimed       string       `json:"_claimed,omitempty"`
	Evidence      string       `json:"_evidence,omitempty"`
	Ours          bool         `json:"_ours,omitempty"`
	Sole          bool         `json:"_sole,omitempty"`
	Proof         event.Proof  `json:"_proof,omitempty"`
	NeedsProof    bool         `json:"_needs_proof,omitempty"`
	Content       string       `json:"_content,omitempty"`
	Until         time.Time    `json:"_until,omitzero"` // of a held event that waits: till then
	Since         time.Time    `json:"_since,omitzero"`
	Why           string       `json:"_why,omitempty"` // why held; a dead letter's answer
	Of            uint64       `json:"_of,omitempty"`  // of one that is retried or dead: the number that the event has in its group
}

func encodeRecord(e *event.Event, since time.Time, why string) ([]byte, error) {
	return encodeWaiting(e, since, time.Time{}, why)
}

func encodeWaiting(e *event.Event, since, until time.Time, why string) ([]byte, error) {
	return (&record{Event: *e, Until: until, Since: since, Why: why}).encode()
}

// encode takes the fields that never leave the process from the event.
func (r *record) encode() ([]byte, error) {
	e := &r.Event
	r.QueueIDIssuer, r.OtherQueueIDs, r.ProviderID = e.QueueIDIssuer, e.OtherQueueIDs, e.ProviderID
	r.NeverHard, r.Hint, r.OwnWords, r.Claimed, r.Evidence, r.Ours, r.Sole, r.Proof = e.NeverHard, e.Hint, e.OwnWords, e.Claimed, e.Evidence, e.Ours, e.Sole, e.Proof
	r.NeedsProof, r.Content = e.NeedsProof, e.Content
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	return b, nil
}

// putRecord stores an event that waits for its output.
func putRecord(b *bbolt.Bucket, seq uint64, r *record) error {
	text, err := (&record{Event: r.Event, Of: r.Of}).encode()
	if err != nil {
		return err
	}
	return putSealed(b, number(seq), text)
}

// decodeRecord reads what is stored under key.
func decodeRecord(key, stored []byte) (*record, error) {
	text, err := unseal(key, stored)
	if err != nil {
		return nil, err
	}
	r, err := parseRecord(text)
	if err != nil {
		return nil, fmt.Errorf("%w: a record is not JSON: %w", ErrDamaged, err)
	}
	return r, nil
}

// parseRecord reads what encodeRecord wrote.
func parseRecord(text []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, err
	}
	e := &r.Event
	e.QueueIDIssuer, e.OtherQueueIDs, e.ProviderID = r.QueueIDIssuer, r.OtherQueueIDs, r.ProviderID
	e.NeverHard, e.Hint, e.OwnWords, e.Claimed, e.Evidence, e.Ours, e.Sole, e.Proof = r.NeverHard, r.Hint, r.OwnWords, r.Claimed, r.Evidence, r.Ours, r.Sole, r.Proof
	e.NeedsProof, e.Content = r.NeedsProof, r.Content
	return &r, nil
}

// bbolt checks only its meta pages. A flipped bit must not send a bounce for someone else's address or take an event
// for one already sent, so that what matters is stored sealed: 4 bytes CRC-32C over key and content, then the content.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key, content []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, content)
}

func putSealed(b *bbolt.Bucket, key, content []byte) error {
	sealed := make([]byte, 4, 4+len(content))
	binary.BigEndian.PutUint32(sealed, checksum(key, content))
	return b.Put(key, append(sealed, content...))
}

func unseal(key, stored []byte) ([]byte, error) {
	if len(stored) < 4 || binary.BigEndian.Uint32(stored) != checksum(key, stored[4:]) {
		return nil, fmt.Errorf("%w: a record's checksum is wrong", ErrDamaged)
	}
	return stored[4:], nil
}

func unsealJSON(key, stored []byte, v any) error {
	text, err := unseal(key, stored)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%w: a record is not JSON: %w", ErrDamaged, err)
	}
	return nil
}

// unsealNumber reads a number that must not be taken wrong: an output's position.
func unsealNumber(key, stored []byte) (uint64, error) {
	b, err := unseal(key, stored)
	return numbered(b), err
}

// number and numbered store counts, positions and sequence numbers: 8 bytes, big-endian, so that keys sort.
func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func numbered(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}
