package mta

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// RateLimit is how much of a unit's log journald takes: Burst messages each Interval, the rest it drops.
// journald.conf(5) raises Burst by up to six times where the disk has much room.
type RateLimit struct {
	Unit     string
	Interval time.Duration
	Burst    int
}

// mailUnits are the units mail servers log from; of "postfix@-.service" the template is what a drop-in is for.
var mailUnits = map[string][]string{
	"postfix":   {"postfix@-.service", "postfix.service"},
	"exim":      {"exim4.service", "exim.service"},
	"sendmail":  {"sendmail.service"},
	"opensmtpd": {"opensmtpd.service"},
}

// JournalLimit is the limit for a mail server's unit; nil if there is none it could reach, or nobody can be asked.
func JournalLimit(ctx context.Context, server string) *RateLimit {
	conf, err := run(ctx, "systemd-analyze", "cat-config", "systemd/journald.conf")
	if err != nil {
		return nil
	}
	global := journaldLimit(conf)
	var first *RateLimit
	for _, unit := range mailUnits[server] {
		said, err := run(ctx, "systemctl", "show", unit, "--property=LoadState,ActiveState,LogRateLimitIntervalUSec,LogRateLimitBurst")
		if err != nil {
			return nil
		}
		own := properties(said)
		l := unitLimit(unit, global, own)
		switch {
		case own["LoadState"] != "loaded":
		case own["ActiveState"] == "active":
			return l
		case first == nil:
			first = l
		}
	}
	return first
}

// unitLimit is the limit of a unit. What it sets itself stands before journald's, except 0, which counts as not set
// (LogRateLimitIntervalSec=0 lifts nothing, in systemd 252 and 257 alike).
func unitLimit(unit string, global RateLimit, own map[string]string) *RateLimit {
	l := global
	l.Unit = unit
	if d, err := span(own["LogRateLimitIntervalUSec"]); err == nil && d > 0 {
		l.Interval = d
	}
	if b, err := strconv.Atoi(own["LogRateLimitBurst"]); err == nil && b > 0 {
		l.Burst = b
	}
	if l.Interval == 0 || l.Burst == 0 || float64(l.Burst)/l.Interval.Seconds() >= plenty {
		return nil
	}
	return &l
}

// plenty is more lines a second than a mail server writes.
const plenty = 5000

// journaldLimit reads journald.conf with its drop-ins, the last one of a key counts.
func journaldLimit(conf string) RateLimit {
	l := RateLimit{Interval: 30 * time.Second, Burst: 10000}
	for line := range strings.Lines(conf) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch strings.TrimSpace(key) {
		case "RateLimitIntervalSec", "RateLimitInterval":
			if d, err := span(value); err == nil {
				l.Interval = d
			}
		case "RateLimitBurst":
			if b, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
				l.Burst = b
			}
		}
	}
	return l
}

// span reads a time span of systemd's as far as one is written here: "30s", "1min 30s", "0", "30".
func span(text string) (time.Duration, error) {
	var sum time.Duration
	for _, word := range strings.Fields(text) {
		word = strings.Replace(word, "min", "m", 1)
		if strings.Trim(word, "0123456789") == "" {
			word += "s"
		}
		d, err := time.ParseDuration(word)
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

func properties(said string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(said) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		all[key] = value
	}
	return all
}

// String tells the limit: "10000 messages in 30s".
func (l *RateLimit) String() string { return fmt.Sprintf("%d messages in %s", l.Burst, l.Interval) }

// Remedy are the commands that lift the limit.
func (l *RateLimit) Remedy() string {
	unit, _, template := strings.Cut(l.Unit, "@")
	edit := l.Unit
	if template {
		edit = unit + "@.service"
	}
	return fmt.Sprintf(`d=/etc/systemd/system/%s.d; mkdir -p $d && printf '[Service]\nLogRateLimitBurst=1000000\n' > $d/log.conf && systemctl daemon-reload && systemctl restart %s`,
		edit, strings.TrimSuffix(unit, ".service"))
}
