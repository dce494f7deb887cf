package maillog

import (
	"bytes"
	"time"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
)

// isEximStamp says whether a line begins as those of the main log do: "2026-11-22 06:55:57".
func isEximStamp(b []byte) bool {
	return len(b) > 20 && b[4] == '-' && b[7] == '-' && b[10] == ' ' && b[13] == ':' && b[16] == ':' && text.IsDigit(b[0])
}

// cutStamp reads the time, with milliseconds and zone where log_selector and log_timezone ask for them:
//
//	2026-11-22 06:58:09.831 +0000 [10173] 1xV1Wn-0002dt-0Q …
func (x *exim) cutStamp(b []byte) (stamp, rest []byte) {
	end := bytes.IndexByte(b[11:min(len(b), 32)], ' ')
	if end < 0 {
		return nil, nil
	}
	stamp, rest = b[:11+end], b[11+end+1:]
	if len(rest) > 6 && (rest[0] == '+' || rest[0] == '-') && rest[5] == ' ' && decimal(rest[1:5]) >= 0 {
		n := copy(x.stamp[:], stamp)
		n += copy(x.stamp[n:], rest[:5])
		return x.stamp[:n], rest[6:]
	}
	return stamp, rest
}

// eximIDLength is the length of the message id at the head of b, with a blank behind it; 0: there is none.
func eximIDLength(b []byte) int {
	if n := smtp.EximIDLength(b); n > 0 && len(b) > n && b[n] == ' ' {
		return n
	}
	return 0
}

// eximDigit is the value of a digit in base 62; -1: it is none.
func eximDigit(c byte) int64 {
	switch {
	case '0' <= c && c <= '9':
		return int64(c - '0')
	case 'A' <= c && c <= 'Z':
		return int64(c-'A') + 10
	case 'a' <= c && c <= 'z':
		return int64(c-'a') + 36
	}
	return -1
}

// eximIDTime is when the message with this id began to come in, in Unix microseconds, exact to the second: the id's
// first six digits.
func eximIDTime(id string) (int64, bool) {
	if len(id) < 6 {
		return 0, false
	}
	var seconds int64
	for i := range 6 {
		digit := eximDigit(id[i])
		if digit < 0 {
			return 0, false
		}
		seconds = seconds*62 + digit
	}
	return seconds * int64(time.Second/time.Microsecond), true
}

// eximSender reads the envelope sender of an arrival, as RFC 5321 writes it, and gives the fields behind it.
func eximSender(b []byte) (sender, rest []byte, err error) {
	if rest, ok := bytes.CutPrefix(b, []byte("<>")); ok {
		return nil, rest, nil
	}
	local := 0
	if len(b) > 0 && b[0] == '"' {
		if local = address.QuotedLength(b); local == 0 {
			return nil, nil, event.Refuse(event.WhyTwoReadings, "a sender with a quoted local part without its end")
		}
	}
	end := bytes.IndexByte(b[local:], ' ')
	if end < 0 {
		end = len(b) - local
	}
	sender, rest = b[:local+end], b[local+end:]
	return sender, rest, checkAddress(sender)
}

// An eximArrival is what the fields of a "<=" line tell.
type eximArrival struct {
	messageID     []byte
	client        []byte // its address in brackets; nil: a process of this host
	authenticated bool
	ambiguous     bool // some field stands there twice, or is not Exim's: a HELO or an ident reply holds more than a name
}

// scanEximArrival reads
//
//	H=mail.example.org (helo) [192.0.2.7]:4711 I=[192.0.2.1]:25 P=esmtpsa X=TLS1.3:… CV=no DN="…" A=plain:listmonk S=999 M8S=0 RT=0.01s id=zApq@example.org T="…" from <…> for …
//
// HELO names, ident replies and certificates are the client's words. What could have been slipped in with them comes
// twice.
func scanEximArrival(b []byte) (a eximArrival) {
	var seen [256]bool // fields, by fieldName
	withAuth := false
	for len(b) > 1 && b[0] == ' ' {
		b = b[1:]
		switch {
		case bytes.HasPrefix(b, []byte(`T="`)), bytes.HasPrefix(b, []byte("from <")), bytes.HasPrefix(b, []byte("for ")):
			return a
		case bytes.HasPrefix(b, []byte("H=")):
			client, rest := eximClient(b[2:])
			if seen['H'] || client == nil {
				a.ambiguous = true
			}
			if client != nil {
				a.client, b = client, rest
				seen['H'] = true
				continue
			}
			a.client = []byte("[]") // some client, of which no more is known
		}
		word, rest := eximWord(b)
		if len(word) > 0 && (word[0] == '[' || word[0] == '(') { // where a HELO has closed its parenthesis itself
			a.ambiguous = true
		}
		if name := fieldName(word); name != 0 {
			if seen[name] {
				a.ambiguous = true
			}
			seen[name] = true
			switch name {
			case 'P':
				withAuth = word[len(word)-1] == 'a' // esmtpa, esmtpsa (RFC 3848)
			case 'A':
				a.authenticated = withAuth // A= comes behind P=
			case 'i':
				a.messageID = word[len("id="):]
			}
		}
		b = rest
	}
	return a
}

// fieldName is the letter of a field with a name of one, 'i' of id=, 0 of any other.
func fieldName(word []byte) byte {
	switch {
	case len(word) > 1 && word[1] == '=' && word[0] != 'i':
		return word[0]
	case len(word) > 2 && word[2] == '=' && word[0] == 'i' && word[1] == 'd':
		return 'i'
	}
	return 0
}

// eximClient reads "name (helo) [192.0.2.7]:4711", name and HELO both optional, where they are what such names are made
// of; nil: they are not.
func eximClient(b []byte) (addr, rest []byte) {
	if n := hostLength(b); n > 0 && n < len(b) && b[n] == ' ' {
		b = b[n+1:]
	}
	if len(b) > 0 && b[0] == '(' {
		helo := bytes.TrimPrefix(b[1:], []byte("[")) // an address literal
		if b = helo[hostLength(helo):]; !bytes.HasPrefix(b, []byte(") ")) {
			return nil, nil
		}
		b = b[2:]
	}
	end := bytes.IndexByte(b, ']')
	if end < 0 || b[0] != '[' {
		return nil, nil
	}
	_, rest = eximWord(b[end:])
	return b[:end+1], rest
}

func hostLength(b []byte) int {
	n := 0
	for n < len(b) && (isBase62(b[n]) || b[n] == '.' || b[n] == '-' || b[n] == '_' || b[n] == ':' || b[n] == ']') {
		n++
	}
	return n
}

// eximWord reads a field to the next blank, or to the end of its quotes.
func eximWord(b []byte) (word, rest []byte) {
	end := bytes.IndexByte(b, ' ')
	if end < 0 {
		return b, nil
	}
	quote := bytes.IndexByte(b[:end], '"')
	if quote < 1 || b[quote-1] != '=' {
		return b[:end], b[end:]
	}
	for end = quote + 1; end < len(b) && b[end] != '"'; end++ {
		if b[end] == '\\' {
			end++
		}
	}
	if end = min(end, len(b)); end < len(b) {
		if blank := bytes.IndexByte(b[end:], ' '); blank >= 0 {
			return b[:end+blank], b[end+blank:]
		}
	}
	return b, nil
}
