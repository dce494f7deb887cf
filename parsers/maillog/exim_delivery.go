package maillog

import (
	"bytes"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
)

// An eximDelivery is what Exim says of one recipient. Its slices are the record's memory.
//
//	jo@example.net <sales@example.org> F=<…> P=<…> R=dnslookup T=remote_smtp defer (-44) H=mx.example.net [192.0.2.1]: SMTP error …
type eximDelivery struct {
	to, origTo []byte // the address, pipe, file or mailbox itself, and the address that the sender knows if that is another
	mailbox    bool   // to is an address
	sender     []byte // F=, else P=; nil: not logged
	returnPath []byte // P=
	host       []byte
	errno      bool // the reason begins with the system's words for an error
	reason     []byte
}

// scanRecipient reads the addresses behind "**", "==" or "=>" and gives the fields. The error is a refusal.
func (d *eximDelivery) scanRecipient(b []byte) (fields []byte, err error) {
	r, err := readEximRecipient(b)
	if err != nil {
		return nil, err
	}
	return r.tail, d.setRecipient(&r)
}

// setRecipient chooses between the address that was tried and the one that the sender wrote, which Exim adds in angle
// brackets where it differs, if only by its quotes.
func (d *eximDelivery) setRecipient(r *eximReading) error {
	d.to, d.origTo, d.mailbox = r.address, r.top, r.plain
	if r.top != nil && isUnquoted(r.top, r.address) {
		d.to, d.origTo, d.mailbox = r.top, nil, true
	}
	if d.mailbox {
		if err := checkAddress(d.to); err != nil {
			return err
		}
	}
	return checkAddress(d.origTo)
}

// An eximReading is one way to part a line into addresses and the rest.
type eximReading struct {
	address, top []byte
	plain        bool // address is one, and not a pipe, a file or unquoted text
	tail         []byte
}

// readEximRecipient finds where the addresses end. Exim writes a local part without the quotes it needs, so that it may
// be any text, also one with the rest of a line in it; but then the quoted original follows in angle brackets. Pipes,
// files and mailboxes have the original behind them too, and their router behind that. A line with more than one
// place for it has two readings.
func readEximRecipient(b []byte) (eximReading, error) {
	found, ok := plainEximRecipient(b)
	n := 0
	if ok {
		n = 1
	}
	taken := len(b) - len(found.tail)
	for at := 0; ; at++ {
		next := bytes.Index(b[at:], []byte(" <"))
		if next < 0 {
			break
		}
		at += next
		if ok && at < taken {
			continue
		}
		top, tail := angleAddress(b[at+1:])
		if top == nil || !isEximTail(tail) {
			continue
		}
		if isUnquoted(top, b[:at]) || hasRouter(tail) || string(tail) == ": retry timeout exceeded" {
			found = eximReading{address: withoutParent(b[:at]), top: top, tail: tail}
			n++
		}
	}
	switch n {
	case 0:
		return found, event.Refuse(event.WhyMalformed, "no address where Exim writes one")
	case 1:
		return found, nil
	}
	return found, event.Refuse(event.WhyTwoReadings, "the address may end in two places")
}

// withoutParent takes off the address whose redirection led to a pipe or file: "/var/archive/full (lists@example.org)".
func withoutParent(b []byte) []byte {
	if at := bytes.LastIndex(b, []byte(" (")); at > 0 && b[len(b)-1] == ')' && bytes.IndexByte(b[at:], '@') > 0 {
		return b[:at]
	}
	return b
}

// plainEximRecipient reads an address that needs no quotes, or has them, with what stands directly behind it:
//
//	jo@example.net   jo@example.net <sales@example.org>   jo@example.net (list@example.org) <sales@example.org>
func plainEximRecipient(b []byte) (r eximReading, ok bool) {
	end := plainAddressLength(b)
	if end == 0 {
		return r, false
	}
	r.address, r.plain, r.tail = b[:end], true, b[end:]
	if bytes.HasPrefix(r.tail, []byte(" (")) { // log_selector = +all_parents
		if end := bytes.IndexByte(r.tail, ')'); end > 0 {
			r.tail = r.tail[end+1:]
		}
	}
	if bytes.HasPrefix(r.tail, []byte(" <")) {
		if r.top, r.tail = angleAddress(r.tail[1:]); r.top == nil {
			return r, false
		}
	}
	return r, isEximTail(r.tail)
}

