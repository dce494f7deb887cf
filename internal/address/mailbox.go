// Package address reads mail addresses (RFC 5321 §4.1.2, RFC 6531), and nothing else does. Parse, Field and InAngles read
// what must be one, whole or not at all: nothing is trimmed, decoded or searched for. Find looks for addresses in running
// text; what it finds is a guess. Key is the one form in which addresses are compared.
package address

import (
	"errors"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"bouncefeed/internal/text"

	"golang.org/x/net/idna"
)

// MaxLength of an address, in bytes: RFC 5321 §4.5.3.1 allows 64 before and 255 after the @, many mail servers more.
const MaxLength = 512

// A Mailbox is an address that was read whole.
type Mailbox struct {
	Local  string // what the local part stands for: without quotes and backslashes
	Domain string // as written, without the dot that ends a fully qualified one; or an address literal in its brackets
	bare   bool   // written without quotes
}

// Why a text is no mailbox.
var (
	ErrTooLong  = errors.New("an address that is too long")
	ErrUnseen   = errors.New("an address with control characters")
	ErrEncoding = errors.New("an address that is not UTF-8")
	ErrLocal    = errors.New("an address without a local part of RFC 5321")
	ErrDomain   = errors.New("an address without a domain")
)

// Parse reads a mailbox. Beyond RFC 5321 it takes what leaves no second reading: a local part with dots at its ends or side by
// side, which some providers give out; the dot that ends a fully qualified domain; atoms of RFC 5322 in a domain.
func Parse(s string) (Mailbox, error) {
	if m, ok := parsePlain(s); ok {
		return m, nil
	}
	switch {
	case len(s) > MaxLength:
		return Mailbox{}, ErrTooLong
	case !utf8.ValidString(s):
		return Mailbox{}, ErrEncoding
	case strings.ContainsFunc(s, IsUnseen):
		return Mailbox{}, ErrUnseen
	}
	local, domain, ok := cutLocal(s)
	if !ok {
		return Mailbox{}, ErrLocal
	}
	domain = strings.TrimSuffix(domain, ".")
	if _, ok := asciiDomain(domain); !ok {
		return Mailbox{}, ErrDomain
	}
	return Mailbox{local, domain, !strings.HasPrefix(s, `"`)}, nil
}

// parsePlain reads what nearly all mailboxes are: a dot-string of ASCII at a host name.
func parsePlain(s string) (m Mailbox, ok bool) {
	at, label := -1, 0
	for i := range len(s) {
		switch c := s[i]; {
		case at < 0 && c == '@':
			at = i
		case at < 0:
			if !plainLocal[c] {
				return m, false
			}
		case c == '.':
			if label == 0 || label > 63 {
				return m, false
			}
			label = 0
		case !IsDomainByte(c):
			return m, false
		default:
			label++
		}
	}
	if at < 1 || label == 0 || label > 63 || len(s)-at > 255 || len(s) > MaxLength {
		return m, false
	}
	return Mailbox{s[:at], s[at+1:], true}, true
}

// plainLocal has the bytes of a dot-string.
var plainLocal = func() (table [256]bool) {
	for c := range utf8.RuneSelf {
		table[c] = c == '.' || isAtext(rune(c))
	}
	return table
}()

// Valid says whether s is a mailbox.
func Valid(s string) bool {
	_, err := Parse(s)
	return err == nil
}

// cutLocal reads the local part that s begins with, up to its @, and gives what stands behind it.
func cutLocal(s string) (local, domain string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		local, domain, ok = strings.Cut(s, "@")
		return local, domain, ok && local != "" && !strings.ContainsFunc(local, func(r rune) bool { return r != '.' && !isAtext(r) })
	}
	n := quotedLength(s)
	if n == 0 || n == len(s) || s[n] != '@' {
		return "", "", false
	}
	return unquote(s[1 : n-1]), s[n+1:], true
}

