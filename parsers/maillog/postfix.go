package maillog

import (
	"bytes"
	"strings"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
)

// postfixConfig is the section of a log that Postfix writes.
type postfixConfig struct {
	Transports    []string `yaml:"transports"`           // further delivery agents, by the name they log
	DoubleBounce  string   `yaml:"double_bounce_sender"` // main.cf's, of notices to the postmaster
	trackerConfig `yaml:",inline"`
}

func init() {
	parsers.Register("postfix", postfixConfig{DoubleBounce: "double-bounce", trackerConfig: defaultTracker}, buildPostfix)
}

// postfix follows each message through Postfix's log: smtpd or pickup take it in, cleanup tells its Message-ID, the
// queue manager its sender, a delivery agent what became of each recipient.
//
//	postfix/smtpd[823]:   8F7BAA2E332: client=localhost[127.0.0.1]
//	postfix/cleanup[827]: 8F7BAA2E332: message-id=<ZlW4wWXqeQrNMbeNx05JI8Mg@example.org>
//	postfix/qmgr[819]:    8F7BAA2E332: from=<bounce@example.org>, size=979, nrcpt=1 (queue active)
//	postfix/smtp[828]:    8F7BAA2E332: to=<jo@example.net>, relay=…, delay=0.01, delays=…, dsn=5.1.1, status=bounced (…)
//	postfix/qmgr[819]:    8F7BAA2E332: removed
//
// A deferral is not a bounce; when the message expires, each recipient still waiting is one, with what was last said
// of it. Mail of the null sender, double bounces and address probes are none.
type postfix struct {
	tracker
	transports   map[string]bool
	doubleBounce []byte // an address, or its local part and "@"
	skim         postfixSkim
}

func buildPostfix(_ config.Env, section config.Section, c *postfixConfig) (parsers.Parser, error) {
	t, err := newTracker(section, &c.trackerConfig)
	if err != nil {
		return nil, err
	}
	p := &postfix{tracker: t, transports: map[string]bool{}, doubleBounce: []byte(c.DoubleBounce)}
	if !strings.Contains(c.DoubleBounce, "@") {
		p.doubleBounce = append(p.doubleBounce, '@')
	}
	for _, name := range c.Transports {
		p.transports[name] = true
	}
	return p, nil
}

// A postfixRole is what a program may say.
type postfixRole uint8

const (
	roleIntake   postfixRole = 1 << iota // client=
	rolePickup                           // uid=
	roleCleanup                          // message-id=, logged header fields
	roleQueue                            // from=, removed
	roleSuper                            // removed, requeued
	roleDelivery                         // to=
	roleNotice                           // sender non-delivery notification:
	roleAny      postfixRole = 1<<iota - 1
)

// role tells from the tag ("postfix/smtp", "postfix-out/smtp", "postfix/submission/smtpd") what the program is.
func (p *postfix) role(l *syslogLine) postfixRole {
	slash := bytes.LastIndexByte(l.tag, '/')
	if slash < 0 {
		if l.cut && (bytes.HasPrefix(l.tag, []byte("postfix")) || p.transports[string(l.tag)]) {
			return roleAny
		}
		return 0
	}
	switch name := l.tag[slash+1:]; string(name) {
	case "smtpd", "qmqpd":
		return roleIntake
	case "pickup":
		return rolePickup
	case "cleanup": // it bounces what its own rules reject
		return roleCleanup | roleDelivery
	case "qmgr", "nqmgr", "oqmgr":
		return roleQueue | roleDelivery
	case "bounce":
		return roleNotice
	case "postsuper":
		return roleSuper
	case "smtp", "lmtp", "local", "virtual", "pipe", "error", "retry", "discard", "relay", "defer":
		return roleDelivery
	default:
		if p.transports[string(name)] {
			return roleDelivery
		}
		return 0
	}
}

// Parse implements Parser.
func (p *postfix) Parse(rec event.Record, emit func(event.Event)) error {
	l := &p.line
	if !splitSyslog(&rec, &l.syslogLine) {
		return nil
	}
	if p.first == 0 {
		p.begin(l, rec.Time)
	}
	n := queueIDLength(l.message)
	if n == 0 || len(l.message) < n+3 || l.message[n] != ':' || l.message[n+1] != ' ' {
		return nil
	}
	l.text = l.message[n+2:]
	shape := shapeOf(l.text)
	if shape == nil || shape.role&p.role(&l.syslogLine) == 0 || !p.begin(l, rec.Time) {
		return nil
	}
	p.setKey(l, l.message[:n], hashInstance(l.tag))
	return shape.read(p, l, emit)
}

// wouldRead says whether a line is one that Parse reads and only Postfix's own user and root write. Users do run sendmail and
// postdrop, and with `sendmail -bs` smtpd, which log as Postfix under their own _UID: that is not a forgery.
func (p *postfix) wouldRead(tag, message []byte) bool {
	n := queueIDLength(message)
	if n == 0 || len(message) < n+2 {
		return false
	}
	shape := shapeOf(message[n+2:])
	return shape != nil && shape.role != roleIntake && shape.role&p.role(&syslogLine{tag: tag}) != 0
}

// A postfixShape is how a line begins behind its queue id, who may write it, and who reads it.
type postfixShape struct {
	begins string
	role   postfixRole
	read   func(*postfix, *logLine, func(event.Event)) error
}

var postfixShapes = [...]postfixShape{
	{"to=<", roleDelivery, (*postfix).readDelivery},
	{"from=<", roleQueue, (*postfix).readQueue},
	{"message-id=", roleCleanup, (*postfix).readMessageID},
	{"client=", roleIntake, (*postfix).readClient},
	{"removed", roleQueue | roleSuper, (*postfix).readRemoved},
	{"uid=", rolePickup, (*postfix).readPickup},
	{"info: header ", roleCleanup, (*postfix).readHeader},
	{"requeued", roleSuper, (*postfix).readRequeued},
	{"postmaster ", roleNotice, (*postfix).readNotice},
}

func shapeOf(words []byte) *postfixShape {
	for i := range postfixShapes {
		s := &postfixShapes[i]
		if len(words) >= len(s.begins) && words[0] == s.begins[0] && string(words[:len(s.begins)]) == s.begins {
			return s
		}
	}
	return nil
}

// queueIDByte holds the digits of short queue ids (hexadecimal) and of long ones (no vowels).
var queueIDByte = func() (table [256]bool) {
	for _, c := range []byte("0123456789ABCDEFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz") {
		table[c] = true
	}
	return table
}()

// queueIDLength is the length of the queue id at the head of b; 0: there is none.
func queueIDLength(b []byte) int {
	const shortest, longest = 6, len(queueKey{}.id)
	n := 0
	for n < len(b) && n <= longest && queueIDByte[b[n]] {
		n++
	}
	if n < shortest || n > longest {
		return 0
	}
	return n
}

// hashInstance hashes the syslog_name of the instance: "postfix-out" of "postfix-out/relay/smtp".
func hashInstance(tag []byte) uint32 {
	if i := bytes.IndexByte(tag, '/'); i >= 0 {
		tag = tag[:i]
	}
	return fnv32(tag)
}
