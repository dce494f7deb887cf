// Package maillog reads the logs of mail servers: of those that tell by queue id what becomes of a message (Postfix, Exim,
// Sendmail, OpenSMTPD), in files and in the journal, and of those that write a record for each recipient (PowerMTA, KumoMTA).
//
// One more of the first sort is a file whose parser embeds a tracker and reads the lines, its records in testdata, and a row
// in two tables: journalMTAs here, mailServers of `bouncefeed init`.
package maillog

import (
	"strings"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/listmonk"
	"bouncefeed/parsers"
)

// A tracker is what the parser of a mail server's log remembers where a queue id stands in every line: each message, from
// the line that tells where it comes from to what becomes of each recipient. The parser embeds it and reads the lines.
type tracker struct {
	memory       *memory
	anyTargets   bool // a recipient may have others than the log shows: Exim's unseen copies
	verp         listmonk.VERP
	mynetworks   config.Networks
	archives     []string
	clock        syslogClock
	first        int64 // Unix microseconds of the first line ever read; 0: none yet
	firstChanged bool

	line     logLine         // the one being read
	found    *message        // the last one that a line was about
	clients  map[string]bool // whether a client is foreign, as asked before
	relays   interned
	host     string // of the last line
	hostHash uint32
	sender   string // the last one: lists without VERP have one for all
}

// trackerConfig is the section of such a log.
type trackerConfig struct {
	VERP       string          `yaml:"verp"`       // shape of envelope senders that name the subscriber
	MyNetworks config.Networks `yaml:"mynetworks"` // clients whose mail is ours, besides those who log in
	Archives   []string        `yaml:"archives"`   // addresses that get copies (Postfix's always_bcc), or patterns: their failures are nobody's
	Memory     config.Size     `yaml:"memory"`     // for messages in flight
	MaxAge     config.Duration `yaml:"max_age"`    // a message not heard of for so long is forgotten
}

// defaultTracker takes for ours what this host and those of private networks hand in.
var defaultTracker = trackerConfig{
	VERP:       listmonk.DefaultVERP,
	MyNetworks: config.PrivateNetworks(),
	Memory:     defaultMemory,
	MaxAge:     config.Duration(10 * 24 * time.Hour),
}

const whyUnopened = "unopened_queue_id" // no line ever opened this queue id

const (
	maxClients    = 4 << 10
	unopenedGrace = 24 * time.Hour // a queue id not seen opened is believed so long after the first line
)

// registerTracker makes the format of a log known whose section is a tracker's and no more.
func registerTracker(kind string, build func(config.Env, tracker) parsers.Parser) {
	parsers.Register(kind, defaultTracker, func(env config.Env, section config.Section, c *trackerConfig) (parsers.Parser, error) {
		t, err := newTracker(section, c)
		if err != nil {
			return nil, err
		}
		return build(env, t), nil
	})
}

func newTracker(section config.Section, c *trackerConfig) (t tracker, err error) {
	var errs []error
	if t.verp, err = listmonk.NewVERP(c.VERP); err != nil {
		errs = append(errs, section.Errorf("verp", "%v", err))
	}
	for _, pattern := range c.Archives {
		if !strings.Contains(pattern, "@") {
			errs = append(errs, section.Errorf("archives", "%q is no address: archive@example.com, or a pattern such as *@archive.example.com", pattern))
		}
	}
	if c.Memory < 1<<20 {
		errs = append(errs, section.Errorf("memory", "less than 1MiB holds too few messages"))
	}
	if c.MaxAge.Std() < 24*time.Hour {
		errs = append(errs, section.Errorf("max_age", "mail waits in a queue for days before it is given up: at least 24h"))
	}
	if len(errs) > 0 {
		return t, config.Join("", errs...)
	}
	t.mynetworks, t.archives = c.MyNetworks, c.Archives
	t.memory = newMemory(int(c.Memory), c.MaxAge.Std())
	t.clients = map[string]bool{}
	t.relays = interned{}
	t.hostHash = fnv32(nil)
	return t, nil
}

// interned are words that come again and again, each kept once.
type interned map[string]string

const maxInterned = 4 << 10

func (t interned) of(b []byte) string {
	s, known := t[string(b)]
	if !known {
		if len(t) >= maxInterned {
			clear(t)
		}
		s = string(b)
		t[s] = s
	}
	return s
}

// A logLine is one line about one queue id.
type logLine struct {
	syslogLine
	key      queueKey
	instance uint32 // of several on one host: a hash of its name; 0 where there is but one
	now      time.Time
	at       int64 // now, in Unix microseconds
	seen     int64 // the same, but not ahead of the time of reading
	text     []byte
}

// begin reads the time of a line, notes the first line ever, and forgets what is too old by then. False: it has no time.
func (t *tracker) begin(l *logLine, read time.Time) bool {
	var ok bool
	if l.now, ok = t.clock.time(&l.syslogLine, read); !ok {
		return false
	}
	t.began(l, latest(read))
	return true
}

// began is begin for a line whose time is known, as is the latest one that is believed.
func (t *tracker) began(l *logLine, latest int64) {
	if l.at = l.now.UnixMicro(); t.first == 0 {
		t.first, t.firstChanged = l.at, true
	}
	if l.seen = min(l.at, latest); t.memory.isDue(l.seen) {
		flooded, forgot := t.memory.flooded, t.memory.forgot
		t.memory.bound(l.seen)
		t.firstChanged = t.firstChanged || t.memory.flooded != flooded || t.memory.forgot != forgot
	}
}

// latest is how far ahead a log's clock is believed: nothing is forgotten for a wrong stamp.
func latest(read time.Time) int64 {
	if read.IsZero() {
		read = time.Now()
	}
	return read.UnixMicro() + (24 * time.Hour).Microseconds()
}

// mayPredate says whether a message that no line opened, and that arrived then, is older than the first line ever.
func (t *tracker) mayPredate(l *logLine, arrived int64) bool {
	return arrived <= t.first && t.isCatchingUp(l)
}

// isCatchingUp says whether the first line ever is so recent that messages may be older. A queue manager names a message
// again whenever it takes it up.
func (t *tracker) isCatchingUp(l *logLine) bool { return l.at-t.first <= unopenedGrace.Microseconds() }

// setKey names the message that a line is about.
func (t *tracker) setKey(l *logLine, id []byte, instance uint32) {
	l.key = queueKey{host: t.hashHost(l.host)}
	copy(l.key.id[:], id)
	l.instance = instance
}

func (t *tracker) hashHost(host []byte) uint32 {
	if string(host) != t.host {
		t.host, t.hostHash = string(host), fnv32(host)
	}
	return t.hostHash
}

// fnv32 is FNV-1a: the same after a restart, for it is part of stored keys.
func fnv32(b []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}

// find gives the message that a line is about; nil: it is not known.
func (t *tracker) find(l *logLine) *message {
	if m := t.found; m != nil && m.seen != 0 && m.instance == l.instance && m.key == l.key { // not forgotten since
		return m
	}
	m := t.memory.find(&l.key, l.instance)
	if m == nil {
		m = t.recall(&l.key, l.instance, l.seen)
	}
	t.found = m
	return m
}

// findOther gives the message of another queue id of the same host.
func (t *tracker) findOther(l *logLine, id []byte) *message {
	if len(id) == 0 {
		return nil
	}
	key := queueKey{host: l.key.host}
	copy(key.id[:], id)
	return t.memory.find(&key, l.instance)
}

func (t *tracker) setSender(m *message, sender []byte) {
	if string(sender) != t.sender {
		t.sender = string(sender)
	}
	m.sender = t.sender
	m.flags |= msgSender
}
