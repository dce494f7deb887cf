package parsers

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
)

// A queueLog is what reading Exim's, Sendmail's and OpenSMTPD's logs has in common with reading Postfix's: messages are
// followed by their queue id from where they come in to what becomes of each recipient.
type queueLog struct {
	postfix
	ownHost []byte // of a log that names no host
}

// queueLogConfig is the section of such a log.
type queueLogConfig struct {
	VERP       string          `yaml:"verp"`       // shape of envelope senders that name the subscriber
	MyNetworks []string        `yaml:"mynetworks"` // clients whose mail may name subscribers, besides those who log in
	Memory     config.Size     `yaml:"memory"`     // for messages in flight
	MaxAge     config.Duration `yaml:"max_age"`    // a message not heard of for so long is forgotten
}

var defaultQueueLog = queueLogConfig{
	VERP: defaultVERP, MyNetworks: ownNetworks, Memory: defaultMemory, MaxAge: config.Duration(10 * 24 * time.Hour),
}

// msgAuthenticated: the client has logged in. Beside the flags of postfix_memory.go.
const msgAuthenticated = 1 << 15

// ownNetworks are the clients that may name subscribers: this host and private networks.
var ownNetworks = []string{
	"127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10",
}

func newQueueLog(env config.Env, section config.Section, c *queueLogConfig) (*queueLog, error) {
	p, err := buildPostfix(env, section, &postfixConfig{VERP: c.VERP, MyNetworks: c.MyNetworks, Memory: c.Memory, MaxAge: c.MaxAge})
	if err != nil {
		return nil, err
	}
	return &queueLog{postfix: *p.(*postfix), ownHost: []byte(env.Host)}, nil
}

// startLine reads the time of a line and notes the first one ever.
func (p *queueLog) startLine(l *logLine, read time.Time) bool {
	var ok bool
	if l.now, ok = p.clock.time(&l.syslogLine, read); !ok {
		return false
	}
	if l.at = l.now.UnixMicro(); p.first == 0 {
		p.first, p.firstChanged = l.at, true
	}
	if l.seen = min(l.at, latest(read)); p.memory.isDue(l.seen) {
		p.memory.bound(l.seen)
	}
	return true
}

// setKey names the message that a line is about.
func (p *queueLog) setKey(l *logLine, id []byte) {
	l.key = queueKey{host: p.hashHost(l.host)}
	copy(l.key.id[:], id)
	l.instance = 0
}

// setDone moves m among those of which little is expected any more, where the log does not say that a message is gone.
func (p *memory) setDone(m *queueMessage) {
	if !m.has(msgQueued) {
		return
	}
	p.queued.remove(m)
	p.size -= m.size
	m.size = 0
	m.flags &^= msgQueued
	p.waiting++
	p.arriving.add(m)
	p.touch(m, m.seen)
}

// take removes a recipient from those still pending and gives what was last said of it. A later line may name it by
// another of its addresses.
func (m *queueMessage) take(to, origTo []byte) (o outcome, known bool) {
	at := -1
	for i := range m.pending {
		p := &m.pending[i]
		same := strings.EqualFold(p.to, string(to))
		if same && strings.EqualFold(p.origTo, string(origTo)) {
			at = i
			break
		}
		if at < 0 && (same || strings.EqualFold(p.to, string(origTo))) {
			at = i
		}
	}
	if at < 0 {
		return outcome{}, false
	}
	o = m.pending[at]
	m.pending = append(m.pending[:at], m.pending[at+1:]...)
	return o, true
}

// checkRecipient refuses what checkAddress does, and a local part with what could be the rest of a line.
func checkRecipient(a []byte) error {
	if bytes.IndexByte(a, ' ') >= 0 && bytes.ContainsAny(a, "<>") {
		return event.Refuse(WhyTwoReadings, "a local part that holds words in angle brackets")
	}
	return checkAddress(a)
}

// setReply takes over a server's words, or the MTA's own: a status counts unless it contradicts the reply code.
func (o *outcome) setReply(words []byte) {
	o.diagnostic = text.Cut(strings.ToValidUTF8(unescape(words), "\uFFFD"), maxDiagnostic)
	o.code = smtp.Code(o.diagnostic)
	if s := smtp.ReplyStatus(o.diagnostic); s != "" && (o.code == 0 || s[0] == o.diagnostic[0]) {
		o.status = s
	}
}

// unescape makes one line of a reply of several, and letters of the octal numbers that Exim and Sendmail write for bytes that
// are not ASCII, where they are UTF-8.
func unescape(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		if b[i] != '\\' || i+1 == len(b) {
			out = append(out, b[i])
			i++
			continue
		}
		if b[i+1] == 'n' || b[i+1] == 'r' || b[i+1] == 't' {
			out = append(out, ' ')
			i += 2
			continue
		}
		from := len(out)
		end := i
		for c, ok := octal(b[end:]); ok; c, ok = octal(b[end:]) {
			out = append(out, c)
			end += 4
		}
		if end == i || !utf8.Valid(out[from:]) {
			end = max(end, i+1)
			out = append(out[:from], b[i:end]...)
		}
		i = end
	}
	return string(out)
}

// octal reads "\320", a byte that is not ASCII.
func octal(b []byte) (byte, bool) {
	if len(b) < 4 || b[0] != '\\' || b[1] < '2' || b[1] > '3' || b[2] < '0' || b[2] > '7' || b[3] < '0' || b[3] > '7' {
		return 0, false
	}
	return (b[1]-'0')<<6 | (b[2]-'0')<<3 | (b[3] - '0'), true
}

// setUUIDs takes over a campaign and a subscriber that were logged beside the message, or stand in its Message-ID.
func setUUIDs(e *event.Event, campaign, subscriber string) {
	e.CampaignUUID, e.SubscriberUUID = uuidOrNone([]byte(campaign)), uuidOrNone([]byte(subscriber))
	if e.SubscriberUUID == "" {
		if campaign, subscriber := messageIDUUIDs(e.MessageID); subscriber != "" {
			e.CampaignUUID, e.SubscriberUUID = campaign, subscriber
		}
	}
	if e.SubscriberUUID != "" || e.CampaignUUID != "" {
		e.Evidence = evidenceUUID
	}
}

func uuidOrNone(b []byte) string {
	if len(b) == uuidLength && isUUID(string(b)) {
		return strings.ToLower(string(b))
	}
	return ""
}

// complete finds the subscriber in the envelope sender, where nothing else names it.
func (v verp) complete(e *event.Event) {
	if e.SubscriberUUID != "" {
		return
	}
	if e.SubscriberUUID = v.subscriber(e.Sender); e.SubscriberUUID != "" {
		e.Evidence = evidenceVERP
	}
}
