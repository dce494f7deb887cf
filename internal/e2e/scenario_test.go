package e2e

import (
	"fmt"
	"strings"
)

// A scenario is one way in which a delivery can end: what the remote server answers, and what bouncefeed must make of
// it. A recipient is NAME-NUMBER@DOMAIN; the sink answers by NAME.
type scenario struct {
	name   string
	domain string // recipients of one domain share SMTP transactions
	// rcpt is the answer to RCPT, data to the end of DATA; empty: 250. %s stands for the recipient. hangUp ends the
	// connection without an answer.
	rcpt, data string
	once       bool // answered so the first time only, accepted afterwards
	// What must arrive; no type: nothing must.
	typ, reason, fault string
	dsn                string // what Postfix logs as dsn=, or how that begins
}

const hangUp = "hang up"

// mixed is the domain whose recipients are refused one by one: they travel together with others that are accepted.
const mixed = "mixed.test"

// scenarios are the endings e2e knows. Those that disturb the whole connection have a domain of their own.
var scenarios = []scenario{
	{name: "ok", domain: mixed, dsn: "2."},
	{name: "grey", domain: mixed, rcpt: "451 4.7.1 <%s>: Greylisted, please try again later", once: true, dsn: "2."},
	{name: "unknown", domain: mixed, rcpt: "550 5.1.1 <%s>: Recipient address rejected: User unknown in virtual mailbox table",
		typ: "hard", reason: "user_unknown", fault: "recipient", dsn: "5.1.1"},
	{name: "plain", domain: mixed, rcpt: "550 No such user here", // no enhanced status code
		typ: "hard", reason: "user_unknown", fault: "recipient", dsn: "5.0.0"},
	{name: "multi", domain: mixed, typ: "hard", reason: "user_unknown", fault: "recipient", dsn: "5.1.1",
		rcpt: "550-5.1.1 The email account that you tried to reach does not exist. Please try\n" +
			"550-5.1.1 double-checking the recipient's email address for typos or\n550 5.1.1 unnecessary spaces. (%s)"},
	{name: "utf8", domain: mixed, rcpt: "550 5.1.1 <%s>: Empfänger unbekannt – пользователь не найден",
		typ: "hard", reason: "user_unknown", fault: "recipient", dsn: "5.1.1"},
	{name: "disabled", domain: mixed, rcpt: "550 5.2.1 The email account that you tried to reach is disabled",
		typ: "hard", reason: "mailbox_disabled", fault: "recipient", dsn: "5.2.1"},
	{name: "full", domain: mixed, rcpt: "552 5.2.2 <%s>: user is over quota",
		typ: "soft", reason: "mailbox_full", fault: "recipient", dsn: "5.2.2"},
	{name: "filling", domain: mixed, rcpt: "452 4.2.2 <%s>: mailbox full, try again later", // until it expires
		typ: "soft", reason: "mailbox_full", fault: "recipient", dsn: "4.2.2"},
	{name: "block", domain: mixed, rcpt: "550 5.7.1 Service unavailable; Client host [203.0.113.1] blocked using zen.spamhaus.org",
		typ: "soft", reason: "blocklisted", fault: "sender", dsn: "5.7.1"},
	{name: "forger", domain: mixed, typ: "hard", reason: "user_unknown", fault: "recipient", dsn: "5.1.1",
		rcpt: "550 5.1.1 no such user), status=sent (250 ok) AAAA000001: to=<victim-1@mixed.test>, relay=x, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (x"},

	{name: "busy", domain: "busy.test", rcpt: "421 4.3.2 System not accepting network messages",
		typ: "soft", reason: "remote_system", fault: "transient", dsn: "4."},
	{name: "drop", domain: "drop.test", data: hangUp,
		typ: "soft", reason: "network", fault: "transient", dsn: "4.4.2"},
	{name: "spam", domain: "data.test", data: "554 5.7.1 Message rejected as spam by Content Filtering.",
		typ: "soft", reason: "spam", fault: "sender", dsn: "5.7.1"},

	// No server to ask.
	{name: "gone", domain: "nodomain.test", typ: "hard", reason: "domain_unknown", fault: "recipient", dsn: "5.4.4"},
	{name: "null", domain: "nullmx.test", typ: "hard", reason: "null_mx", fault: "recipient", dsn: "5.1.0"},
	{name: "refused", domain: "refused.test", typ: "soft", reason: "network", fault: "transient", dsn: "4.4.1"},
}

// scenarioOf finds the scenario of a recipient; anything else is accepted.
func scenarioOf(recipient string) scenario {
	name, _, _ := strings.Cut(recipient, "-")
	for _, s := range scenarios {
		if s.name == name && strings.HasSuffix(recipient, "@"+s.domain) {
			return s
		}
	}
	return scenario{}
}

// named is the scenario called name, which must exist.
func named(name string) scenario {
	for _, s := range scenarios {
		if s.name == name {
			return s
		}
	}
	panic("no scenario " + name)
}

// reported says whether an output that sends these types and faults tells of s.
func (s scenario) reported(send string) bool {
	return s.typ != "" && (s.fault != "sender" || send == sendAll)
}

// address makes the nth recipient of s.
func (s scenario) address(n int) string { return fmt.Sprintf("%s-%d@%s", s.name, n, s.domain) }
