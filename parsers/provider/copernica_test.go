package provider

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/parsertest"
)

const (
	copernicaKeyID   = "one._domainkey.copernica.com"
	copernicaHeaders = "(request-target) host date content-length content-type x-copernica-id digest x-nonce"
)

func copernicaScheme(t *testing.T) scheme {
	key, other := twoRSAKeys(t)
	p := build(t, "copernica", "accounts: [account-123, environment-45]", "hosts: bounces.example.com").(*copernica)
	p.keys.now = func() time.Time { return parsertest.Time }
	p.keys.lookup = func(_ context.Context, name string) ([]string, time.Duration, error) {
		if name != copernicaKeyID {
			t.Errorf("asks the DNS for %s", name)
		}
		return []string{"other text", dkimRecord(t, key)}, time.Hour, nil
	}
	return scheme{
		parser: p, body: genuine(t, "copernica"), sign: signCopernica(t, key, nil), other: signCopernica(t, other, nil), stale: 6 * time.Minute,
	}
}

func dkimRecord(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}

// signCopernica signs as Copernica does; change, if set, may spoil the request before.
func signCopernica(t *testing.T, key *rsa.PrivateKey, change func(header map[string]string, s *cavage)) func([]byte, time.Time) map[string]string {
	return func(body []byte, at time.Time) map[string]string {
		sum := sha256.Sum256(body)
		header := map[string]string{
			"Host": "bounces.example.com:443",
			"Date": at.UTC().Format(http.TimeFormat), "Content-Type": "application/x-www-form-urlencoded", "X-Copernica-Id": "account-123",
			"Content-Length": fmt.Sprint(len(body)), "X-Nonce": "n1", "Digest": "SHA-256=" + base64.StdEncoding.EncodeToString(sum[:]),
		}
		s := cavage{keyID: copernicaKeyID, algorithm: "rsa-sha256", headers: strings.Fields(copernicaHeaders)}
		if change != nil {
			change(header, &s)
		}
		text := sha256.Sum256(s.signed(posted(header, nil)))
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, text[:])
		if err != nil {
			t.Fatal(err)
		}
		folded := base64.StdEncoding.EncodeToString(signature)
		header["Signature"] = fmt.Sprintf(`keyId="%s",algorithm="%s", headers="%s",signature="%s"`, s.keyID, s.algorithm, strings.Join(s.headers, " "), folded[:64]+" "+folded[64:])
		return header
	}
}

// Rightly signed, and not to be believed all the same.
func TestCopernicaChecksWhatIsSigned(t *testing.T) {
	t.Parallel()
	key, _ := twoRSAKeys(t)
	body := genuine(t, "copernica")
	for what, c := range map[string]struct {
		change func(header map[string]string, s *cavage)
		why    string // "" is fine
	}{
		"in capitals": {func(m map[string]string, s *cavage) {
			s.keyID = strings.ToUpper(s.keyID)
			m["Host"] = "Bounces.Example.COM"
		}, ""},
		"another account":   {func(m map[string]string, _ *cavage) { m["X-Copernica-Id"] = "account-124" }, parsers.WhyWrongAccount},
		"another host":      {func(m map[string]string, _ *cavage) { m["Host"] = "other.example.com" }, parsers.WhyWrongAccount},
		"another domain":    {func(_ map[string]string, s *cavage) { s.keyID = "one._domainkey.example.com" }, parsers.WhyBadSignature},
		"a like domain":     {func(_ map[string]string, s *cavage) { s.keyID = "one.notcopernica.com" }, parsers.WhyBadSignature},
		"a path for a name": {func(_ map[string]string, s *cavage) { s.keyID = "x/../a.copernica.com" }, parsers.WhyBadSignature},
		"another algorithm": {func(_ map[string]string, s *cavage) { s.algorithm = "hmac-sha256" }, parsers.WhyBadSignature},
		"digest of another": {func(m map[string]string, _ *cavage) {
			m["Digest"] = "SHA-256=" + base64.StdEncoding.EncodeToString(make([]byte, 32))
		}, parsers.WhyBadSignature},
		"no digest":       {func(m map[string]string, _ *cavage) { m["Digest"] = "" }, parsers.WhyBadSignature},
		"weak digest":     {func(m map[string]string, _ *cavage) { m["Digest"] = "MD5=AAAA" }, parsers.WhyBadSignature},
		"digests":         {func(m map[string]string, _ *cavage) { m["Digest"] = "MD5=AAAA, " + m["Digest"] }, ""},
		"no date":         {func(m map[string]string, _ *cavage) { m["Date"] = "" }, parsers.WhyStale},
		"target unsigned": {func(_ map[string]string, s *cavage) { s.headers = s.headers[1:] }, parsers.WhyBadSignature},
		"digest unsigned": {func(_ map[string]string, s *cavage) {
			s.headers = strings.Fields("(request-target) host date x-copernica-id")
		}, parsers.WhyBadSignature},
		"least": {func(_ map[string]string, s *cavage) {
			s.headers = strings.Fields("(request-target) Host DATE x-copernica-id digest")
			s.headers[1], s.headers[2] = "host", "date"
		}, ""},
	} {
		p := build(t, "copernica", "accounts: account-123", "hosts: bounces.example.com").(*copernica)
		p.keys.lookup = func(context.Context, string) ([]string, time.Duration, error) {
			return []string{dkimRecord(t, key)}, time.Hour, nil
		}
		err := p.Verify(t.Context(), posted(signCopernica(t, key, c.change)(body, parsertest.Time), body))
		refused, _ := errors.AsType[*event.RefusedError](err)
		if c.why == "" && err != nil || c.why != "" && (refused == nil || refused.Why != c.why) {
			t.Errorf("%s: %v, want %q", what, err, c.why)
		}
	}
}

