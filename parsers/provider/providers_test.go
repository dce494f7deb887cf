package provider

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/address"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/parsertest"
)

// providers are the formats whose requests are JSON of the provider's own; the first of their testdata is a failure.
var providers = []string{
	"azure", "brevo", "forwardemail", "lettermint", "mailersend", "mailgun", "mailjet", "postal", "postmark", "resend", "sendgrid", "sparkpost",
}

// A new provider is held to what all of them are held to.
func TestNoProviderIsForgotten(t *testing.T) {
	t.Parallel()
	others := []string{"copernica", "native", "ses", "standard"} // forms, and JSON that is not the provider's own
	want := slices.Sorted(slices.Values(slices.Concat(providers, others)))
	if kinds := parsertest.Fuzzed(t, "."); !slices.Equal(kinds, want) {
		t.Errorf("this package has %q, of which the tests know %q", kinds, want)
	}
}

// genuine is a provider's own request.
func genuine(t testing.TB, kind string) []byte {
	t.Helper()
	body, err := os.ReadFile(parsertest.Inputs(t, kind)[0])
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func build(t testing.TB, kind string, lines ...string) parsers.Parser {
	t.Helper()
	return parsertest.Build(t, config.Env{}, kind, lines...)
}

func parseBody(t testing.TB, p parsers.Parser, body []byte) (events []event.Event, refused []string) {
	t.Helper()
	return parsertest.Read(t, p, event.Record{Time: parsertest.Time, Body: body})
}

func eachProvider(t *testing.T, f func(t *testing.T, p parsers.Parser, body []byte)) {
	for _, kind := range providers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f(t, build(t, kind), genuine(t, kind))
		})
	}
}

// batch puts items, objects or arrays of them, into one array.
func batch(items ...[]byte) []byte {
	var inner [][]byte
	for _, item := range items {
		item = bytes.TrimSpace(item)
		if item[0] == '[' {
			item = bytes.TrimSpace(item[1 : len(item)-1])
		}
		inner = append(inner, item)
	}
	return append(append([]byte("["), bytes.Join(inner, []byte(","))...), ']')
}

