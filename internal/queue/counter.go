package queue

import (
	"fmt"
	"strings"
)

// Side says of what module a counter is.
type Side string

// The two sides of the queue.
const (
	InputSide  Side = "input"
	OutputSide Side = "output"
)

// Word is what a counter counts.
type Word string

// The words of counters. How they add up stands at Stats.
const (
	CountRead    Word = "read"
	CountIgnored Word = "ignored" // with why
	CountRefused Word = "refused" // with why
	CountQueued  Word = "queued"

	CountHeld       Word = "held"
	CountReleased   Word = "released"
	CountDropped    Word = "dropped" // of what is held, or of an output's dead letters
	CountSuperseded Word = "superseded"
	CountPushedOut  Word = "pushed_out"
	CountHeldLost   Word = "held_lost"

	CountSent           = Word(Sent)
	CountNotSent        = Word(NotSent)
	CountDead           = Word(Dead)
	CountRetried   Word = "retried"
	CountResent    Word = "resent" // the receiver had answered for it, and not stored it
	CountLost      Word = "lost"
	CountUnfit          = Word(Unfit)
	CountUnknown        = Word(Unknown)
	CountDiscarded      = Word(Discarded)

	// Of those sent, what the receiver was asked about: the rest is unverified, or trusted.
	CountStored    Word = "stored"
	CountNotStored Word = "not_stored" // it was told twice and keeps it not: it knows no such subscriber, say

	CountDeadLost Word = "dead_lost"
)

// WhyRepeat is why an event was ignored of which one of the keys was seen before.
const WhyRepeat = "repeat"

// WhyUncounted is what became of records whose counter was in a damaged page.
const WhyUncounted = "uncounted"

// Figure is what is counted of a module: a word and, with CountIgnored and CountRefused, why.
type Figure struct {
	Word Word
	Why  string // "other", "malformed" …; empty with any other word
}

// IgnoredAs is the figure of what was of no interest.
func IgnoredAs(why string) Figure { return Figure{CountIgnored, why} }

// RefusedAs is the figure of what was refused.
func RefusedAs(why string) Figure { return Figure{CountRefused, why} }

// Counter names one count. Its text, in the file and in `bouncefeed status --json`, is "input/NAME/read",
// "input/NAME/ignored/other" or "output/NAME/sent".
type Counter struct {
	Side   Side
	Module string // by the admin's name
	Figure
}

func inputCounter(input string, w Word) Counter { return Counter{InputSide, input, Figure{Word: w}} }
func outputCounter(output string, w Word) Counter {
	return Counter{OutputSide, output, Figure{Word: w}}
}

func (c Counter) String() string {
	s := string(c.Side) + "/" + c.Module + "/" + string(c.Word)
	if c.Why != "" {
		s += "/" + c.Why
	}
	return s
}

// ParseCounter reads what Counter.String wrote.
func ParseCounter(text string) (Counter, error) {
	side, rest, _ := strings.Cut(text, "/")
	module, figure, ok := strings.Cut(rest, "/")
	word, why, reasoned := strings.Cut(figure, "/")
	c := Counter{Side(side), module, Figure{Word(word), why}}
	if !ok || c.Side != InputSide && c.Side != OutputSide || module == "" || word == "" || reasoned && why == "" {
		return Counter{}, fmt.Errorf("%q is no counter", text)
	}
	return c, nil
}

// MarshalText and UnmarshalText make Counters a JSON object.
func (c Counter) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *Counter) UnmarshalText(text []byte) (err error) {
	*c, err = ParseCounter(string(text))
	return err
}

// Counters are all that was ever counted.
type Counters map[Counter]uint64

// Input gives the count of one of an input's words that need no why.
func (c Counters) Input(name string, w Word) uint64 { return c[inputCounter(name, w)] }

// Output gives the count of one of an output's words.
func (c Counters) Output(name string, w Word) uint64 { return c[outputCounter(name, w)] }

// pending counts what output has not settled.
func (c Counters) pending(output string) uint64 {
	n := func(w Word) uint64 { return c.Output(output, w) }
	return n(CountQueued) + n(CountRetried) + n(CountResent) - n(CountSent) - n(CountNotSent) - n(CountUnfit) - n(CountUnknown) - n(CountDiscarded) - n(CountDead) - n(CountLost)
}

// dead counts output's dead letters.
func (c Counters) dead(output string) uint64 {
	n := func(w Word) uint64 { return c.Output(output, w) }
	return n(CountDead) - n(CountRetried) - n(CountDropped) - n(CountPushedOut) - n(CountDeadLost)
}

// held counts what is held of input.
func (c Counters) held(input string) uint64 {
	n := func(w Word) uint64 { return c.Input(input, w) }
	return n(CountHeld) - n(CountReleased) - n(CountDropped) - n(CountSuperseded) - n(CountPushedOut) - n(CountHeldLost)
}
