package classify

import (
	"os"
	"strings"
	"testing"

	"bouncefeed/internal/event"
)

// Only the recipient's fault may make a hard bounce: what is said of anything else never does, however it is put.
func TestOnlyTheRecipientMakesHard(t *testing.T) {
	t.Parallel()
	c := Default()
	others := []string{
		"sender", "sender address", "sender domain", "sender's domain", "sender's address", "sender's MX record", "from address", "From: address",
		"MAIL FROM domain", "MAIL FROM address", "envelope sender", "envelope from domain", "return path", "return-path domain", "originating domain",
		"originator domain", "HELO host", "HELO name", "EHLO domain", "client host", "client hostname", "connecting host", "your domain", "your host",
		"your hostname", "your IP address", "your mail server", "your account", "reverse DNS", "PTR record", "rDNS hostname", "remote IP", "IP address 192.0.2.25",
		"SPF record", "DKIM key", "DKIM signature domain", "DMARC record", "TLS certificate", "client certificate", "Message-ID header", "Date header",
		"Reply-To domain", "Reply-To address", "URL in message", "attachment type", "character set", "command", "parameter", "authentication", "username or password",
		"return address", "your mailbox", "your login", "sending domain", "domain you are sending from", "Sender news.example.net", "sender's mail exchanger",
		"lookup table", "alias file", "delivery program", "delivery agent /usr/bin/procmail", "transport virtual", "database", "configuration", "map key", "resource",
		"relay host", "non-local recipient", "script vacation.pl", "DNS record", "module", "mail queue", "host name for 192.0.2.25",
		"TLS client name", "header From:", "HELO mx.example.net", "EHLO mx.example.net", "service", "DKIM selector s1", "client 192.0.2.25", "rule 12", "campaign",
	}
	faults := []string{
		"does not exist", "not found", "unknown", "is unknown", "invalid", "is invalid", "is not valid", "could not be found", "cannot be resolved",
		"rejected", "refused", "blocked", "is not allowed", "disabled", "suspended", "missing", "has no MX", "malformed", "not accepted", "syntax error",
	}
	for _, code := range []string{"550 ", "550 5.7.1 ", "554 5.7.1 ", "553 5.5.4 ", "550 5.0.0 "} {
		for _, other := range others {
			for _, fault := range faults {
				text := code + other + " " + fault
				if v := c.Classify(Reply{Text: text}); v.Type == event.Hard {
					t.Errorf("%s: %s by %s", text, v.Reason, v.Rule)
				}
			}
		}
	}
}

// testdata/never_hard.txt has replies that speak of who sends in the words by which recipients are told.
func TestWordsOfSendingAreNeverHard(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/never_hard.txt")
	if err != nil {
		t.Fatal(err)
	}
	c := Default()
	for line := range strings.Lines(string(data)) {
		if v := c.Classify(Reply{Text: line}); line[0] != '#' && v.Type == event.Hard {
			t.Errorf("%s  is hard: %s by %s", line, v.Reason, v.Rule)
		}
	}
}