func TestCopernicaKeyIsKnownForItsTTL(t *testing.T) {
	t.Parallel()
	old, next := twoRSAKeys(t)
	now, asked, published := parsertest.Time, 0, old
	var trouble error
	p := build(t, "copernica", "accounts: account-123", "hosts: bounces.example.com").(*copernica)
	p.keys.now = func() time.Time { return now }
	p.keys.lookup = func(context.Context, string) ([]string, time.Duration, error) {
		asked++
		if published == nil {
			return nil, 0, &net.DNSError{IsNotFound: true}
		}
		return []string{dkimRecord(t, published)}, time.Hour, trouble
	}
	body := []byte("type=click")
	verify := func(key *rsa.PrivateKey) error {
		rec := posted(signCopernica(t, key, nil)(body, now), body)
		rec.Time = now
		return p.Verify(t.Context(), rec)
	}
	step := func(what string, key *rsa.PrivateKey, ok bool, lookups int) {
		t.Helper()
		before := asked
		if err := verify(key); (err == nil) != ok || asked-before != lookups {
			t.Errorf("%s: %v, %d lookups", what, err, asked-before)
		}
	}
	step("first", old, true, 1)
	step("known", old, true, 0)
	step("forged, just asked", next, false, 0)
	published, now = next, now.Add(2*time.Minute)
	step("rotated", next, true, 1)
	step("the old one", old, false, 0)
	now = now.Add(61 * time.Minute)
	step("TTL over", next, true, 1)
	published, now = nil, now.Add(2*time.Hour)
	step("withdrawn", next, false, 1)
	step("withdrawn, known", next, false, 0)
	now, published, trouble = now.Add(2*time.Hour), next, errors.New("no answer")
	if err := verify(next); err == nil || errors.Is(err, event.ErrRefused) {
		t.Errorf("DNS in trouble: %v", err)
	}
}

// serveTXT is a name server that answers everything with one record.
func serveTXT(t *testing.T, text string, ttl uint32) (address string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			conn.WriteTo(txtAnswer(buf[:n], text, ttl), from)
		}
	}()
	return conn.LocalAddr().String()
}

func txtAnswer(query []byte, text string, ttl uint32) []byte {
	end := skipName(query, 12) + 4
	a := append([]byte(nil), query[:end]...)
	a[2], a[3] = 0x81, 0x80
	a[6], a[7] = 0, 1
	a[8], a[9], a[10], a[11] = 0, 0, 0, 0
	var data []byte
	for len(text) > 0 {
		n := min(len(text), 255)
		data = append(append(data, byte(n)), text[:n]...)
		text = text[n:]
	}
	a = append(a, 0xC0, 12, 0, 16, 0, 1)
	a = binary.BigEndian.AppendUint32(a, ttl)
	a = binary.BigEndian.AppendUint16(a, uint16(len(data)))
	return append(a, data...)
}

func TestCopernicaKeyFromTheDNS(t *testing.T) {
	t.Parallel()
	key, _ := twoRSAKeys(t)
	server := serveTXT(t, dkimRecord(t, key), 1234)
	p := build(t, "copernica", "accounts: account-123", "hosts: bounces.example.com").(*copernica)
	var ttl time.Duration
	p.keys.lookup = func(ctx context.Context, name string) (records []string, _ time.Duration, err error) {
		records, ttl, err = lookupTXTAt(ctx, name, server)
		return records, ttl, err
	}
	body := []byte("type=click")
	if err := p.Verify(t.Context(), posted(signCopernica(t, key, nil)(body, parsertest.Time), body)); err != nil || ttl != 1234*time.Second {
		t.Errorf("%v, TTL %s", err, ttl)
	}
}

