package maillog

import (
	"bytes"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
)

// A syslogLine is what syslog wrote before a program's own words. Its slices are the record's memory.
type syslogLine struct {
	stamp   []byte // as written; empty for a journal entry
	year    int    // where it is written behind the time; 0: not written
	when    time.Time
	host    []byte // empty where the format has none (container images)
	tag     []byte // the program without its pid: "postfix/smtp"
	pid     []byte // empty where the format has none
	message []byte
	cut     bool // RFC 5424 by rsyslog: the tag ends at its first "/", so that the daemon's name is lost
}

// splitSyslog reads the header from left to right; the tag stands right behind the host and is not looked for anywhere
// else, for the rest of a line may come from a stranger. Known shapes:
//
//	Nov 22 06:47:42 mail postfix/smtp[828]: …                                  RFC 3164, postlogd
//	Nov 22 06:47:42 2026 mail postfix/smtp[828]: …                             a year behind the time
//	2026-11-22T06:47:42.581177+00:00 mail postfix/smtp[828]: …                 RFC 3339
//	2026-11-22T06:47:42.581177+00:00 INFO    postfix/smtp[828]: …              container images: a level, no host
//	2026-11-22T06:47:42.581177Z stdout F Nov 22 06:47:42 mail postfix/smtp[1]: …  container runtimes' own files (CRI)
//	Nov 22 06:47:42 mail postfix/smtp[828]: [ID 197553 mail.info] …            Solaris
//	<22>1 2026-11-22T06:47:42.581177+00:00 mail postfix 828 - -  …             RFC 5424
//
// A journal entry has its header in rec.Syslog and only the message as its body.
func splitSyslog(rec *event.Record, l *syslogLine) bool {
	if h := rec.Syslog; h != nil {
		*l = syslogLine{
			when: rec.Time, host: []byte(h.Host), tag: []byte(h.Tag), pid: []byte(h.PID), message: trimLineEnd(rec.Body),
		}
		return true
	}
	*l = syslogLine{}
	b := trimLineEnd(rec.Body)
	for len(b) > 0 && b[0] == 0 { // a sparse file after copytruncate
		b = b[1:]
	}
	if len(b) > 0 && b[0] == '<' {
		end := bytes.IndexByte(b[:min(len(b), 6)], '>')
		if end < 0 {
			return false
		}
		b = b[end+1:]
		if len(b) > 2 && b[0] == '1' && b[1] == ' ' {
			return l.splitRFC5424(b[2:])
		}
	}
	b = l.cutStamp(b)
	return b != nil && l.cutTag(withoutSecondStamp(b))
}

// withoutSecondStamp takes off the time that a program in a container wrote behind the one its runtime wrote, which is
// exact and has a zone.
func withoutSecondStamp(b []byte) []byte {
	b = bytes.TrimPrefix(bytes.TrimPrefix(b, []byte("stdout F ")), []byte("stderr F "))
	var second syslogLine
	if rest := second.cutStamp(b); rest != nil {
		return rest
	}
	return b
}

func trimLineEnd(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return b
}

// cutStamp takes the time off; nil: there is none.
func (l *syslogLine) cutStamp(b []byte) []byte {
	from := 0
	switch {
	case len(b) < 17:
		return nil
	case text.IsDigit(b[0]): // 2026-11-22T06:47:42, also with a space before the time
		if b[4] != '-' || b[7] != '-' || b[13] != ':' || b[10] != 'T' && b[10] != ' ' {
			return nil
		}
		from = 11
	default:
		if b[3] != ' ' || b[6] != ' ' || b[9] != ':' || b[12] != ':' {
			return nil
		}
		from = 7
	}
	end := bytes.IndexByte(b[from:], ' ')
	if end < 0 {
		return nil
	}
	l.stamp = b[:from+end]
	return b[from+end+1:]
}

