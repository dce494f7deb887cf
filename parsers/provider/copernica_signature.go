package provider

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"slices"
	"strings"

	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
	"bouncefeed/parsers"
)

// cavage is a Signature header after draft-cavage-http-signatures:
//
//	keyId="one._domainkey.copernica.com",algorithm="rsa-sha256",headers="(request-target) host date digest",signature="base64"
type cavage struct {
	keyID, algorithm string
	headers          []string // in lower case
	signature        []byte
}

func readCavage(header string) (*cavage, error) {
	if strings.TrimSpace(header) == "" {
		return nil, event.Refuse(parsers.WhyNoSignature, "no Signature header")
	}
	values := map[string]string{}
	for rest := header; strings.TrimSpace(rest) != ""; {
		name, after, found := strings.Cut(rest, `="`)
		value, behind, closed := strings.Cut(after, `"`)
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := values[name]; !found || !closed || twice {
			return nil, event.Refuse(parsers.WhyBadSignature, "a Signature header that can't be read, or in two ways")
		}
		values[name] = value
		rest = strings.TrimPrefix(strings.TrimSpace(behind), ",")
	}
	signature, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(values["signature"]), "")) // it may be folded
	if err != nil || len(signature) == 0 {
		return nil, event.Refuse(parsers.WhyBadSignature, "a signature that is not base64")
	}
	return &cavage{
		keyID: values["keyid"], algorithm: strings.ToLower(values["algorithm"]),
		headers: strings.Fields(strings.ToLower(values["headers"])), signature: signature,
	}, nil
}

func (c *cavage) covers(names []string) bool {
	for _, name := range names {
		if !slices.Contains(c.headers, name) {
			return false
		}
	}
	return true
}

// signed is the text over which the signature of rec is made (§2.3).
func (c *cavage) signed(rec event.Record) []byte {
	lines := make([]string, len(c.headers))
	for i, name := range c.headers {
		value := rec.Request.Field(name)
		if name == "(request-target)" && rec.Request != nil {
			value = strings.ToLower(rec.Request.Method) + " " + rec.Request.Target
		}
		lines[i] = name + ": " + strings.TrimSpace(value)
	}
	return []byte(strings.Join(lines, "\n"))
}

// digestMatches reads "SHA-256=base64", also among others (RFC 3230, RFC 5843).
func digestMatches(header string, body []byte) bool {
	sum := sha256.Sum256(body)
	for one := range strings.SplitSeq(header, ",") {
		algorithm, value, _ := strings.Cut(strings.TrimSpace(one), "=")
		if strings.EqualFold(algorithm, "SHA-256") {
			given, err := base64.StdEncoding.DecodeString(value)
			return err == nil && subtle.ConstantTimeCompare(given, sum[:]) == 1
		}
	}
	return false
}

// freshDate holds the Date header to five minutes.
func freshDate(rec event.Record) error {
	signed, err := http.ParseTime(rec.Request.Field("Date"))
	if err != nil {
		return event.Refuse(parsers.WhyStale, "no Date that can be read")
	}
	return fresh(signed, rec)
}

// hostOnly takes the port off, and makes the name comparable.
func hostOnly(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func isHostname(s string) bool {
	for i := range len(s) {
		if c := s[i]; !text.IsDigit(c) && !('a' <= c && c <= 'z') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return s != "" && len(s) <= 253 && s[0] != '.' && !strings.Contains(s, "..")
}
