package maillog

import (
	"bytes"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
)

// A postfixDelivery is what a delivery agent says of one recipient. Its slices are the record's memory.
//
//	to=<jo@example.net>, orig_to=<sales@example.org>, relay=mx.example.net[192.0.2.1]:25, conn_use=2, delay=0.01, delays=0/0/0/0.01, dsn=5.1.1, status=bounced (host … said: 550 5.1.1 …)
type postfixDelivery struct {
	to, origTo []byte // without angle brackets
	relay      []byte
	delay      []byte // seconds, "0.02"
	delays     []byte // before, in and behind the queue manager, and transmission: "0/0.01/0/0.01"; nil before Postfix 2.3
	dsn        []byte // nil before Postfix 2.3
	status     []byte
	reason     []byte // inside the last parentheses; the line may be cut before their end
}

// scanPostfixDelivery reads the fields from left to right. What stands in the last parentheses is a stranger's and is
// not searched for any field. The error is a refusal.
func scanPostfixDelivery(words []byte) (postfixDelivery, error) {
	var d postfixDelivery
	rest, err := d.scanRecipient(words)
	if err != nil {
		return d, err
	}
	if !d.scanFields(rest) {
		return d, event.Refuse(event.WhyMalformed, "a delivery line whose fields are not Postfix's")
	}
	return d, nil
}

// scanRecipient reads "to=<…>, orig_to=<…>, " and gives what stands from relay= on.
func (d *postfixDelivery) scanRecipient(words []byte) (rest []byte, err error) {
	if d.to, rest, err = inAngles(words[len("to="):]); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(rest, []byte(", orig_to=<")) {
		if d.origTo, rest, err = inAngles(rest[len(", orig_to="):]); err != nil {
			return nil, err
		}
	}
	if !bytes.HasPrefix(rest, []byte(", relay=")) {
		return nil, event.Refuse(event.WhyTwoReadings, "no relay= behind the address")
	}
	return rest[len(", "):], nil
}

// scanFields reads "relay=…, delay=…, dsn=…, status=word (reason)" and whatever further fields a newer Postfix puts in
// between. No value may hold what an address could bring along.
func (d *postfixDelivery) scanFields(b []byte) bool {
	for n := 0; n < 12; n++ {
		equals := bytes.IndexByte(b[:min(len(b), 32)], '=')
		if equals < 1 || !isFieldName(b[:equals]) {
			return false
		}
		name, value := b[:equals], b[equals+1:]
		if string(name) == "status" {
			return d.delay != nil && d.scanStatus(value)
		}
		end := fieldEnd(value)
		if end < 0 {
			return false
		}
		value, b = value[:end], value[end+2:]
		switch string(name) {
		case "relay":
			if n != 0 {
				return false
			}
			d.relay = value
		case "delay":
			if d.delay != nil || !isNumber(value) {
				return false
			}
			d.delay = value
		case "delays":
			if d.delays != nil {
				return false
			}
			d.delays = value
		case "dsn":
			if d.dsn != nil || smtp.StatusLength(value) != len(value) {
				return false
			}
			d.dsn = value
		}
	}
	return false
}

// scanStatus reads "bounced (reason)". Postfix cuts the line at 2000 bytes, and the closing parenthesis with it.
func (d *postfixDelivery) scanStatus(b []byte) bool {
	end := bytes.IndexByte(b[:min(len(b), 40)], ' ')
	if end < 1 || len(b) < end+2 || b[end+1] != '(' {
		return false
	}
	for _, c := range b[:end] {
		if (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' {
			return false
		}
	}
	d.status, d.reason = b[:end], b[end+2:]
	if n := len(d.reason); n > 0 && d.reason[n-1] == ')' {
		d.reason = d.reason[:n-1]
	}
	return true
}

// notInField holds the bytes that no value of a field has: the comma that ends it, and what an address may bring along.
var notInField = [256]bool{',': true, ' ': true, '<': true, '>': true, '(': true, ')': true, '@': true, '"': true}

// fieldEnd is where ", " ends a value; -1 if a byte comes first that no such value holds.
func fieldEnd(b []byte) int {
	for i, c := range b {
		if notInField[c] {
			if c == ',' && i+1 < len(b) && b[i+1] == ' ' {
				return i
			}
			return -1
		}
	}
	return -1
}

func isNumber(b []byte) bool {
	dots := 0
	for _, c := range b {
		if c == '.' {
			dots++
		} else if !text.IsDigit(c) {
			return false
		}
	}
	return len(b) > 0 && dots <= 1 && len(b) < 16
}

// readSeconds reads "0.02".
func readSeconds(b []byte) time.Duration {
	whole, part, _ := bytes.Cut(b, []byte("."))
	t := time.Duration(max(0, decimal(whole))) * time.Second
	for unit := time.Second / 10; len(part) > 0 && unit > 0; unit /= 10 {
		t += time.Duration(part[0]-'0') * unit
		part = part[1:]
	}
	return t
}

// sinceActive is how long the message was in the active queue, by the agent's own reckoning: all delays but the first.
func (d *postfixDelivery) sinceActive() (time.Duration, bool) {
	var sum time.Duration
	parts := bytes.Split(d.delays, []byte("/"))
	for i, part := range parts {
		if !isNumber(part) {
			return 0, false
		}
		if i > 0 {
			sum += readSeconds(part)
		}
	}
	return sum, len(parts) == 4
}

// A postfixClock is what the log tells of the time a message was in the active queue when a line was written.
type postfixClock struct {
	known       bool
	sinceActive time.Duration
	resolution  time.Duration // of the log's stamps
}

// twoReadings says whether the line may as well be about another address. With info_log_address_format=internal, the
// only form before Postfix 3.5, quotes are missing: then everything up to a later ">, relay=…, status=… (" may be one
// local part that a stranger made up. A server's reply may hold the same words; but then what they tell must also
// agree with what nobody outside can make up: the time the delivery took, and the server that spoke.
func (d *postfixDelivery) twoReadings(clock postfixClock) bool {
	for b := d.reason; ; {
		at := bytes.Index(b, []byte(">, "))
		if at < 0 {
			return false
		}
		b = b[at+len(">, "):]
		var other postfixDelivery
		fields := b
		if bytes.HasPrefix(fields, []byte("orig_to=<")) {
			end := bytes.Index(fields, []byte(">, relay="))
			if end < 0 {
				continue
			}
			fields = fields[end+len(">, "):]
		}
		if other.scanFields(fields) && other.relay != nil && other.mayBeTrue(clock) {
			return true
		}
	}
}

// mayBeTrue says whether d agrees with the clock, and its relay with its reason.
func (d *postfixDelivery) mayBeTrue(clock postfixClock) bool {
	if told, ok := d.sinceActive(); ok && clock.known {
		tolerance := clock.resolution + time.Second/2 + told/10
		if diff := clock.sinceActive - told; diff > tolerance || diff < -tolerance {
			return false
		}
	}
	reason, suspended := bytes.CutPrefix(d.reason, []byte(postfixSuspended))
	host, spoke := bytes.CutPrefix(reason, []byte("host "))
	switch {
	case suspended:
		return true
	case !spoke: // "in reply to RCPT TO command" ends what a server said, and none had: but a refusal of TLS may end so, too
		return bytes.IndexByte(d.relay, '[') >= 0 || !bytes.HasSuffix(bytes.TrimRight(reason, ")"), []byte(" command"))
	}
	host, same := bytes.CutPrefix(host, withoutPort(d.relay))
	return same && bytes.HasPrefix(host, []byte(" "))
}