// cutTag reads "[year ][host ][level ]tag[pid]: message".
func (l *syslogLine) cutTag(b []byte) bool {
	for range 4 {
		word := b
		end := bytes.IndexByte(b, ' ')
		if end >= 0 {
			word, b = b[:end], b[end+1:]
		} else {
			b = nil
		}
		n := len(word)
		switch {
		case n == 0: // padding
		case word[n-1] == ':':
			l.setTag(word[:n-1])
			l.message = withoutMessageID(b)
			return true
		case isLevel(word):
		case n == 4 && text.IsDigit(word[0]) && l.year == 0 && l.host == nil:
			l.year = decimal(word)
		case l.host == nil:
			l.host = word
		default:
			return false
		}
		for len(b) > 0 && b[0] == ' ' {
			b = b[1:]
		}
		if len(b) == 0 {
			return false
		}
	}
	return false
}

func (l *syslogLine) setTag(word []byte) {
	if i := bytes.IndexByte(word, '['); i >= 0 {
		l.pid = bytes.TrimSuffix(word[i+1:], []byte("]"))
		word = word[:i]
	}
	l.tag = word
}

// withoutMessageID takes off what Solaris puts before the words.
func withoutMessageID(b []byte) []byte {
	if !bytes.HasPrefix(b, []byte("[ID ")) {
		return b
	}
	if end := bytes.Index(b, []byte("] ")); end >= 0 {
		return b[end+2:]
	}
	return b
}

// splitRFC5424 reads "TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG" (RFC 5424 §6).
func (l *syslogLine) splitRFC5424(b []byte) bool {
	var words [5][]byte
	for i := range words {
		end := bytes.IndexByte(b, ' ')
		if end < 0 {
			return false
		}
		words[i], b = b[:end], b[end+1:]
	}
	switch {
	case len(b) > 0 && b[0] == '-':
		b = b[1:]
	case len(b) > 0 && b[0] == '[':
		if b = behindStructuredData(b); b == nil {
			return false
		}
	default:
		return false
	}
	l.stamp, l.host, l.tag, l.pid = words[0], words[1], words[2], words[3]
	l.cut = bytes.IndexByte(l.tag, '/') < 0
	b = bytes.TrimLeft(b, " ")
	l.message = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	return true
}

// behindStructuredData skips "[id name="value" …][…]", in whose values `\` escapes `"`, `]` and itself.
func behindStructuredData(b []byte) []byte {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch {
		case quoted && b[i] == '\\':
			i++
		case b[i] == '"':
			quoted = !quoted
		case !quoted && b[i] == ']' && (i+1 == len(b) || b[i+1] != '['):
			return b[i+1:]
		}
	}
	return nil
}

// resolution is what the stamp is exact to.
func (l *syslogLine) resolution() time.Duration {
	if l.when.IsZero() && !bytes.ContainsAny(l.stamp, ".,") {
		return time.Second
	}
	return time.Millisecond
}

// isLevel knows the words between time and tag that are no host: "INFO", "mail.info", "<mail.info>", "<2.6>".
func isLevel(word []byte) bool {
	if word[0] == '<' && word[len(word)-1] == '>' {
		return true
	}
	switch string(word) {
	case "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERR", "ERROR", "CRIT", "CRITICAL", "ALERT", "EMERG", "FATAL",
		"mail.debug", "mail.info", "mail.notice", "mail.warn", "mail.warning", "mail.err", "mail.crit":
		return true
	}
	return false
}

// A syslogClock reads time stamps. It remembers the minute it last worked out, for most lines share it.
type syslogClock struct {
	minute [16]byte // "2026-11-22T06:47" or "Nov 22 06:47"
	length int
	zone   [6]byte
	zoned  int
	year   int
	read   int // year of reading, on which an unwritten year depends
	base   int64
}