func TestProvidersTakeTheGoodOfABatch(t *testing.T) {
	t.Parallel()
	eachProvider(t, func(t *testing.T, p parsers.Parser, body []byte) {
		alone, refused := parseBody(t, p, body)
		if len(refused) > 0 || len(alone) == 0 {
			t.Fatalf("%d events, %q", len(alone), refused)
		}
		for name, c := range map[string]struct{ broken, why string }{
			"no object":      {`"text"`, event.WhyMalformed},
			"null":           {`null`, event.WhyMalformed},
			"duplicate keys": {`{"event":"a","EVENT":"b"}`, event.WhyTwoReadings},
			"too deep":       {`{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, event.WhyTooDeep},
		} {
			events, refused := parseBody(t, p, batch([]byte(c.broken), body))
			if len(refused) != 1 || refused[0] != c.why {
				t.Errorf("%s: refused %v, want %s", name, refused, c.why)
			}
			if !reflect.DeepEqual(events, alone) {
				t.Errorf("%s took the good item with it: %v", name, events)
			}
		}
	})
}

func TestProvidersRefuseWhatIsCutOff(t *testing.T) {
	t.Parallel()
	eachProvider(t, func(t *testing.T, p parsers.Parser, body []byte) {
		body = bytes.TrimSpace(body)
		whole, _ := parseBody(t, p, body)
		for n := range body {
			events, refused := parseBody(t, p, body[:n])
			if len(refused) == 0 || len(events) > 0 && (body[0] != '[' || !reflect.DeepEqual(events, whole[:len(events)])) {
				t.Fatalf("%d of %d bytes: %d events, %q", n, len(body), len(events), refused)
			}
		}
	})
}

// A value of another type may cost the item; it never makes another event of it, nor a panic.
func TestProvidersTakeNoOtherTypes(t *testing.T) {
	t.Parallel()
	eachProvider(t, func(t *testing.T, p parsers.Parser, body []byte) {
		for _, other := range []any{nil, true, 3.0, -1e300, "x", []any{}, []any{map[string]any{}}, map[string]any{"a": "b"}} {
			eachLeaf(t, body, other, func(changed []byte) {
				events, _ := parseBody(t, p, changed)
				for _, e := range events {
					if e.Recipient == "" && e.SubscriberUUID == "" || e.Recipient != "" && !address.Valid(e.Recipient) || e.Time.IsZero() {
						t.Errorf("%v made of\n%s", e, changed)
					}
				}
			})
		}
	})
}

// eachLeaf gives body once for every value in it, with other in that place.
func eachLeaf(t *testing.T, body []byte, other any, f func([]byte)) {
	var doc any
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	try := func() {
		changed, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		f(changed)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, old := range v {
				v[k] = other
				try()
				v[k] = old
				walk(old)
			}
		case []any:
			for i, old := range v {
				v[i] = other
				try()
				v[i] = old
				walk(old)
			}
		}
	}
	walk(doc)
}

func TestProvidersKnowARepeat(t *testing.T) {
	t.Parallel()
	eachProvider(t, func(t *testing.T, p parsers.Parser, body []byte) {
		first, _ := parseBody(t, p, body)
		again, _ := parseBody(t, p, body)
		for i := range first {
			if first[i].ID = first[i].MakeID(); first[i].ID != again[i].MakeID() || !reflect.DeepEqual(first[i].Keys(), again[i].Keys()) {
				t.Errorf("the same request twice is two events: %v", first[i])
			}
		}
		ids := map[string]bool{}
		for _, e := range first {
			ids[e.ProviderID] = e.ProviderID != ""
		}
		if len(ids) > 1 && len(ids) != len(first) {
			t.Errorf("%d ids of %d events", len(ids), len(first))
		}
	})
}

func TestProvidersComeAsJSON(t *testing.T) {
	t.Parallel()
	eachProvider(t, func(t *testing.T, p parsers.Parser, _ []byte) {
		if w, ok := p.(parsers.Web); !ok || w.ContentTypes()[0] != "application/json" {
			t.Error("another Content-Type")
		}
	})
}

const (
	keyOld = "the-old-signing-key"
	keyNew = "the-new-signing-key"
)

// signed is a request as its provider would sign it at the time when.
func signed(kind, key string, body []byte, when time.Time) event.Record {
	unix := strconv.FormatInt(when.Unix(), 10)
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	header := map[string]string{"Content-Type": "application/json"}
	switch kind {
	case "forwardemail":
		header["X-Webhook-Signature"] = hex.EncodeToString(mac(string(body)))
	case "mailersend":
		header["Signature"] = hex.EncodeToString(mac(string(body)))
	case "lettermint":
		header["X-Lettermint-Signature"] = "t=" + unix + ",v1=" + hex.EncodeToString(mac(unix+"."+string(body)))
	case "resend":
		header["Svix-Id"], header["Svix-Timestamp"] = "msg_1", unix
		header["Svix-Signature"] = "v1," + base64.StdEncoding.EncodeToString(mac("msg_1."+unix+"."+string(body)))
	case "mailgun":
		const token = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f607182"
		var doc map[string]json.RawMessage
		if json.Unmarshal(body, &doc) == nil {
			doc["signature"] = fmt.Appendf(nil, `{"timestamp":"%s","token":"%s","signature":"%x"}`, unix, token, mac(unix+token))
			body, _ = json.Marshal(doc)
		}
	}
	return posted(header, body)
}

// secretLine is how the admin writes a key down.
func secretLine(kind, key string) string {
	if kind == "resend" {
		return "whsec_" + base64.StdEncoding.EncodeToString([]byte(key))
	}
	return key
}

func TestProvidersVerify(t *testing.T) {
	t.Parallel()
	for kind, dated := range map[string]bool{"forwardemail": false, "mailersend": false, "lettermint": true, "resend": true, "mailgun": true} {
		t.Run(kind, func(t *testing.T) {
			secret := filepath.Join(t.TempDir(), "secret")
			v := parsertest.Build(t, config.Env{Retain: 15 * 24 * time.Hour}, kind, "secret_file: "+secret).(parsers.Verifier)
			check := func(what, want string, rec event.Record) {
				t.Helper()
				err := v.Verify(context.Background(), rec)
				if refused, ok := errors.AsType[*event.RefusedError](err); err != nil != (want != "") || ok && refused.Why != want {
					t.Errorf("%s: %v, want %q", what, err, want)
				}
			}
			body := genuine(t, kind)
			if err := v.Verify(context.Background(), signed(kind, keyNew, body, parsertest.Time)); err == nil || errors.Is(err, event.ErrRefused) {
				t.Errorf("without its secret's file: %v, want an error that asks to try again", err)
			}
			if err := os.WriteFile(secret, []byte(secretLine(kind, keyOld)+"\n"+secretLine(kind, keyNew)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			check("genuine", "", signed(kind, keyNew, body, parsertest.Time))
			check("genuine, by the other key", "", signed(kind, keyOld, body, parsertest.Time))
			check("forged", parsers.WhyBadSignature, signed(kind, "guessed-signing-key", body, parsertest.Time))
			check("unsigned", parsers.WhyNoSignature, event.Record{Time: parsertest.Time, Body: []byte(`{}`)})
			tampered := signed(kind, keyNew, body, parsertest.Time)
			tampered.Body = bytes.Replace(tampered.Body, []byte("0"), []byte("1"), 1)
			if kind == "mailgun" { // only its token is signed
				tampered.Body = bytes.Replace(tampered.Body, []byte(`"0a1b`), []byte(`"0a1c`), 1)
			}
			check("tampered", parsers.WhyBadSignature, tampered)
			if dated {
				check("4 minutes old", "", signed(kind, keyNew, body, parsertest.Time.Add(-4*time.Minute)))
				check("stale", parsers.WhyStale, signed(kind, keyNew, body, parsertest.Time.Add(-6*time.Minute)))
				check("ahead", parsers.WhyStale, signed(kind, keyNew, body, parsertest.Time.Add(6*time.Minute)))
			}
			cut := signed(kind, keyNew, body, parsertest.Time)
			cut.Body = cut.Body[:len(cut.Body)/2]
			if err := v.Verify(context.Background(), cut); !errors.Is(err, event.ErrRefused) {
				t.Errorf("truncated: %v", err)
			}
			if !v.Keyed() || build(t, kind).(parsers.Verifier).Keyed() || v.KeyNeeded() != "secret_file" {
				t.Error("Keyed says otherwise")
			}
		})
	}
}

// Who signs no time is held to the one that stands in the body.
func TestBodiesWithoutASignedTimeGrowStale(t *testing.T) {
	t.Parallel()
	for kind, body := range map[string]string{
		"forwardemail": `{"recipient":"jo@example.org","bounced_at":"%s"}`,
		"mailersend":   `{"type":"activity.hard_bounced","created_at":"%s"}`,
		"postal":       `{"event":"MessageDeliveryFailed","timestamp":"%s","payload":{"timestamp":1}}`,
	} {
		verify := func(body string, came time.Time, retain time.Duration) error {
			secret := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(secret, []byte(keyNew+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			rec := signed(kind, keyNew, []byte(body), parsertest.Time)
			rec.Time = came
			if kind != "postal" {
				return parsertest.Build(t, config.Env{Retain: retain}, kind, "secret_file: "+secret).(parsers.Verifier).Verify(t.Context(), rec)
			}
			key, _ := twoRSAKeys(t)
			der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(rec.Body)
			signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
			if err != nil {
				t.Fatal(err)
			}
			rec.Request.Header["X-Postal-Signature-256"] = base64.StdEncoding.EncodeToString(signature)
			p := parsertest.Build(t, config.Env{Retain: retain}, kind, `public_key: "p=`+base64.StdEncoding.EncodeToString(der)+`"`)
			return p.(parsers.Verifier).Verify(t.Context(), rec)
		}
		const day = 24 * time.Hour
		written := func(ago time.Duration) string {
			return fmt.Sprintf(body, parsertest.Time.Add(-ago).Format(time.RFC3339))
		}
		for what, c := range map[string]struct {
			body  string
			came  time.Time
			stale bool
		}{
			"fresh":                      {written(time.Minute), parsertest.Time, false},
			"sent again after an outage": {written(14 * day), parsertest.Time, false},
			"replayed":                   {written(16 * day), parsertest.Time, true},
			"one of two":                 {"[" + written(0) + "," + written(16*day) + "]", parsertest.Time, true},
			"far ahead":                  {written(-2 * day), parsertest.Time, true},
			"without a time":             {fmt.Sprintf(body, ""), parsertest.Time, true},
			"without one that is one":    {fmt.Sprintf(body, "yesterday"), parsertest.Time, true},
			"captured and explained":     {written(16 * day), time.Time{}, false},
		} {
			err := verify(c.body, c.came, 15*day)
			if refused, ok := errors.AsType[*event.RefusedError](err); (err != nil) != c.stale || ok && refused.Why != parsers.WhyStale {
				t.Errorf("%s, %s: %v", kind, what, err)
			}
		}
	}
}

// Timestamp and token are signed as one text: its parts must not be divided anew.
func TestMailgunTimestampIsTenDigits(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(keyNew+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := build(t, "mailgun", "secret_file: "+secret).(parsers.Verifier)
	unix := strconv.FormatInt(parsertest.Time.Unix(), 10)
	for _, c := range []struct{ timestamp, token, why string }{
		{`"` + unix + `"`, "123e3a", ""},
		{unix, "123e3a", ""},
		{`"` + unix + `123"`, "e3a", parsers.WhyBadSignature}, // milliseconds
		{`"` + unix + `123e3"`, "a", parsers.WhyBadSignature},
		{unix + `123e3`, "a", parsers.WhyBadSignature},
		{`"` + unix[:9] + `"`, unix[9:] + "123e3a", parsers.WhyBadSignature},
		{`"+` + unix + `"`, "123e3a", parsers.WhyBadSignature},
		{`"` + unix + `.0"`, "123e3a", parsers.WhyBadSignature},
	} {
		mac := hmac.New(sha256.New, []byte(keyNew))
		mac.Write([]byte(strings.Trim(c.timestamp, `"`) + c.token))
		body := fmt.Appendf(nil, `{"signature":{"timestamp":%s,"token":"%s","signature":"%x"}}`, c.timestamp, c.token, mac.Sum(nil))
		err := v.Verify(t.Context(), posted(nil, body))
		if refused, ok := errors.AsType[*event.RefusedError](err); err != nil != (c.why != "") || ok && refused.Why != c.why {
			t.Errorf("%s %s: %v, want %q", c.timestamp, c.token, err, c.why)
		}
	}
}

// Mailgun signs a token, not the body: with a captured one anything could be said, once.
func TestMailgunTokenIsUsedOnce(t *testing.T) {
	t.Parallel()
	body := genuine(t, "mailgun")
	other := bytes.ReplaceAll(bytes.ReplaceAll(body, []byte("jo@example.org"), []byte("mia@example.org")), []byte("G9Bn5sl1"), []byte("XXXXXXXX"))
	p := build(t, "mailgun")
	first, _ := parseBody(t, p, body)
	second, _ := parseBody(t, p, other)
	if first[0].Recipient == second[0].Recipient || first[0].ProviderID != second[0].ProviderID {
		t.Errorf("%v and %v", first[0], second[0])
	}
}

func TestPostalVerify(t *testing.T) {
	t.Parallel()
	key, _ := twoRSAKeys(t)
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	body := genuine(t, "postal")
	sum256, sum1 := sha256.Sum256(body), sha1.Sum(body)
	sign := func(hash crypto.Hash, sum []byte) string {
		s, err := rsa.SignPKCS1v15(nil, key, hash, sum)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(s)
	}
	by256, by1 := sign(crypto.SHA256, sum256[:]), sign(crypto.SHA1, sum1[:])
	record := "v=DKIM1; t=s; h=sha256; p=" + base64.StdEncoding.EncodeToString(der) + ";"
	inPEM := strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	for _, form := range []string{strconv.Quote(record), strconv.Quote(inPEM), "[" + strconv.Quote(record) + "]"} {
		v := build(t, "postal", "public_key: "+form).(parsers.Verifier)
		for what, c := range map[string]struct {
			header map[string]string
			body   []byte
			want   string
		}{
			"SHA-256":  {map[string]string{"X-Postal-Signature-256": by256, "X-Postal-Signature": by1}, body, ""},
			"SHA-1":    {map[string]string{"X-Postal-Signature": by1}, body, parsers.WhyNoSignature},
			"tampered": {map[string]string{"X-Postal-Signature-256": by256}, append([]byte(" "), body...), parsers.WhyBadSignature},
			"forged":   {map[string]string{"X-Postal-Signature-256": by1, "X-Postal-Signature": by1}, body, parsers.WhyBadSignature},
			"unsigned": {nil, body, parsers.WhyNoSignature},
		} {
			err := v.Verify(context.Background(), posted(c.header, c.body))
			if refused, ok := errors.AsType[*event.RefusedError](err); err != nil != (c.want != "") || ok && refused.Why != c.want {
				t.Errorf("%s: %v, want %q", what, err, c.want)
			}
		}
	}
	old := build(t, "postal", "public_key: "+strconv.Quote(record), "sha1: true").(parsers.Verifier)
	for what, header := range map[string]map[string]string{"SHA-1, asked for": {"X-Postal-Signature": by1}, "SHA-256 all the same": {"X-Postal-Signature-256": by256}} {
		if err := old.Verify(t.Context(), posted(header, body)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if v := build(t, "postal").(parsers.Verifier); v.Keyed() || v.KeyNeeded() != "public_key" {
		t.Error("keyed without a key")
	}
}

func TestAzureAnswersTheHandshake(t *testing.T) {
	t.Parallel()
	const body = `[{"id":"2d1781af","topic":"/subscriptions/x","subject":"","data":{"validationCode":"512d38b6-c7b8-40c8-89fe-f46f9e9622b6",
		"validationUrl":"https://rp-eastus2.eventgrid.azure.net/x"},"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent"}]`
	p := build(t, "azure")
	validation := map[string]string{"Aeg-Event-Type": "SubscriptionValidation"}
	for _, c := range []struct {
		header map[string]string
		body   string
		answer string
		words  []string
	}{
		{validation, body, `{"validationResponse":"512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}`, nil},
		{validation, `[{"data":{}}]`, "", []string{event.WhyMalformed}},
		{validation, `[{]`, "", []string{event.WhyMalformed}},
		{nil, body, "", nil}, // not what Event Grid says of it
	} {
		rec := posted(c.header, []byte(c.body))
		answer, err := p.(parsers.Handshaker).Handshake(t.Context(), rec)
		if err != nil || answer != c.answer {
			t.Errorf("%v %s: %q, %v", c.header, c.body, answer, err)
		}
		if events, refused := parsertest.Read(t, p, rec); len(events) > 0 || !slices.Equal(refused, c.words) {
			t.Errorf("%v %s: refused %v, emitted %v", c.header, c.body, refused, events)
		}
	}
}
