package parsers

import (
	"strings"
	"time"

	"bouncefeed/internal/config"
)

// A queueLog is what reading Exim's, Sendmail's and OpenSMTPD's logs has in common with reading Postfix's: messages are
// followed by their queue id from where they come in to what becomes of each recipient.
type queueLog struct {
	postfix
	ownHost []byte // of a log that names no host
}

// queueLogConfig is what such logs let an admin set.
type queueLogConfig struct {
	VERP       string          `yaml:"verp"`
	MyNetworks []string        `yaml:"mynetworks"`
	Memory     config.Size     `yaml:"memory"`
	MaxAge     config.Duration `yaml:"max_age"`
}

// ownNetworks are the clients that may name subscribers: this host and private networks.
var ownNetworks = []string{
	"127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10",
}

func newQueueLog(env config.Env, section config.Section, c queueLogConfig) (*queueLog, error) {
	p, err := buildPostfix(env, section, &postfixConfig{VERP: c.VERP, MyNetworks: c.MyNetworks, Memory: c.Memory, MaxAge: c.MaxAge})
	if err != nil {
		return nil, err
	}
	return &queueLog{postfix: *p.(*postfix), ownHost: []byte(env.Host)}, nil
}

// startLine reads the time of a line and notes the first one ever.
func (p *queueLog) startLine(l *postfixLine, read time.Time) bool {
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
func (p *queueLog) setKey(l *postfixLine, id []byte) {
	l.key = queueKey{host: p.hashHost(l.host)}
	copy(l.key.id[:], id)
	l.instance = 0
}

// take removes a recipient from those still pending and gives what was last said of it. A later line may name it by
// another of its addresses.
func (m *postfixMessage) take(to, origTo []byte) (o postfixOutcome, known bool) {
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
		return postfixOutcome{}, false
	}
	o = m.pending[at]
	m.pending = append(m.pending[:at], m.pending[at+1:]...)
	return o, true
}
