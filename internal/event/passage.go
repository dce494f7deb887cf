package event

import "time"

// A Passage is what a log tells of a delivery, or of one that was put off: nothing that is reported, but the ledger and
// whoever counts wants it, and it costs nothing more than the line's reading. Fields named as an Event's are those.
type Passage struct {
	Type              Type // Delivered or Delayed
	Time              time.Time
	QueueIDIssuer     string
	Sender            string
	MessageID         string
	Recipient         string
	OriginalRecipient string
	Ours              bool
	RemoteMTA         string // of one that was put off, as the three that follow
	Code              int
	Status            string
	Diagnostic        string
	Transit
}

// Transit is how a message went to one recipient, as a log tells.
type Transit struct {
	Relay   string        // where it went, or should, as the log has it: "mx.example.org[192.0.2.7]:25", "local"; "" where it does not say
	Delay   time.Duration // since it came in
	Before  bool          // this recipient was put off before
	Foreign bool          // it is not ours: a client handed it in that is nobody's here
}
