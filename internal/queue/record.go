package queue

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	"bouncefeed/internal/event"
)

// record is what is stored of an event: its public JSON, the fields that never leave the process, and for a dead
// letter or a held event since when and why.
type record struct {
	event.Event
	Host          string       `json:"_host,omitempty"`
	OtherQueueIDs []string     `json:"_other_queue_ids,omitempty"`
	ProviderID    string       `json:"_provider_id,omitempty"`
	Expired       bool         `json:"_expired,omitempty"`
	Hint          event.Reason `json:"_hint,omitempty"`
	Evidence      string       `json:"_evidence,omitempty"`
	Since         time.Time    `json:"_since,omitzero"`
	Why           string       `json:"_why,omitempty"` // why held; a dead letter's answer
}

func encodeRecord(e *event.Event, since time.Time, why string) ([]byte, error) {
	b, err := sealJSON(&record{*e, e.Host, e.OtherQueueIDs, e.ProviderID, e.Expired, e.Hint, e.Evidence, since, why})
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID, err)
	}
	return b, nil
}

func decodeRecord(b []byte) (*record, error) {
	var r record
	if err := unsealJSON(b, &r); err != nil {
		return nil, err
	}
	e := &r.Event
	e.Host, e.OtherQueueIDs, e.ProviderID = r.Host, r.OtherQueueIDs, r.ProviderID
	e.Expired, e.Hint, e.Evidence = r.Expired, r.Hint, r.Evidence
	return &r, nil
}

// bbolt checks only its meta pages. A flipped bit must not send a bounce for someone else's address, so that each
// record carries its own checksum: 4 bytes CRC-32C, then JSON.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sealJSON(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 4, 4+len(text))
	binary.BigEndian.PutUint32(b, crc32.Checksum(text, castagnoli))
	return append(b, text...), nil
}

func unseal(b []byte) ([]byte, error) {
	if len(b) < 4 || binary.BigEndian.Uint32(b) != crc32.Checksum(b[4:], castagnoli) {
		return nil, fmt.Errorf("%w: a record's checksum is wrong", ErrDamaged)
	}
	return b[4:], nil
}

func unsealJSON(b []byte, v any) error {
	text, err := unseal(b)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%w: a record is not JSON: %w", ErrDamaged, err)
	}
	return nil
}

// sealNumber stores a number that must not be taken wrong: an output's position.
func sealNumber(n uint64) []byte {
	b := number(n)
	return append(binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, castagnoli)), b...)
}

func unsealNumber(b []byte) (uint64, error) {
	b, err := unseal(b)
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
