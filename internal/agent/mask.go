package agent

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// A Masker takes addresses, ids and secrets out of text that leaves the machine. The same address becomes the same word
// within one bundle, and by its key in no other.
type Masker struct{ Key []byte }

var (
	// maskedAddress is anything with an @ in it that may be an address or a Message-ID, quoted local parts too.
	maskedAddress = regexp.MustCompile(`(?:\\?"(?:[^"\\\r\n]|\\.)*?\\?"|[^\s<>()\[\],;:"'=@*]+)@([A-Za-z0-9\x{80}-\x{10FFFF}][A-Za-z0-9.\x{80}-\x{10FFFF}-]*|\[[0-9A-Fa-f:.IPv]+\])`)
	maskedUUID    = regexp.MustCompile(`(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)
	maskedLogin   = regexp.MustCompile(`(://)[^/\s@]+@`)
	maskedBearer  = regexp.MustCompile(`(?i)\b(bearer|basic|token)[\s:="]+[A-Za-z0-9+/._~-]{8,}=*`)
)

// Mask gives the text without them.
func (m Masker) Mask(text string) string {
	text = maskedLogin.ReplaceAllString(text, "${1}MASKED@")
	text = maskedBearer.ReplaceAllString(text, "$1 MASKED")
	text = maskedAddress.ReplaceAllStringFunc(text, func(address string) string {
		at := strings.LastIndexByte(address, '@')
		if local := address[:at]; local == "MASKED" || strings.HasSuffix(local, "MASKED") {
			return address
		}
		return m.word(strings.ToLower(address)) + address[at:]
	})
	return maskedUUID.ReplaceAllStringFunc(text, func(uuid string) string { return "uuid-" + m.word(strings.ToLower(uuid)) })
}

func (m Masker) word(of string) string {
	h := hmac.New(sha256.New, m.Key)
	h.Write([]byte(of))
	return "x" + hex.EncodeToString(h.Sum(nil)[:5])
}