// The header of a request, and the DNS's answer to the question for a key: what they say is not signed yet.
func FuzzCopernicaSignature(f *testing.F) {
	seed := []byte(`keyId="one._domainkey.copernica.com",algorithm="rsa-sha256",headers="host date",signature="AAAA"`)
	parsertest.FuzzSeeds(f, [][]byte{seed}, func(testing.TB) parsertest.Check {
		return func(t testing.TB, header []byte) {
			s, err := readCavage(string(header))
			if err == nil && len(s.signature) == 0 {
				t.Error("no signature, no error")
			}
			if err != nil && !errors.Is(err, event.ErrRefused) {
				t.Error(err)
			}
		}
	})
}

func FuzzCopernicaAnswer(f *testing.F) {
	seed := []byte("\x00\x01\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x00\x00\x10\x00\x01\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x3c\x00\x02\x01x")
	parsertest.FuzzSeeds(f, [][]byte{seed}, func(testing.TB) parsertest.Check {
		return func(t testing.TB, answer []byte) {
			if ttl, ok := answerTTL(answer); ttl < 0 || !ok && ttl != 0 {
				t.Errorf("TTL %s", ttl)
			}
		}
	})
}

// The examples of draft-cavage-http-signatures-10, appendix C, with its key.
func TestCavageSignedText(t *testing.T) {
	t.Parallel()
	key, err := rsaPublicKey(`-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDCFENGw33yGihy92pDjZQhl0C3
6rPJj+CvfSC8+q28hxA161QFNUd13wuCTUcq0Qd2qsBe/2hFyc2DCJJg0h1L78+6
Z4UMR7EOcpfdUE9Hf3m/hs+FUR45uBJeDK1HSFHD8bHKD6kv8FPGfJTotc+2xjJw
oYi+1hqp1fIekaxsyQIDAQAB
-----END PUBLIC KEY-----`)
	if err != nil {
		t.Fatal(err)
	}
	rec := event.Record{Body: []byte(`{"hello": "world"}`), Request: &event.Request{
		Method: "POST", Target: "/foo?param=value&pet=dog", Header: map[string]string{
			"Host": "example.com", "Date": "Sun, 05 Jan 2014 21:31:40 GMT", "Content-Type": "application/json",
			"Digest": "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=", "Content-Length": "18",
		},
	}}
	if !digestMatches(rec.Request.Field("Digest"), rec.Body) {
		t.Error("the digest does not match")
	}
	for headers, c := range map[string]struct{ signature, text string }{
		"(request-target) host date": {"qdx+H7PHHDZgy4y/Ahn9Tny9V3GP6YgBPyUXMmoxWtLbHpUnXS2mg2+SbrQDMCJypxBLSPQR2aAjn7ndmw2iicw3HMbe8VfEdKFYRqzic+efkb3nndiv/x1xSHDJWeSWkx3ButlYSuBskLu6kd9Fswtemr3lgdDEmn04swr2Os0=", "(request-target): post /foo?param=value&pet=dog\nhost: example.com\ndate: Sun, 05 Jan 2014 21:31:40 GMT"},
		"(request-target) host date content-type digest content-length": {"vSdrb+dS3EceC9bcwHSo4MlyKS59iFIrhgYkz8+oVLEEzmYZZvRs8rgOp+63LEM3v+MFHB32NfpB2bEKBIvB1q52LaEUHFv120V01IL+TAD48XaERZFukWgHoBTLMhYS2Gb51gWxpeIq8knRmPnYePbF5MOkR0Zkly4zKH7s1dE=",
			"(request-target): post /foo?param=value&pet=dog\nhost: example.com\ndate: Sun, 05 Jan 2014 21:31:40 GMT\n" +
				"content-type: application/json\ndigest: SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=\ncontent-length: 18"},
	} {
		s, err := readCavage(`keyId="Test",algorithm="rsa-sha256",headers="` + headers + `",signature="` + c.signature + `"`)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(s.signed(rec)); got != c.text {
			t.Errorf("%q, want %q", got, c.text)
		}
		sum := sha256.Sum256(s.signed(rec))
		if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], s.signature); err != nil {
			t.Errorf("%s: %v", headers, err)
		}
	}
}

