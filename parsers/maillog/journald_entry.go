package maillog

import (
	"bytes"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"bouncefeed/internal/text"
)

// A journalEntry is what is needed of one entry. Its slices are the record's memory or its own; nil: the field is absent.
type journalEntry struct {
	identifier []byte // SYSLOG_IDENTIFIER
	pid        []byte // _PID
	syslogPID  []byte // SYSLOG_PID
	message    []byte
	oversized  bool // journalctl prints null for a field beyond 4 KiB
	host       []byte
	machine    []byte
	uid        []byte
	exe        []byte
	unit       []byte
	source     []byte // _SOURCE_REALTIME_TIMESTAMP, Unix microseconds
	realtime   []byte // __REALTIME_TIMESTAMP
	own        []byte
}

// field is where the value of a field goes; nil: it is not needed.
func (e *journalEntry) field(key []byte) *[]byte {
	switch string(key) {
	case "SYSLOG_IDENTIFIER":
		return &e.identifier
	case "SYSLOG_PID":
		return &e.syslogPID
	case "_PID":
		return &e.pid
	case "MESSAGE":
		return &e.message
	case "_HOSTNAME":
		return &e.host
	case "_MACHINE_ID":
		return &e.machine
	case "_UID":
		return &e.uid
	case "_EXE":
		return &e.exe
	case "_SYSTEMD_UNIT":
		return &e.unit
	case "_SOURCE_REALTIME_TIMESTAMP":
		return &e.source
	case "__REALTIME_TIMESTAMP":
		return &e.realtime
	}
	return nil
}

// process is the pid that journald saw, or failing that the one that was written.
func (e *journalEntry) process() []byte {
	if len(e.pid) == 0 {
		return e.syslogPID
	}
	return e.pid
}

// when is when the entry was written, or failing that when it was read.
func (e *journalEntry) when(read time.Time) time.Time {
	for _, stamp := range [2][]byte{e.source, e.realtime} {
		if micros, _ := strconv.ParseInt(string(stamp), 10, 64); micros > 0 {
			return time.UnixMicro(micros)
		}
	}
	return read
}

// decode reads the JSON object that is one entry (systemd's "Journal JSON Format"): a field is a string, an array of
// byte values where it is no printable UTF-8, null where it is too large, or an array of these where it was given more
// than once; then the first counts. False: it is no such object, or names a field twice.
func (e *journalEntry) decode(line []byte) bool {
	*e = journalEntry{own: e.own[:0]}
	s := jsonScanner{b: line}
	if !s.take('{') {
		return false
	}
	for first := true; ; first = false {
		if s.take('}') {
			return s.atEnd()
		}
		if !first && !s.take(',') || !s.take('"') {
			return false
		}
		key, ok := s.string()
		if !ok || !s.take(':') {
			return false
		}
		to := e.field(key)
		if to == nil {
			if !s.skip() {
				return false
			}
			continue
		}
		value, null, ok := e.value(&s)
		if !ok || *to != nil {
			return false
		}
		if *to = value; to == &e.message {
			e.oversized = null
		}
	}
}

// value reads one field's value. It is not nil.
func (e *journalEntry) value(s *jsonScanner) (value []byte, null, ok bool) {
	switch {
	case s.take('"'):
		raw, ok := s.string()
		if !ok || bytes.IndexByte(raw, '\\') < 0 {
			return raw, false, ok
		}
		from := len(e.own)
		if e.own, ok = unescapeJSON(e.own, raw); !ok {
			return nil, false, false
		}
		return e.own[from:len(e.own):len(e.own)], false, true
	case s.take('['):
		return e.array(s)
	}
	word := s.word()
	return word, string(word) == "null", len(word) > 0
}

// array reads behind "[": bytes, or the values of a field given more than once.
func (e *journalEntry) array(s *jsonScanner) (value []byte, null, ok bool) {
	if s.take(']') {
		return []byte{}, false, true
	}
	if c := s.peek(); c == '"' || c == '[' || c == 'n' {
		value, null, ok = e.value(s)
		for ok && s.take(',') {
			ok = s.skip()
		}
		return value, null, ok && s.take(']')
	}
	from := len(e.own)
	for {
		n := decimal(s.word())
		if n < 0 || n > 255 {
			return nil, false, false
		}
		e.own = append(e.own, byte(n))
		if s.take(']') {
			return e.own[from:len(e.own):len(e.own)], false, true
		}
		if !s.take(',') {
			return nil, false, false
		}
	}
}

// A jsonScanner goes through JSON without building anything. What it does not care for it does not check.
type jsonScanner struct {
	b  []byte
	at int
}

