package event

import (
	"errors"
	"fmt"
)

// ErrRefused marks a record that looked like ours and made no sense, or had two readings. It is counted under its
// reason, kept aside, and reading goes on. See Refuse.
var ErrRefused = errors.New("refused")

// Counter words of refusals that several packages speak.
const (
	WhyTwoReadings  = "two_readings" // it can be read in two ways
	WhyControlChars = "control_characters"
	WhyMalformed    = "malformed"
	WhyTooLong      = "too_long"
	WhyTooDeep      = "too_deep"
	WhyTooMany      = "too_many"     // items in one request
	WhyContentType  = "content_type" // a request in a form that is not its format's
)

// A RefusedError is what Refuse returns; errors.Is(err, ErrRefused) holds.
type RefusedError struct {
	Why    string // counter word: "two_readings", "unopened_queue_id", "malformed" …
	Detail string // for a human, without addresses
	Part   []byte // what of the record is meant, to be kept aside; nil: all of it. Valid as long as the record's body
}

func (e *RefusedError) Error() string { return "refused (" + e.Why + "): " + e.Detail }

// Unwrap makes errors.Is(err, ErrRefused) hold.
func (e *RefusedError) Unwrap() error { return ErrRefused }

// Refuse says that a record is not believed. why is a stable lower-case counter word.
func Refuse(why, format string, args ...any) error {
	return &RefusedError{Why: why, Detail: fmt.Sprintf(format, args...)}
}

// PermanentError says that a receiver will never take an event.
type PermanentError struct{ Err error }

func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap gives the answer behind the mark.
func (e *PermanentError) Unwrap() error { return e.Err }

// Permanent marks err, an output's answer: the receiver will never take this event. Unmarked errors are temporary.
func Permanent(err error) error { return &PermanentError{Err: err} }

// IsPermanent reports whether err carries the mark of Permanent.
func IsPermanent(err error) bool {
	var p *PermanentError
	return errors.As(err, &p)
}
