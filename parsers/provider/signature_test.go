package provider

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/parsertest"
)

// A scheme signs requests as a provider would; other signs with another key.
type scheme struct {
	parser parsers.Verifier
	body   []byte
	sign   func(body []byte, at time.Time) map[string]string
	other  func(body []byte, at time.Time) map[string]string
	stale  time.Duration
	// inBody: the signature is part of the body, and sign gives the body under the key "".
	inBody bool
}

var schemes = map[string]func(*testing.T) scheme{
	"standard":  standardScheme,
	"sendgrid":  sendgridScheme,
	"copernica": copernicaScheme,
	"ses/1":     func(t *testing.T) scheme { return sesScheme(t, "1") },
	"ses/2":     func(t *testing.T) scheme { return sesScheme(t, "2") },
}

func (s scheme) request(header map[string]string, body []byte) event.Record {
	if s.inBody {
		body = []byte(header[""])
	}
	return posted(maps.Clone(header), body)
}

// posted is a request that came at parsertest.Time.
func posted(header map[string]string, body []byte) event.Record {
	return event.Record{Time: parsertest.Time, Body: body, Request: &event.Request{Method: "POST", Target: "/webhooks/service/copernica?x=1", Header: header}}
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	for name, newScheme := range schemes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScheme(t)
			if !s.parser.Keyed() {
				t.Fatal("has no key")
			}
			genuine := s.request(s.sign(s.body, parsertest.Time), s.body)
			check := func(what string, rec event.Record, why ...string) {
				t.Helper()
				err := s.parser.Verify(t.Context(), rec)
				if len(why) == 0 {
					if err != nil {
						t.Errorf("%s: %v", what, err)
					}
					return
				}
				refused, ok := errors.AsType[*event.RefusedError](err)
				if !ok || !strings.Contains(strings.Join(why, " "), refused.Why) {
					t.Errorf("%s: %v, want %q", what, err, why)
				}
			}
			check("genuine", genuine)
			check("genuine, a little late", s.request(s.sign(s.body, parsertest.Time.Add(-4*time.Minute)), s.body))
			check("forged", s.request(s.other(s.body, parsertest.Time), s.body), parsers.WhyBadSignature)
			check("old", s.request(s.sign(s.body, parsertest.Time.Add(-s.stale)), s.body), parsers.WhyStale)
			check("ahead", s.request(s.sign(s.body, parsertest.Time.Add(s.stale)), s.body), parsers.WhyStale)
			check("captured and explained", event.Record{Request: genuine.Request, Body: genuine.Body})
			unsigned := posted(nil, s.body)
			check("unsigned", unsigned, parsers.WhyNoSignature, parsers.WhyBadSignature)
			for i := range genuine.Body {
				tampered := bytes.Clone(genuine.Body)
				tampered[i] ^= 1
				if err := s.parser.Verify(t.Context(), posted(genuine.Request.Header, tampered)); !errors.Is(err, event.ErrRefused) && !sameMessage(tampered, genuine.Body) {
					t.Fatalf("byte %d changed: %v", i, err)
				}
			}
			for _, n := range []int{0, 1, len(genuine.Body) / 2, len(genuine.Body) - 2} {
				check("cut off", posted(genuine.Request.Header, genuine.Body[:n]), parsers.WhyBadSignature, event.WhyMalformed)
			}
			check("longer", posted(genuine.Request.Header, append(bytes.Clone(genuine.Body), "{}"...)), parsers.WhyBadSignature, event.WhyMalformed)
			for key := range genuine.Request.Header {
				if s.inBody {
					continue
				}
				header := maps.Clone(genuine.Request.Header)
				header[key] = ""
				check("without "+key, posted(header, genuine.Body), parsers.WhyBadSignature, parsers.WhyNoSignature, parsers.WhyStale, parsers.WhyWrongAccount)
			}
			if err := s.parser.Verify(t.Context(), genuine); err != nil {
				t.Errorf("in the end: %v", err)
			}
		})
	}
}