// maxAngled is how much is looked at for an address's end, in bytes. It may be longer than an address may: then it is
// refused, and must not go unseen.
const maxAngled = 4 << 10

// angleAddress reads "<address>"; nil: it is none.
func angleAddress(b []byte) (addr, rest []byte) {
	limit := min(len(b), maxAngled)
	at := 1
	if limit > 1 && b[1] == '"' {
		n := address.QuotedLength(b[1:limit])
		if n == 0 {
			return nil, nil
		}
		at += n
	}
	for ; at < limit; at++ {
		switch b[at] {
		case '>':
			if bytes.IndexByte(b[1:at], '@') < 0 {
				return nil, nil
			}
			return b[1:at], b[at+1:]
		case ' ', '<', '"':
			return nil, nil
		}
	}
	return nil, nil
}

// isEximTail says whether b can stand behind the addresses.
func isEximTail(b []byte) bool {
	switch {
	case len(b) == 0, len(b) > 1 && b[0] == ':' && b[1] == ' ':
		return true
	case len(b) < 3 || b[0] != ' ':
		return false
	}
	if b[1] >= 'A' && b[1] <= 'Z' {
		word := b[1:min(len(b), 8)]
		end := bytes.IndexByte(word, '=')
		return end > 0 && bytes.IndexByte(word[:end], ' ') < 0
	}
	return bytes.HasPrefix(b, []byte(" defer (")) || bytes.HasPrefix(b, []byte(" routing defer ("))
}

// hasRouter says whether the fields begin as those of a routed address do: "[ F=<…>][ Q=…][ P=<…>] R=word".
func hasRouter(b []byte) bool {
	for len(b) > 4 && b[0] == ' ' && b[2] == '=' {
		switch b[1] {
		case 'R':
			word, _ := eximWord(b[3:])
			return len(bytes.TrimRight(word, ":")) > 0
		case 'F', 'P':
			if _, b = returnPath(b[3:]); b == nil {
				return false
			}
		case 'Q':
			_, b = eximWord(b[1:])
		default:
			return false
		}
	}
	return false
}

// returnPath reads "<address>" or "<>".
func returnPath(b []byte) (addr, rest []byte) {
	if rest, ok := bytes.CutPrefix(b, []byte("<>")); ok {
		return []byte{}, rest
	}
	return angleAddress(b)
}

// isUnquoted says whether words are what Exim prints for a mailbox: no quotes, the domain or all of it in lower case.
func isUnquoted(mailbox, words []byte) bool {
	if len(mailbox) == 0 || len(words) > len(mailbox) {
		return false
	}
	if mailbox[0] != '"' {
		return bytes.EqualFold(mailbox, words)
	}
	var room [address.MaxLength]byte
	b := room[:0]
	local := address.QuotedLength(mailbox)
	for i := 1; i < local-1; i++ {
		if mailbox[i] == '\\' {
			i++
		}
		b = append(b, mailbox[i])
	}
	return bytes.EqualFold(append(b, mailbox[local:]...), words)
}

// scanFields reads what stands between the addresses and the reason. No field of Exim's own making holds a blank.
func (d *eximDelivery) scanFields(b []byte) {
	for len(b) > 1 && b[0] == ' ' {
		b = b[1:]
		if len(b) > 3 && (b[0] == 'F' || b[0] == 'P') && b[1] == '=' && b[2] == '<' {
			if addr, rest := returnPath(b[2:]); rest != nil {
				if d.sender == nil || b[0] == 'F' {
					d.sender = addr
				}
				if b[0] == 'P' {
					d.returnPath = addr
				}
				b = rest
				continue
			}
		}
		word, rest := eximWord(b)
		if n := len(word); n > 0 && word[n-1] == ':' && (len(rest) > 0 || b[0] != '[') {
			word, rest = word[:n-1], b[n-1:]
		}
		switch {
		case bytes.HasPrefix(word, []byte("H=")):
			d.host = word[2:]
		case len(word) > 2 && word[0] == '(' && text.IsDigit(word[1]) && string(word) != "(0)":
			d.errno = true
		}
		b = rest
	}
	d.reason = bytes.TrimPrefix(bytes.TrimPrefix(b, []byte(":")), []byte(" "))
}
