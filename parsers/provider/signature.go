package provider

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strconv"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/item"
)

// sharedSecret is what those signatures have in common that are made with a secret.
type sharedSecret struct{ secret config.Secret }

func (s sharedSecret) Keyed() bool       { return s.secret.Set() }
func (s sharedSecret) KeyNeeded() string { return "secret_file" }

// bodySignature is a header that holds HMAC-SHA256 over the body, in hexadecimal digits.
type bodySignature struct {
	sharedSecret
	header string
}

// Verify implements parsers.Verifier.
func (s bodySignature) Verify(_ context.Context, rec event.Record) error {
	mac, err := hex.DecodeString(rec.Request.Field(s.header))
	if err != nil || len(mac) == 0 {
		return event.Refuse(parsers.WhyNoSignature, "no %s", s.header)
	}
	return signedBy(s.secret, [][]byte{mac}, hmacSHA256(rec.Body))
}

// datedBody is a signature that does not say when it was made. A captured request is good for ever then, but for what the
// body says of when it was written: once what it tells of is forgotten here, it is a new bounce no more.
type datedBody struct {
	parsers.Verifier
	written func(item []byte) (at item.Loose)
	retain  time.Duration // 0: not known
}

// writtenAt takes the time out of an item of the shape I.
func writtenAt[I any](at func(*I) item.Loose) func([]byte) item.Loose {
	return func(raw []byte) item.Loose {
		var one I
		if item.Read(raw, &one) != nil {
			return ""
		}
		return at(&one)
	}
}

// Verify implements parsers.Verifier.
func (d datedBody) Verify(ctx context.Context, rec event.Record) error {
	if err := d.Verifier.Verify(ctx, rec); err != nil || rec.Time.IsZero() || d.retain == 0 {
		return err
	}
	var stale error
	_ = item.Each(rec.Body, func(raw []byte) error { // its refusals are Parse's
		written, ok := readTime(string(d.written(raw)))
		switch age := rec.Time.Sub(written); {
		case !ok:
			stale = event.Refuse(parsers.WhyStale, "neither the signature nor the body says when it was made")
		case age > d.retain || age < -aheadWritten:
			stale = event.Refuse(parsers.WhyStale, "written %s from now: replayed, or a clock is wrong", age.Round(time.Second))
		}
		return nil
	})
	return stale
}

// aheadWritten is how far the clock of who writes a body may be before ours.
const aheadWritten = 24 * time.Hour

const signedWithin = 5 * time.Minute

// fresh refuses a signed time too far from when the request came. A captured request that is only explained has no such
// time, and any is fine.
func fresh(signed time.Time, rec event.Record) error {
	if rec.Time.IsZero() {
		return nil
	}
	if d := rec.Time.Sub(signed); d > signedWithin || d < -signedWithin {
		return event.Refuse(parsers.WhyStale, "signed %s from now: replayed, or a clock is wrong", d.Round(time.Second))
	}
	return nil
}

// unixTime reads seconds or, from the year 2286 on, milliseconds since 1970, also with a fraction. ok is false for what
// is no such number.
func unixTime(s string) (t time.Time, ok bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f > 0) || f > 1e14 {
		return time.Time{}, false
	}
	if f >= 1e10 {
		f /= 1000
	}
	whole, part := math.Modf(f)
	return time.Unix(int64(whole), int64(part*1e9)).UTC(), true
}

// freshAt is fresh for the Unix time that stands beside a signature.
func freshAt(timestamp string, rec event.Record) error {
	signed, ok := unixTime(timestamp)
	if !ok {
		return event.Refuse(parsers.WhyStale, "no Unix time beside the signature")
	}
	return fresh(signed, rec)
}

// signedBy says, in constant time, whether one of macs is what sign makes of the request with one of the secret's lines.
// Two lines are two secrets, while one takes the other's place.
func signedBy(secret config.Secret, macs [][]byte, sign func(line string) ([]byte, error)) error {
	lines, err := secret.Lines()
	if err != nil {
		return err
	}
	good := false
	for _, line := range lines {
		want, err := sign(line)
		if err != nil {
			return err
		}
		for _, mac := range macs {
			good = hmac.Equal(mac, want) || good
		}
	}
	if !good {
		return event.Refuse(parsers.WhyBadSignature, "the signature is made with another key, or the body was changed")
	}
	return nil
}

// hmacSHA256 is how most providers sign: the secret is the key as it is, parts one text.
func hmacSHA256(parts ...[]byte) func(line string) ([]byte, error) {
	return func(line string) ([]byte, error) {
		mac := hmac.New(sha256.New, []byte(line))
		for _, p := range parts {
			mac.Write(p)
		}
		return mac.Sum(nil), nil
	}
}
