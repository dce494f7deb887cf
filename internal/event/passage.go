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

	Relay  []byte // where it went, or should, as the log has it: "mx.example.org[192.0.2.7]:25"; the record's memory
	Delay  []byte // since the message came in, in seconds: "0.52"; the record's memory
	Before bool   // this recipient was put off before
}