// sameMessage says whether a change left an SNS envelope the same in what is signed: white space, or a field that is not.
func sameMessage(a, b []byte) bool {
	x, errX := readSNS(a)
	y, errY := readSNS(b)
	return errX == nil && errY == nil && bytes.Equal(x.signed(), y.signed()) && x.Signature == y.Signature
}

// A parser without a key refuses everything, and is never asked.
func TestVerifiersWithoutAKey(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"standard", "sendgrid", "copernica", "ses"} {
		v := build(t, kind).(parsers.Verifier)
		if v.Keyed() || v.KeyNeeded() == "" {
			t.Errorf("%s has a key, or does not say which it lacks", kind)
		}
		if err := v.Verify(t.Context(), event.Record{Body: []byte("{}")}); err == nil {
			t.Errorf("%s believes anybody", kind)
		}
	}
}

func secretFile(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "secret_file: " + file
}

func newSecret() (line string, key []byte) {
	key = make([]byte, 24)
	rand.Read(key)
	return "whsec_" + base64.StdEncoding.EncodeToString(key), key
}

func signStandard(key []byte) func([]byte, time.Time) map[string]string {
	return func(body []byte, at time.Time) map[string]string {
		timestamp := strconv.FormatInt(at.Unix(), 10)
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte("msg_1." + timestamp + "."))
		mac.Write(body)
		return map[string]string{
			"Webhook-Id": "msg_1", "Webhook-Timestamp": timestamp,
			"Webhook-Signature": "v1,AAAA v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)),
		}
	}
}

func standardScheme(t *testing.T) scheme {
	old, _ := newSecret()
	line, key := newSecret()
	_, other := newSecret()
	return scheme{
		parser: build(t, "standard", secretFile(t, old, line)).(parsers.Verifier), body: genuine(t, "standard"),
		sign: signStandard(key), other: signStandard(other), stale: 6 * time.Minute,
	}
}

func TestStandardTakesBothOfTwoSecrets(t *testing.T) {
	t.Parallel()
	one, keyOne := newSecret()
	two, keyTwo := newSecret()
	p := build(t, "standard", secretFile(t, one, two)).(parsers.Verifier)
	for _, key := range [][]byte{keyOne, keyTwo} {
		if err := p.Verify(t.Context(), posted(signStandard(key)([]byte("{}"), parsertest.Time), []byte("{}"))); err != nil {
			t.Error(err)
		}
	}
}

func TestStandardDoesNotRefuseWhatItCanNotTell(t *testing.T) {
	t.Parallel()
	p := build(t, "standard", "secret_file: "+filepath.Join(t.TempDir(), "lost")).(parsers.Verifier)
	_, key := newSecret()
	err := p.Verify(t.Context(), posted(signStandard(key)([]byte("{}"), parsertest.Time), []byte("{}")))
	if err == nil || errors.Is(err, event.ErrRefused) {
		t.Errorf("%v: the sender would not come again", err)
	}
}

func sendgridScheme(t *testing.T) scheme {
	sign := func() (func([]byte, time.Time) map[string]string, string) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		return func(body []byte, at time.Time) map[string]string {
			timestamp := strconv.FormatInt(at.Unix(), 10)
			sum := sha256.Sum256(append([]byte(timestamp), body...))
			signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
			if err != nil {
				t.Fatal(err)
			}
			return map[string]string{
				"X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
				"X-Twilio-Email-Event-Webhook-Signature": base64.StdEncoding.EncodeToString(signature),
			}
		}, base64.StdEncoding.EncodeToString(der)
	}
	_, old := sign()
	right, key := sign()
	other, _ := sign()
	return scheme{
		parser: build(t, "sendgrid", "public_key: ['"+old+"', '"+key+"']").(parsers.Verifier), body: genuine(t, "sendgrid"),
		sign: right, other: other, stale: 6 * time.Minute,
	}
}

// rsaKeys are made once: that takes long.
var rsaKeys = sync.OnceValues(func() (keys [2]*rsa.PrivateKey, err error) {
	for i := range keys {
		if keys[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			break
		}
	}
	return keys, err
})

