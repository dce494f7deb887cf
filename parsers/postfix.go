package parsers

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// postfixConfig is the section of a log that Postfix writes.
type postfixConfig struct {
	Transports []string        `yaml:"transports"` // further delivery agents, by the name they log
	VERP       string          `yaml:"verp"`       // shape of envelope senders that name the subscriber
	MyNetworks []string        `yaml:"mynetworks"` // clients whose mail may name subscribers, besides those who log in
	Memory     config.Size     `yaml:"memory"`     // for messages in flight
	MaxAge     config.Duration `yaml:"max_age"`    // a message not heard of for so long is forgotten
}

func init() {
	Register("postfix", postfixConfig{
		VERP: defaultVERP,
		MyNetworks: []string{"127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
			"169.254.0.0/16", "fc00::/7", "fe80::/10"},
		Memory: defaultMemory,
		MaxAge: config.Duration(10 * 24 * time.Hour),
	}, buildPostfix)
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
	memory       *memory
	transports   map[string]bool
	verp         verp
	mynetworks   []netip.Prefix
	clock        syslogClock
	first        int64 // Unix microseconds of the first line ever read; 0: none yet
	firstChanged bool

	line     logLine         // the one being read
	clients  map[string]bool // whether a client is foreign, as asked before
	host     string          // of the last line
	hostHash uint32
	sender   string // the last one: lists without VERP have one for all
}

const (
	maxClients    = 4 << 10
	unopenedGrace = 24 * time.Hour // a queue id not seen opened is believed so long after the first line
)

func buildPostfix(_ config.Env, section config.Section, c *postfixConfig) (Parser, error) {
	v, err := newVERP(c.VERP)
	if err != nil {
		return nil, section.Errorf("verp", "%v", err)
	}
	if c.Memory < 1<<20 {
		return nil, section.Errorf("memory", "less than 1MiB holds too few messages")
	}
	if c.MaxAge.Std() < 24*time.Hour {
		return nil, section.Errorf("max_age", "mail waits in a queue for days before it is given up: at least 24h")
	}
	p := &postfix{
		memory: newMemory(int(c.Memory), c.MaxAge.Std()), transports: map[string]bool{}, verp: v, clients: map[string]bool{},
		hostHash: fnv32(nil),
	}
	for _, name := range c.Transports {
		p.transports[name] = true
	}
	for _, network := range c.MyNetworks {
		prefix, err := readNetwork(network)
		if err != nil {
			return nil, section.Errorf("mynetworks", "%v", err)
		}
		p.mynetworks = append(p.mynetworks, prefix)
	}
	return p, nil
}

func readNetwork(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		if addr, err := netip.ParseAddr(s); err == nil {
			return addr.Prefix(addr.BitLen())
		}
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return prefix, fmt.Errorf("%q is no network: write 192.0.2.0/24 or 2001:db8::/32", s)
	}
	return prefix.Masked(), nil
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

// A logLine is one line about one queue id.
type logLine struct {
	syslogLine
	key      queueKey
	instance uint32
	now      time.Time
	at       int64 // now, in Unix microseconds
	seen     int64 // the same, but not ahead of the time of reading
	text     []byte
}

// Parse implements Parser.
func (p *postfix) Parse(rec event.Record, emit func(event.Event)) error {
	l := &p.line
	if !splitSyslog(&rec, &l.syslogLine) {
		return nil
	}
	if p.first == 0 {
		if t, ok := p.clock.time(&l.syslogLine, rec.Time); ok {
			p.first, p.firstChanged = t.UnixMicro(), true
		}
	}
	n := queueIDLength(l.message)
	if n == 0 || len(l.message) < n+3 || l.message[n] != ':' || l.message[n+1] != ' ' {
		return nil
	}
	l.text = l.message[n+2:]
	say := shapeOf(l.text)
	if say == nil || say.role&p.role(&l.syslogLine) == 0 {
		return nil
	}
	var ok bool
	if l.now, ok = p.clock.time(&l.syslogLine, rec.Time); !ok {
		return nil
	}
	l.at = l.now.UnixMicro()
	l.key = queueKey{host: p.hashHost(l.host)}
	copy(l.key.id[:], l.message[:n])
	l.instance = hashInstance(l.tag)
	if l.seen = min(l.at, latest(rec.Time)); p.memory.isDue(l.seen) {
		p.memory.bound(l.seen)
	}
	return say.read(p, l, emit)
}

// latest is how far ahead a log's clock is believed: nothing is forgotten for a wrong stamp.
func latest(read time.Time) int64 {
	if read.IsZero() {
		read = time.Now()
	}
	return read.UnixMicro() + (24 * time.Hour).Microseconds()
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
}

func shapeOf(text []byte) *postfixShape {
	for i := range postfixShapes {
		s := &postfixShapes[i]
		if len(text) >= len(s.begins) && text[0] == s.begins[0] && string(text[:len(s.begins)]) == s.begins {
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

func (p *postfix) hashHost(host []byte) uint32 {
	if string(host) != p.host {
		p.host, p.hostHash = string(host), fnv32(host)
	}
	return p.hostHash
}

// hashInstance hashes the syslog_name of the instance: "postfix-out" of "postfix-out/relay/smtp".
func hashInstance(tag []byte) uint32 {
	if i := bytes.IndexByte(tag, '/'); i >= 0 {
		tag = tag[:i]
	}
	return fnv32(tag)
}

// fnv32 is FNV-1a: the same after a restart, for it is part of stored keys.
func fnv32(b []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}