// What came back may name others beside the recipient, or an address that the recipient's mail was forwarded to.
func TestCopernicaKnowsTheRecipient(t *testing.T) {
	t.Parallel()
	report := func(recipients ...string) string {
		mime := "From: mailer-daemon@mx.example\nSubject: Undelivered\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n" +
			"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n"
		for i, r := range recipients {
			mime += fmt.Sprintf("\nFinal-Recipient: rfc822; %s\nAction: failed\nStatus: 5.%d.1\nDiagnostic-Code: smtp; 550 5.%d.1 no\n", r, i+1, i+1)
		}
		return mime + "--b--\n"
	}
	for what, c := range map[string]struct {
		mime, recipient  string
		status, original string
	}{
		"one":                {report("jo@example.org"), "jo@example.org", "5.1.1", ""},
		"in other letters":   {report("jo@EXAMPLE.org"), "jo@example.org", "5.1.1", ""},
		"the second of two":  {report("ann@example.org", "jo@example.org"), "jo@example.org", "5.2.1", ""},
		"forwarded":          {report("ann@example.net"), "jo@example.org", "5.1.1", "ann@example.net"},
		"forwarded, to two":  {report("ann@example.net", "bob@example.net"), "jo@example.org", "5.1.1", "ann@example.net"},
		"no recipient given": {report("jo@example.org"), "", "5.1.1", ""},
	} {
		body := url.Values{"type": {"bounce"}, "id": {"1"}, "recipient": {c.recipient}, "mime": {c.mime}}.Encode()
		events, refused := parseBody(t, build(t, "copernica"), []byte(body))
		if len(events) != 1 || len(refused) > 0 {
			t.Errorf("%s: %d events, refused %q", what, len(events), refused)
			continue
		}
		if e := events[0]; e.Recipient != "jo@example.org" || e.Status != c.status || e.OriginalRecipient != c.original {
			t.Errorf("%s: %q, originally %q, status %s", what, e.Recipient, e.OriginalRecipient, e.Status)
		}
	}
}

func TestCavageHeader(t *testing.T) {
	t.Parallel()
	for header, why := range map[string]string{
		``:                           parsers.WhyNoSignature,
		` `:                          parsers.WhyNoSignature,
		`keyId="a",signature="AAAA"`: "",
		`keyId="a" , signature="AA AA" , headers="x"`: "",
		`keyId="a",signature=""`:                      parsers.WhyBadSignature,
		`keyId="a"`:                                   parsers.WhyBadSignature,
		`keyId="a",signature="!"`:                     parsers.WhyBadSignature,
		`keyId="a",KEYID="b",signature="AAAA"`:        parsers.WhyBadSignature,
		`keyId="a",signature="AAAA`:                   parsers.WhyBadSignature,
		`keyId=a,signature="AAAA"`:                    parsers.WhyBadSignature,
	} {
		_, err := readCavage(header)
		if refused, ok := errors.AsType[*event.RefusedError](err); ok != (why != "") || ok && refused.Why != why {
			t.Errorf("%s: %v, want %q", header, err, why)
		}
	}
}

// What came to an address that anybody may write to says nothing by itself, though Copernica vouches for the request.
func TestCopernicaDoesNotVouchForTheMail(t *testing.T) {
	t.Parallel()
	p := build(t, "copernica")
	const report = "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n" +
		"Final-Recipient: rfc822; victim@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"
	const complaint = "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: x\r\nVersion: 1\r\nOriginal-Rcpt-To: victim@example.org\r\n\r\n" +
		"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nTo: victim@example.org\r\nMessage-ID: <1@news.example.com>\r\n\r\n--b--\r\n"
	for what, c := range map[string]struct {
		fields     url.Values
		needsProof bool
	}{
		"abuse":                    {url.Values{"type": {"abuse"}, "mime": {complaint}}, true},
		"abuse of somebody":        {url.Values{"type": {"abuse"}, "recipient": {"jo@example.org"}, "mime": {complaint}}, true},
		"bounce of nobody":         {url.Values{"type": {"bounce"}, "mime": {report}}, true},
		"bounce of who it went to": {url.Values{"type": {"bounce"}, "recipient": {"jo@example.org"}, "mime": {report}}, false},
		"failure":                  {url.Values{"type": {"failure"}, "recipient": {"jo@example.org"}, "code": {"550"}}, false},
	} {
		events, refused := parseBody(t, p, []byte(c.fields.Encode()))
		if len(events) != 1 || len(refused) > 0 || events[0].NeedsProof != c.needsProof {
			t.Errorf("%s: %+v %q", what, events, refused)
		}
	}
}
