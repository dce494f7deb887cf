// Package report counts what became of each recipient, by who received the mail, and says what follows from it: which
// providers accept, put off or refuse it, why, and what to do. It knows no address: a recipient is a domain here.
package report

import (
	"time"

	"bouncefeed/internal/event"
)

// Class is what a recipient counts as. Each of one message counts once as one of those that end a delivery.
type Class uint8

// The classes. Hard and Soft are the recipient's fault, Ours the sender's; GaveUp is what passes by itself, and did not.
const (
	Accepted Class = iota
	Hard
	Soft
	Ours
	GaveUp
	Unknown

	Late      // of those accepted: put off before
	PutOff    // told "later" for the first time
	FailedOff // of those that failed: put off before
	Attempt   // each further time that a recipient was told "later"
	Complaint
	Returned // of those that failed: accepted before, and came back

	classes
)

var classWords = [classes]string{
	"accepted", "hard", "soft", "ours", "gave_up", "unknown", "late", "put_off", "failed_off", "attempts", "complaints", "returned",
}

func (c Class) String() string { return classWords[c] }

// failed says whether the recipient did not get the message.
func (c Class) failed() bool { return c > Accepted && c <= Unknown }

// endings are the classes that end a delivery.
var endings = [...]Class{Accepted, Hard, Soft, Ours, GaveUp, Unknown}

// ClassOf says what a reported failure counts as.
func ClassOf(t event.Type, f event.Fault) Class {
	switch {
	case t == event.Complaint:
		return Complaint
	case f == event.FaultSender:
		return Ours
	case f == event.FaultTransient:
		return GaveUp
	case f != event.FaultRecipient:
		return Unknown
	case t == event.Hard:
		return Hard
	}
	return Soft
}

// Fact is what was learned of one recipient of one message.
type Fact struct {
	Time     time.Time
	Stream   Stream // Lists or OtherMail
	Class    Class  // Accepted, PutOff or Attempt, or as ClassOf says
	PutOff   bool   // of Accepted and failures: it was put off before
	Returned bool   // of failures: it had been accepted
	Provider string
	Domain   string // of the recipient; "" where it is not known
	Reason   event.Reason
	Campaign string        // of failures: its UUID, where the mail names one
	Delay    time.Duration // until it was accepted

	Recipient    string // to be taken out of Text
	Code         int
	Status, Text string
}

// Counts are those of some recipients, by class.
type Counts [classes]uint64

// Ended is of how many recipients delivery came to an end.
func (c *Counts) Ended() (n uint64) {
	for _, class := range endings {
		n += c[class]
	}
	return n
}

// Failed is how many of them did not get the message.
func (c *Counts) Failed() uint64 { return c.Ended() - c[Accepted] }

// Waiting is how many were put off, and have not come to an end.
func (c *Counts) Waiting() uint64 { return less(c[PutOff], c[Late]+c[FailedOff]) }

// Tried is for how many a first attempt was made: the base of those put off.
func (c *Counts) Tried() uint64 { return less(c.Ended(), c[Late]+c[FailedOff]) + c[PutOff] }

// Add adds o's.
func (c *Counts) Add(o *Counts) {
	for i, n := range o {
		c[i] += n
	}
}

// less subtracts; what began before the period may have ended in it.
func less(a, b uint64) uint64 { return a - min(a, b) }