// time gives the stamp of l. Stamps without a zone are local time; where the year is missing it is that of read, the
// time of reading, or, if the stamp would lie more than a day ahead of it, the one before. A record of the journal
// knows its time.
func (c *syslogClock) time(l *syslogLine, read time.Time) (time.Time, bool) {
	if !l.when.IsZero() {
		return l.when.UTC(), isStorable(l.when)
	}
	minute := 16
	if len(l.stamp) > 0 && !text.IsDigit(l.stamp[0]) {
		minute = 12
	}
	if len(l.stamp) < minute+3 || l.stamp[minute] != ':' {
		return time.Time{}, false
	}
	seconds := int64(decimal(l.stamp[minute+1 : minute+3]))
	nanos, zone := fraction(l.stamp[minute+3:])
	if len(zone) > len(c.zone) || seconds < 0 || seconds > 60 {
		return time.Time{}, false
	}
	if c.length != minute || string(c.minute[:minute]) != string(l.stamp[:minute]) || string(c.zone[:c.zoned]) != string(zone) ||
		c.year != l.year || minute == 12 && c.read != read.Year() {
		base, ok := readMinute(l.stamp[:minute], zone, l.year, read)
		if !ok {
			return time.Time{}, false
		}
		c.base, c.length, c.year, c.read = base, minute, l.year, read.Year()
		copy(c.minute[:], l.stamp[:minute])
		c.zoned = copy(c.zone[:], zone)
	}
	t := time.Unix(c.base+seconds, nanos).UTC()
	return t, isStorable(t)
}

// isStorable says whether JSON can carry t: RFC 3339 has four digits for the year, in whatever zone.
func isStorable(t time.Time) bool { return t.Year() > 0 && t.Year() < 9999 }

// fraction reads ".606575" and gives what stands behind it: the zone.
func fraction(b []byte) (nanos int64, rest []byte) {
	if len(b) == 0 || b[0] != '.' && b[0] != ',' {
		return 0, b
	}
	i, unit := 1, int64(100_000_000)
	for ; i < len(b) && text.IsDigit(b[i]); i++ {
		nanos += int64(b[i]-'0') * unit
		unit /= 10
	}
	return nanos, b[i:]
}

// readMinute gives the Unix time at which the minute begins.
func readMinute(b, zone []byte, year int, read time.Time) (int64, bool) {
	if len(b) == 12 {
		return readOldMinute(b, year, read)
	}
	y, month, day := decimal(b[:4]), decimal(b[5:7]), decimal(b[8:10])
	hour, minute := decimal(b[11:13]), decimal(b[14:16])
	if y < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 || minute > 59 {
		return 0, false
	}
	where, offset, ok := readZone(zone)
	if !ok {
		return 0, false
	}
	return time.Date(y, time.Month(month), day, hour, minute, 0, 0, where).Unix() - offset, true
}

func readZone(zone []byte) (where *time.Location, offset int64, ok bool) {
	switch {
	case len(zone) == 0:
		return time.Local, 0, true
	case string(zone) == "Z":
		return time.UTC, 0, true
	case len(zone) == 6 && zone[3] == ':', len(zone) == 5:
		hours, minutes := decimal(zone[1:3]), decimal(zone[len(zone)-2:])
		if hours < 0 || minutes < 0 || zone[0] != '+' && zone[0] != '-' {
			return nil, 0, false
		}
		offset = int64(hours*3600 + minutes*60)
		if zone[0] == '-' {
			offset = -offset
		}
		return time.UTC, offset, true
	}
	return nil, 0, false
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// readOldMinute reads "Nov 22 06:47" (RFC 3164 §4.1.2).
func readOldMinute(b []byte, year int, read time.Time) (int64, bool) {
	at := bytes.Index([]byte(months), b[:3])
	day := decimal(bytes.TrimLeft(b[4:6], " "))
	hour, minute := decimal(b[7:9]), decimal(b[10:12])
	if at < 0 || at%3 != 0 || day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 || minute > 59 {
		return 0, false
	}
	month := time.Month(at/3 + 1)
	if year != 0 {
		return time.Date(year, month, day, hour, minute, 0, 0, time.Local).Unix(), true
	}
	if read.IsZero() {
		read = time.Now()
	}
	for back := range 9 { // 29 February may lie up to eight years back
		t := time.Date(read.Year()-back, month, day, hour, minute, 0, 0, time.Local)
		if t.Month() == month && t.Sub(read) <= 24*time.Hour {
			return t.Unix(), true
		}
	}
	return 0, false
}
