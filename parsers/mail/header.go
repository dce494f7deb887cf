package mail

import (
	"bytes"
	"mime"
	"strings"

	"github.com/emersion/go-message/charset"

	"bouncefeed/internal/address"
	"bouncefeed/internal/text"
)

// Limits on what a message may make us look at. Over a limit the rest is not read; what was read counts.
const (
	maxHeader = 64 << 10 // bytes of one header
	maxFields = 300      // fields of one header
	maxValue  = 8 << 10  // bytes of one unfolded field value
	maxParams = 32       // parameters of one Content-Type
)

// field is one header field, its value still folded and encoded.
type field struct{ name, value string }

// is says whether the field has that name, which is not empty. Most names differ in their length or first letter.
func (f field) is(name string) bool {
	return len(f.name) == len(name) && f.name[0]|0x20 == name[0]|0x20 && (f.name == name || strings.EqualFold(f.name, name))
}

// header is a header, its fields parts of one string.
type header []field

// cutHeader splits an entity at its first blank line. Lines that are no field (an mbox "From ", a folded line that
// lost its indentation) are passed over, because senders of bounces write them; but an entity that does not begin
// with a field has no header at all.
func cutHeader(entity []byte) (header, []byte) {
	entity = bytes.TrimLeft(entity, "\n")
	if bytes.HasPrefix(entity, []byte("From ")) || bytes.HasPrefix(entity, []byte(">From ")) {
		_, entity, _ = bytes.Cut(entity, []byte("\n"))
	}
	block, body, found := bytes.Cut(entity, []byte("\n\n"))
	if !found {
		block, body = entity, nil
	}
	fields := string(block[:min(len(block), maxHeader)])
	if first, _, _ := strings.Cut(fields, "\n"); fieldColon(first) < 0 {
		return nil, entity
	}
	return parseFields(fields), body
}

func parseFields(block string) header {
	h := make(header, 0, min(strings.Count(block, "\n")+1, maxFields))
	for len(block) > 0 && len(h) < maxFields {
		line, rest, _ := strings.Cut(block, "\n")
		end := len(line)
		if colon := fieldColon(line); colon > 0 {
			for len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') {
				more, after, _ := strings.Cut(rest, "\n")
				end = len(block) - len(rest) + len(more)
				rest = after
			}
			name := line[:colon]
			for name[len(name)-1] == ' ' || name[len(name)-1] == '\t' {
				name = name[:len(name)-1]
			}
			h = append(h, field{name, block[colon+1 : end]})
		}
		block = rest
	}
	return h
}

// fieldColon is the place of the colon that ends line's field name, or -1 if line is no header field.
func fieldColon(line string) int {
	for i := range len(line) {
		switch c := line[i]; {
		case c == ':':
			if i == 0 {
				return -1
			}
			return i
		case c == ' ' || c == '\t': // "Subject :" is seen in the wild
			rest := strings.TrimLeft(line[i:], " \t")
			if i > 0 && len(rest) > 0 && rest[0] == ':' {
				return len(line) - len(rest)
			}
			return -1
		case c < '!' || c > '~' || i > 76, c == '<' || c == '@': // "<jo@example.org>: 550 …" begins a text
			return -1
		}
	}
	return -1
}

func cutLine(b []byte) (line, rest []byte) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// get is the unfolded value of the first field of that name, "" if there is none.
func (h header) get(name string) string {
	for _, f := range h {
		if f.is(name) {
			return unfold(f.value)
		}
	}
	return ""
}

func (h header) has(name string) bool {
	for _, f := range h {
		if f.is(name) {
			return true
		}
	}
	return false
}

// text is get with encoded words (RFC 2047) decoded.
func (h header) text(name string) string { return decodeWords(h.get(name)) }

// each calls f with every unfolded value of that name.
func (h header) each(name string, f func(value string)) {
	for _, field := range h {
		if field.is(name) {
			f(unfold(field.value))
		}
	}
}

// addresses lists the addresses in every field of that name.
func (h header) addresses(name string) []string {
	var all []string
	h.each(name, func(v string) { all = append(all, address.List(v)...) })
	return all
}

func unfold(v string) string {
	v = strings.TrimSpace(v[:min(len(v), maxValue)])
	if strings.IndexByte(v, '\n') < 0 {
		return v
	}
	var b strings.Builder
	b.Grow(len(v))
	for len(v) > 0 {
		line, rest, _ := strings.Cut(v, "\n")
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strings.TrimSpace(line))
		v = rest
	}
	return b.String()
}

var wordDecoder = mime.WordDecoder{CharsetReader: charset.Reader}

const maxEncoded = 2 << 10 // bytes of a value with encoded words; each costs a decoder

// decodeWords decodes what can be decoded and leaves the rest as it is.
func decodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return s
	}
	s = text.Cut(s, maxEncoded)
	if decoded, err := wordDecoder.DecodeHeader(s); err == nil {
		return decoded
	}
	return s
}

// mediaType splits a Content-Type into its lower-case type and its parameters. It is laxer than mime.ParseMediaType,
// which gives up where a bounce's generator forgot a quote or wrote a parameter twice.
func mediaType(v string) (typ string, all params) {
	typ, rest, _ := strings.Cut(v, ";")
	typ = strings.ToLower(strings.TrimSpace(typ))
	for n := 0; rest != "" && n < maxParams; n++ {
		var name, value string
		name, value, rest = cutParam(rest)
		name = strings.TrimSuffix(strings.TrimSuffix(name, "*"), "*0") // RFC 2231, first piece
		if name != "" && all.get(name) == "" {
			all = append(all, param{name, value})
		}
	}
	return typ, all
}

// params are the parameters of a Content-Type, their names in lower case.
type params []param

type param struct{ name, value string }

// get is the first value of that name that is not empty.
func (p params) get(name string) string {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i].name == name {
			return p[i].value
		}
	}
	return ""
}

func cutParam(s string) (name, value, rest string) {
	eq := strings.IndexAny(s, "=;")
	if eq < 0 {
		return "", "", ""
	}
	if s[eq] == ';' {
		return "", "", s[eq+1:]
	}
	name = strings.ToLower(strings.TrimSpace(s[:eq]))
	s = strings.TrimLeft(s[eq+1:], " \t")
	if strings.HasPrefix(s, `"`) {
		if end := strings.IndexByte(s[1:], '"'); end >= 0 {
			value = s[1 : 1+end]
			_, rest, _ = strings.Cut(s[2+end:], ";")
			return name, value, rest
		}
		s = s[1:]
	}
	value, rest, _ = strings.Cut(s, ";")
	return name, strings.TrimSpace(value), rest
}
