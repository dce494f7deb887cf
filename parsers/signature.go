package parsers

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"math"
	"strconv"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

type signature interface {
	Verifier
	KeyNeeded() string
}

// sharedSecret is what those signatures have in common that are made with a secret.
type sharedSecret struct{ secret config.Secret }

func (s sharedSecret) Keyed() bool       { return s.secret.Set() }
func (s sharedSecret) KeyNeeded() string { return "secret_file" }

// bodySignature is a header that holds HMAC-SHA256 over the body, in hexadecimal digits.
type bodySignature struct {
	sharedSecret
	header string
}

// Verify implements Verifier.
func (s bodySignature) Verify(_ context.Context, rec event.Record) error {
	mac, err := hex.DecodeString(rec.Request.Field(s.header))
	if err != nil || len(mac) == 0 {
		return event.Refuse(WhyNoSignature, "no %s", s.header)
	}
	return signedBy(s.secret, nil, sha256.New, [][]byte{mac}, rec.Body)
}

const signedWithin = 5 * time.Minute

// fresh refuses a signed time too far from when the request came. A captured request that is only explained has no such
// time, and any is fine.
func fresh(signed time.Time, rec event.Record) error {
	if rec.Time.IsZero() {
		return nil
	}
	if d := rec.Time.Sub(signed); d > signedWithin || d < -signedWithin {
		return event.Refuse(WhyStale, "signed %s from now: replayed, or a clock is wrong", d.Round(time.Second))
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
		return event.Refuse(WhyStale, "no Unix time beside the signature")
	}
	return fresh(signed, rec)
}

// A signer makes the code that a request should carry, of what is signed, for one key.
func signer(newHash func() hash.Hash, key []byte, parts ...[]byte) []byte {
	mac := hmac.New(newHash, key)
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(nil)
}

// signedBy says, in constant time, whether one of macs is what one of the secret's lines makes of parts. Two lines are
// two secrets, while one takes the other's place. decode turns a line into the key; nil takes it as it is.
func signedBy(secret config.Secret, decode func(string) ([]byte, error), newHash func() hash.Hash, macs [][]byte, parts ...[]byte) error {
	lines, err := secret.Lines()
	if err != nil {
		return err
	}
	good := false
	for _, line := range lines {
		key := []byte(line)
		if decode != nil {
			if key, err = decode(line); err != nil {
				return err
			}
		}
		want := signer(newHash, key, parts...)
		for _, mac := range macs {
			good = hmac.Equal(mac, want) || good
		}
	}
	if !good {
		return event.Refuse(WhyBadSignature, "the signature is made with another key, or the body was changed")
	}
	return nil
}
