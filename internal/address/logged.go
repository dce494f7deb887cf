package address

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"
)

// Why what stands in a log is not believed to be one address.
var (
	ErrNoAngles    = errors.New("no address in angle brackets")
	ErrNoEnd       = errors.New("an address without its end")
	ErrTwoReadings = errors.New("an address that may end in two places")
)

// InAngles reads "<address>", as logs have it, and gives what stands behind it. A quoted local part may hold anything, also
// ">". Where it holds what ends an address in a log, two readers may see two addresses. The null sender is "<>", a local
// user has no domain.
func InAngles(b []byte) (address, rest []byte, err error) {
	if len(b) < 2 || b[0] != '<' {
		return nil, nil, ErrNoAngles
	}
	b = b[1:]
	local := 0
	if b[0] == '"' {
		if local = QuotedLength(b); local == 0 {
			return nil, nil, ErrTwoReadings
		}
		if bytes.Contains(b[:local], []byte(">, ")) {
			return nil, nil, ErrTwoReadings
		}
	}
	end := bytes.IndexByte(b[local:], '>')
	if end < 0 {
		return nil, nil, ErrNoEnd
	}
	address, rest = b[:local+end], b[local+end+1:]
	return address, rest, CheckLogged(address)
}

// QuotedLength is the length of the quoted string b begins with, if "@" or ">" follows it; 0: it is none.
func QuotedLength(b []byte) int {
	for i := 1; i+1 < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			if b[i+1] == '@' || b[i+1] == '>' {
				return i + 1
			}
			return 0
		}
	}
	return 0
}

// CheckLogged says why a, an address that stands in a log without anything around it, is not to be believed; nil: it is. Mail
// servers may log a local part without the quotes that it needs: then it holds no other address, and nothing that ends one. One
// that is words with an address among them is a line that somebody made up, for another reader of the log if not for us.
func CheckLogged(a []byte) error {
	if isSimple(a) {
		return nil
	}
	s := string(a)
	m, err := Parse(s)
	switch {
	case err == nil && strings.Contains(m.Local, " ") && strings.Contains(m.Local, "@"): // words with an address among them
		return ErrTwoReadings
	case err == nil:
		return nil
	case errors.Is(err, ErrTooLong), errors.Is(err, ErrEncoding), errors.Is(err, ErrUnseen):
		return err
	case strings.HasPrefix(s, `"`), strings.Count(s, "@") > 1, strings.ContainsAny(s, "<>"):
		return ErrTwoReadings
	}
	return nil
}

// isSimple says whether a has nothing in it that could end an address or begin another.
func isSimple(a []byte) bool {
	if len(a) > MaxLength {
		return false
	}
	ats := 0
	for _, c := range a {
		if c <= ' ' || c >= utf8.RuneSelf-1 || c == '"' || c == '<' || c == '>' {
			return false
		}
		if c == '@' {
			ats++
		}
	}
	return ats <= 1
}

// Logged is s, which CheckLogged has nothing against, as a mailbox is written: with the quotes that the log left out.
func Logged(s string) string {
	if isPlain(s) && strings.IndexByte(s, ' ') < 0 {
		return s
	}
	if m, err := Parse(s); err == nil {
		return m.String()
	}
	local, domain, found := strings.Cut(s, "@")
	if _, ok := asciiDomain(strings.TrimSuffix(domain, ".")); !found || !ok {
		return s
	}
	return Mailbox{Local: local, Domain: strings.TrimSuffix(domain, ".")}.String()
}
