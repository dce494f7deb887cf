package maillog

import (
	"bytes"
	"strings"

	"bouncefeed/internal/text"
)

// explain takes over what Exim says of a failure: the server's reply where there is one, else Exim's own words.
func (d *eximDelivery) explain(o *outcome) {
	host, words := d.reply()
	o.remote = string(host)
	o.setReply(words)
}

// reply parts the server's words from Exim's own; up to 4.8 the host stands among them.
//
//	SMTP error from remote mail server after RCPT TO:<jo@example.net>: 550 5.1.1 …
//	SMTP error from remote mail server after RCPT TO:<jo@example.net>: host mx.example.net [192.0.2.1]: 550 5.1.1 …
//	LMTP error after DATA: 452-4.2.2 …
//	Connection timed out H=mx.example.net [192.0.2.1]: SMTP timeout after initial connection
func (d *eximDelivery) reply() (host, words []byte) {
	reason := d.reason
	if at := bytes.LastIndex(reason, []byte(" DT=")); at >= 0 && isSpan(reason[at+len(" DT="):]) {
		reason = reason[:at] // log_selector = +deliver_time
	}
	host = beforeBracket(d.host)
	if d.errno && len(host) == 0 {
		if at := bytes.Index(reason, []byte(" H=")); at > 0 {
			host, _, _ = bytes.Cut(reason[at+len(" H="):], []byte(" "))
		}
	}
	rest := reason
	for _, verb := range []string{
		"SMTP error from remote mail server after ", "SMTP error from remote mailer after ",
		"LMTP error from remote mail server after ", "LMTP error after ",
	} {
		if after, ok := bytes.CutPrefix(reason, []byte(verb)); ok {
			rest = afterCommand(after)
			break
		}
	}
	if after, ok := bytes.CutPrefix(rest, []byte("host ")); ok {
		if name, said, ok := bytes.Cut(after, []byte("]: ")); ok {
			name, _, _ = bytes.Cut(name, []byte(" ["))
			return name, said
		}
	}
	return host, rest
}

// afterCommand gives what stands behind "pipelined RCPT TO:<jo@example.net>: ". The address may hold a colon.
func afterCommand(b []byte) []byte {
	from := 0
	if at := bytes.Index(b[:min(len(b), 24)], []byte(":<")); at > 0 {
		if _, rest := returnPath(b[at+1:]); rest != nil {
			from = len(b) - len(rest)
		}
	}
	if at := bytes.Index(b[from:], []byte(": ")); at >= 0 {
		return b[from+at+2:]
	}
	return b
}

// isSpan knows "0.012s", "1h2m3s".
func isSpan(b []byte) bool {
	for _, c := range b {
		if !text.IsDigit(c) && c != '.' && strings.IndexByte("dhms", c) < 0 {
			return false
		}
	}
	return len(b) > 1
}

// isEximExpiry knows the words with which Exim gives up on what was only deferred.
func isEximExpiry(diagnostic string) bool {
	return strings.HasSuffix(diagnostic, "retry timeout exceeded") || strings.Contains(diagnostic, "have been failing for a long time") ||
		strings.Contains(diagnostic, "after a long failure period")
}

// saysNothing: the words are about when Exim tries, not about why it did not succeed.
func saysNothing(o *outcome) bool {
	return o.code == 0 && (isEximExpiry(o.diagnostic) || strings.HasPrefix(o.diagnostic, "retry time not reached"))
}