// peek is the next byte that is no white space, 0 at the end.
func (s *jsonScanner) peek() byte {
	for ; s.at < len(s.b); s.at++ {
		if c := s.b[s.at]; c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c
		}
	}
	return 0
}

func (s *jsonScanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

func (s *jsonScanner) atEnd() bool { return s.peek() == 0 && s.at == len(s.b) }

// string gives what stands behind an opening quote, still escaped, up to the closing one.
func (s *jsonScanner) string() (raw []byte, ok bool) {
	for from := s.at; ; {
		i := bytes.IndexByte(s.b[s.at:], '"')
		if i < 0 {
			return nil, false
		}
		end := s.at + i
		s.at = end + 1
		slashes := 0
		for end-slashes > from && s.b[end-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return s.b[from:end], true
		}
	}
}

// word gives a number, true, false or null.
func (s *jsonScanner) word() []byte {
	s.peek()
	from := s.at
	for s.at < len(s.b) {
		switch c := s.b[s.at]; {
		case text.IsDigit(c), c|0x20 >= 'a' && c|0x20 <= 'z', c == '-', c == '+', c == '.':
			s.at++
			continue
		}
		break
	}
	return s.b[from:s.at]
}

// skip passes over one value of any kind and depth.
func (s *jsonScanner) skip() bool {
	for depth := 0; ; {
		switch c := s.peek(); c {
		case 0:
			return false
		case '"':
			s.at++
			if _, ok := s.string(); !ok {
				return false
			}
		case '[', '{':
			s.at++
			depth++
			continue
		case ']', '}':
			if depth == 0 {
				return false
			}
			s.at++
			depth--
		case ',', ':':
			if depth == 0 {
				return false
			}
			s.at++
			continue
		default:
			if len(s.word()) == 0 {
				return false
			}
		}
		if depth == 0 {
			return true
		}
	}
}

// unescapeJSON appends what raw, the inside of a JSON string, stands for (RFC 8259 §7).
func unescapeJSON(to, raw []byte) ([]byte, bool) {
	for len(raw) > 0 {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return append(to, raw...), true
		}
		to, raw = append(to, raw[:i]...), raw[i+1:]
		if len(raw) == 0 {
			return nil, false
		}
		c := raw[0]
		raw = raw[1:]
		if c == 'u' {
			r, rest := unescapeRune(raw)
			if r < 0 {
				return nil, false
			}
			to, raw = utf8.AppendRune(to, r), rest
			continue
		}
		at := strings.IndexByte(`"\/bfnrt`, c)
		if at < 0 {
			return nil, false
		}
		to = append(to, "\"\\/\b\f\n\r\t"[at])
	}
	return to, true
}

// unescapeRune reads behind "\u", two such for a surrogate pair; -1: no hexadecimal digits.
func unescapeRune(raw []byte) (rune, []byte) {
	r := hexRune(raw)
	if r < 0 {
		return -1, nil
	}
	if raw = raw[4:]; utf16.IsSurrogate(r) && bytes.HasPrefix(raw, []byte(`\u`)) {
		if pair := utf16.DecodeRune(r, hexRune(raw[2:])); pair != utf8.RuneError {
			return pair, raw[6:]
		}
	}
	return r, raw
}

func hexRune(raw []byte) rune {
	if len(raw) < 4 {
		return -1
	}
	n, err := strconv.ParseUint(string(raw[:4]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}

// localAccounts are the accounts of this machine.
type localAccounts struct {
	machine string
	ids     map[string]string // _UID by name or number; "": no such user
}

func newLocalAccounts() *localAccounts {
	id, _ := os.ReadFile("/etc/machine-id")
	return &localAccounts{machine: strings.TrimSpace(string(id)), ids: map[string]string{}}
}

func (a *localAccounts) isHere(machine []byte) bool {
	return a.machine != "" && a.machine == string(machine)
}

// id is the _UID of a user by name or number.
func (a *localAccounts) id(name string) string {
	id, ok := a.ids[name]
	if !ok {
		if u, err := user.Lookup(name); err == nil {
			id = u.Uid
		} else if decimal([]byte(name)) >= 0 {
			id = name
		}
		a.ids[name] = id
	}
	return id
}

// knows says whether any of these users exists here.
func (a *localAccounts) knows(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return a.id(n) != "" })
}

// has says whether uid is one of these users.
func (a *localAccounts) has(names []string, uid []byte) bool {
	return slices.ContainsFunc(names, func(n string) bool { id := a.id(n); return id != "" && id == string(uid) })
}