// quotedLength is the length of the quoted string that s begins with; 0: it has no end.
func quotedLength(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// unquote takes the backslashes off what stands in quotes.
func unquote(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}

// IsUnseen knows controls, format characters (zero width, bidirectional), line and paragraph separators.
func IsUnseen(r rune) bool {
	return r < ' ' || r == 0x7f || r >= utf8.RuneSelf && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp))
}

// isAtext is atext of RFC 5322 §3.2.3 with RFC 6531's letters.
func isAtext(r rune) bool {
	if r >= utf8.RuneSelf {
		return !unicode.IsSpace(r)
	}
	return text.IsLetter(byte(r)) || text.IsDigit(byte(r)) || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", byte(r)) >= 0
}

// uLabels is IDNA 2008 without the mappings that make another name of what was written.
var uLabels = idna.New(idna.ValidateLabels(true), idna.BidiRule(), idna.CheckHyphens(false), idna.StrictDomainName(true))

// asciiDomain is a domain in lower case, U-labels as A-labels, or an address literal.
func asciiDomain(s string) (string, bool) {
	s = strings.ToLower(s)
	if strings.HasPrefix(s, "[") {
		return s, strings.HasSuffix(s, "]") && isLiteral(s[1:len(s)-1])
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) {
		ascii, err := uLabels.ToASCII(s)
		if err != nil || strings.ContainsFunc(s, func(r rune) bool { return r != '.' && !isAtext(r) }) { // which the library lets pass
			return "", false
		}
		s = ascii
	}
	if len(s) > 255 {
		return "", false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.ContainsAny(label, "'`") || strings.ContainsFunc(label, func(r rune) bool { return !isAtext(r) }) {
			return "", false
		}
	}
	return s, true
}

// isLiteral reads what stands in the brackets of an address literal (RFC 5321 §4.1.3).
func isLiteral(s string) bool {
	rest, tagged := strings.CutPrefix(s, "ipv6:")
	a, err := netip.ParseAddr(rest)
	return err == nil && a.Is6() == tagged && a.Zone() == ""
}

// String is m as it is shown and reported: as written, but without quotes that nobody needs.
func (m Mailbox) String() string {
	if m.bare || m.Local != "" && strings.Trim(m.Local, ".") == m.Local && !strings.Contains(m.Local, "..") {
		return m.unquoted() + "@" + m.Domain
	}
	return quoted(m.Local) + "@" + m.Domain
}

// unquoted is the local part, in quotes only if something in it needs them. Dots do not: where they may not stand, many put
// them all the same.
func (m Mailbox) unquoted() string {
	if m.bare || m.Local != "" && !strings.ContainsFunc(m.Local, func(r rune) bool { return r != '.' && !isAtext(r) }) {
		return m.Local
	}
	return quoted(m.Local)
}

func quoted(local string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"`
}

// Key is the form in which m is compared and remembered: in lower case, in quotes only where they are needed, the domain's
// U-labels as A-labels.
func (m Mailbox) Key() string {
	domain, _ := asciiDomain(m.Domain)
	return strings.ToLower(m.unquoted()) + "@" + domain
}

// Key is the Key of the mailbox s; of what is none, a local user's name, s in lower case.
func Key(s string) string {
	if isPlain(s) {
		return strings.ToLower(s)
	}
	if m, err := Parse(s); err == nil {
		return m.Key()
	}
	return strings.ToLower(s)
}

// isPlain says whether nothing but the case of s may be written in another way: one delivery in the log is one Key.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf || c == '"' {
			return false
		}
	}
	return !strings.HasSuffix(s, ".")
}

// Same says whether a and b name one mailbox.
func Same(a, b string) bool { return strings.EqualFold(a, b) || Key(a) == Key(b) }

// SameDomain compares the domains of two mailboxes.
func SameDomain(a, b string) bool {
	m, errA := Parse(a)
	n, errB := Parse(b)
	if errA != nil || errB != nil {
		return false
	}
	d, _ := asciiDomain(m.Domain)
	e, _ := asciiDomain(n.Domain)
	return d == e
}
