package guard

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// forget is how much of what was is left in Scope.Recent after n more mails.
func forget(n float64) float64 { return math.Exp(-n / recently) }

// Encode writes what Decode reads.
func (s *Scope) Encode() []byte {
	var b []byte
	for _, t := range []time.Time{s.Touched, s.Since, s.Last} {
		b = binary.AppendVarint(b, stamp(t))
	}
	b = binary.AppendUvarint(b, uint64(s.Recent*1e6))
	b = binary.AppendUvarint(b, s.Learned)
	for _, h := range s.Hours {
		b = binary.AppendVarint(b, h.At)
		for _, n := range []uint64{h.Mail, h.Hard, h.Held} {
			b = binary.AppendUvarint(b, n)
		}
	}
	return b
}

// Decode reads a Scope.
func Decode(b []byte) (*Scope, error) {
	s := &Scope{}
	short := false
	signed := func() int64 {
		v, n := binary.Varint(b)
		if short = short || n <= 0; short {
			return 0
		}
		b = b[n:]
		return v
	}
	unsigned := func() uint64 {
		v, n := binary.Uvarint(b)
		if short = short || n <= 0; short {
			return 0
		}
		b = b[n:]
		return v
	}
	for _, t := range []*time.Time{&s.Touched, &s.Since, &s.Last} {
		*t = stamped(signed())
	}
	s.Recent = float64(unsigned()) / 1e6
	s.Learned = unsigned()
	for len(b) > 0 && !short {
		s.Hours = append(s.Hours, Hour{At: signed(), Mail: unsigned(), Hard: unsigned(), Held: unsigned()})
	}
	if short {
		return nil, errors.New("a scope of the guard is cut off")
	}
	return s, nil
}

func stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func stamped(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(n, 0)
}