// twoRSAKeys gives a provider's key, and another.
func twoRSAKeys(t *testing.T) (key, other *rsa.PrivateKey) {
	t.Helper()
	keys, err := rsaKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys[0], keys[1]
}

// sesScheme has a certificate of its own in place of Amazon's.
func sesScheme(t *testing.T, version string) scheme {
	key, other := twoRSAKeys(t)
	p := build(t, "ses", "topics: ['arn:aws:sns:eu-west-1:123456789012:bounces']").(*ses)
	text := certificate(t, key)
	p.sns.now = func() time.Time { return parsertest.Time }
	p.sns.page = func(context.Context, string) ([]byte, error) { return text, nil }
	return scheme{
		parser: p, body: genuine(t, "ses"), sign: signSNS(t, version, key), other: signSNS(t, version, other), stale: 2 * time.Hour, inBody: true,
	}
}

// signSNS gives the signed envelope under the key "".
func signSNS(t *testing.T, version string, key *rsa.PrivateKey) func([]byte, time.Time) map[string]string {
	return func(body []byte, at time.Time) map[string]string {
		var fields map[string]string
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatal(err)
		}
		fields["Timestamp"], fields["SignatureVersion"] = at.Format("2006-01-02T15:04:05.000Z"), version
		m := snsMessage{}
		text, _ := json.Marshal(fields)
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		sum1, sum2 := sha1.Sum(m.signed()), sha256.Sum256(m.signed())
		sum, hash := sum1[:], crypto.SHA1
		if version == "2" {
			sum, hash = sum2[:], crypto.SHA256
		}
		signature, err := rsa.SignPKCS1v15(nil, key, hash, sum)
		if err != nil {
			t.Fatal(err)
		}
		fields["Signature"] = base64.StdEncoding.EncodeToString(signature)
		text, _ = json.Marshal(fields)
		return map[string]string{"": string(text)}
	}
}

// A million wrong signatures: none is believed. In short, fewer.
func TestNoWrongSignatureIsEverBelieved(t *testing.T) {
	t.Parallel()
	n := 2_000
	if s := os.Getenv("BOUNCEFEED_WRONG_SIGNATURES"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	for _, name := range []string{"standard", "sendgrid", "copernica", "ses/2"} {
		s := schemes[name](t)
		genuine := s.request(s.sign(s.body, parsertest.Time), s.body)
		for range n / 4 {
			var random [256]byte
			rand.Read(random[:])
			wrong := wrongSignature(t, name, genuine, random[:])
			if err := s.parser.Verify(t.Context(), wrong); !errors.Is(err, event.ErrRefused) {
				t.Fatalf("%s: %v\n%v", name, err, wrong.Request)
			}
		}
	}
}

func wrongSignature(t *testing.T, name string, genuine event.Record, random []byte) event.Record {
	t.Helper()
	header := maps.Clone(genuine.Request.Header)
	wrong := posted(header, genuine.Body)
	encoded := base64.StdEncoding.EncodeToString(random)
	switch name {
	case "standard":
		header["Webhook-Signature"] = "v1," + base64.StdEncoding.EncodeToString(random[:32])
	case "sendgrid":
		signature, _ := base64.StdEncoding.DecodeString(header["X-Twilio-Email-Event-Webhook-Signature"])
		signature[4+int(random[0])%(len(signature)-4)] ^= 1 + random[1]%255
		header["X-Twilio-Email-Event-Webhook-Signature"] = base64.StdEncoding.EncodeToString(signature)
	case "copernica":
		before, _, _ := strings.Cut(header["Signature"], `signature="`)
		header["Signature"] = before + `signature="` + encoded + `"`
	case "ses/2":
		var fields map[string]string
		if err := json.Unmarshal(genuine.Body, &fields); err != nil {
			t.Fatal(err)
		}
		fields["Signature"] = encoded
		wrong.Body, _ = json.Marshal(fields)
	}
	return wrong
}
