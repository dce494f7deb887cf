package maillog

import (
	"bytes"
	"strings"

	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
)

const postfixSuspended = "delivery temporarily suspended: "

// outcome keeps of d what the report needs.
func (d *postfixDelivery) outcome() outcome {
	host, words := splitReason(d.reason)
	if host == nil {
		host = relayHost(d.relay)
	}
	o := outcome{
		to: string(d.to), origTo: string(d.origTo), remote: string(host), status: string(d.dsn),
		diagnostic: text.Cut(strings.ToValidUTF8(string(words), "\uFFFD"), maxDiagnostic),
	}
	o.code = smtp.Code(o.diagnostic)
	if strings.HasSuffix(o.status, ".0.0") || o.status == "" {
		// Postfix writes 5.0.0 for a reply without a status, and also for one that contradicts its reply code.
		if s := smtp.ReplyStatus(string(words)); s != "" && (o.code == 0 || s[0] == o.diagnostic[0]) && (o.status == "" || s[0] == o.status[0]) {
			o.status = s
		}
	}
	return o
}

// harden undoes what soft_bounce=yes did: Postfix put a 4 in place of the 5. When the message expires, the recipient was
// refused for good, not only put off.
func (o *outcome) harden() {
	if o.status != "" {
		o.status = "5" + o.status[1:]
	}
}

// splitReason parts the server's words from Postfix's own:
//
//	host mx.example.net[192.0.2.1] said: 550 5.1.1 <jo@example.net>: User unknown (in reply to RCPT TO command)
//	host mx.example.net[192.0.2.1] refused to talk to me: 421 4.3.2 All server ports are busy
//	delivery temporarily suspended: host mx.example.net[192.0.2.1] refused to talk to me: 421 4.3.2 …
//	lost connection with mx.example.net[192.0.2.1] while sending RCPT TO
//	connect to mx.example.net[192.0.2.1]:25: Connection refused
//	unknown user: "jo"
func splitReason(reason []byte) (host, words []byte) {
	reply := bytes.TrimPrefix(reason, []byte(postfixSuspended))
	if rest, ok := bytes.CutPrefix(reply, []byte("host ")); ok {
		name, rest, _ := bytes.Cut(rest, []byte(" "))
		for _, verb := range []string{"said: ", "refused to talk to me: "} {
			if said, ok := bytes.CutPrefix(rest, []byte(verb)); ok {
				return beforeBracket(name), said
			}
		}
	}
	for _, verb := range []string{"lost connection with ", "conversation with ", "connect to "} {
		if rest, ok := bytes.CutPrefix(reply, []byte(verb)); ok {
			name, _, _ := bytes.Cut(rest, []byte(" "))
			return beforeBracket(name), reason
		}
	}
	return nil, reason
}

// relayHost is the host of "mx.example.net[192.0.2.1]:25"; "none", "local" and a pipe's name are no hosts.
func relayHost(relay []byte) []byte {
	if bytes.IndexByte(relay, '[') < 0 {
		return nil
	}
	return beforeBracket(relay)
}
