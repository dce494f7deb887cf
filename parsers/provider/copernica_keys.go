package provider

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/parsers"
)

// dkimKeys are RSA public keys that stand in the DNS as DKIM keys do (RFC 6376 §3.6.2), each known for its TTL.
type dkimKeys struct {
	*publishedKeys
	lookup func(ctx context.Context, name string) (records []string, ttl time.Duration, err error)
}

const (
	dkimKeyShortest = time.Minute // also of an answer that there is no such key
	dkimKeyLongest  = 24 * time.Hour
)

func newDKIMKeys() *dkimKeys {
	d := &dkimKeys{lookup: lookupTXT}
	d.publishedKeys = newPublishedKeys(d.ask)
	return d
}

// verify says whether signature is what one of the keys at name makes of text. A key that is known and does not fit may
// have been replaced: the DNS is asked again, but not at once.
func (d *dkimKeys) verify(ctx context.Context, name string, text, signature []byte) error {
	sum := sha256.Sum256(text)
	for again := false; ; again = true {
		key, err := d.get(ctx, name, again)
		if err != nil {
			return err
		}
		for _, k := range key.keys {
			if rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], signature) == nil {
				return nil
			}
		}
		if again || d.now().Sub(key.fetched) < dkimKeyShortest {
			return event.Refuse(parsers.WhyBadSignature, "the signature is made with another key, or the request was changed")
		}
	}
}

// ask asks the DNS for the keys at name.
func (d *dkimKeys) ask(ctx context.Context, name string) (keys []*rsa.PublicKey, kept time.Duration, err error) {
	records, ttl, err := d.lookup(ctx, name)
	if missing, is := errors.AsType[*net.DNSError](err); is && missing.IsNotFound {
		records, ttl, err = nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("look up the key of the signature: %w", err)
	}
	for _, r := range records {
		if k, err := rsaPublicKey(r); err == nil && strings.Contains(r, "p=") {
			keys = append(keys, k)
		}
	}
	return keys, min(max(ttl, dkimKeyShortest), dkimKeyLongest), nil
}

// lookupTXT asks the system's name servers. The standard library keeps the TTL to itself, so that it is read from the
// answers as they pass; of one that came by TCP it is not known, and taken for the shortest.
func lookupTXT(ctx context.Context, name string) (records []string, ttl time.Duration, err error) {
	return lookupTXTAt(ctx, name, "")
}

// lookupTXTAt asks server, or the system's if that is empty.
func lookupTXTAt(ctx context.Context, name, server string) (records []string, ttl time.Duration, err error) {
	var seen ttlSeen
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if server != "" {
			address = server
		}
		var d net.Dialer
		c, err := d.DialContext(ctx, network, address)
		if udp, ok := c.(*net.UDPConn); ok {
			return &ttlConn{UDPConn: udp, seen: &seen}, err
		}
		return c, err
	}}
	records, err = r.LookupTXT(ctx, name+".") // absolute: no search domains
	seen.mu.Lock()
	defer seen.mu.Unlock()
	return records, seen.ttl, err
}

type ttlSeen struct {
	mu  sync.Mutex
	ttl time.Duration
}

// ttlConn reads the TTL out of the answers that pass.
type ttlConn struct {
	*net.UDPConn
	seen *ttlSeen
}

func (c *ttlConn) Read(b []byte) (int, error) {
	n, err := c.UDPConn.Read(b)
	if ttl, ok := answerTTL(b[:n]); ok && err == nil {
		c.seen.mu.Lock()
		c.seen.ttl = ttl
		c.seen.mu.Unlock()
	}
	return n, err
}

// answerTTL is the shortest TTL among the answers of a DNS message (RFC 1035 §4.1); ok is false if it has none.
func answerTTL(m []byte) (ttl time.Duration, ok bool) {
	if len(m) < 12 {
		return 0, false
	}
	questions, answers := binary.BigEndian.Uint16(m[4:]), binary.BigEndian.Uint16(m[6:])
	at := 12
	for range questions {
		if at = skipName(m, at) + 4; at > len(m) {
			return 0, false
		}
	}
	for range answers {
		at = skipName(m, at)
		if at+10 > len(m) {
			return 0, false
		}
		t := time.Duration(binary.BigEndian.Uint32(m[at+4:])) * time.Second
		if !ok || t < ttl {
			ttl, ok = t, true
		}
		at += 10 + int(binary.BigEndian.Uint16(m[at+8:]))
	}
	return ttl, ok
}

// skipName gives where the name at ends, or the end of m if it does not.
func skipName(m []byte, at int) int {
	for at < len(m) {
		switch n := int(m[at]); {
		case n == 0:
			return at + 1
		case n >= 0xC0: // a pointer
			return at + 2
		default:
			at += 1 + n
		}
	}
	return len(m)
}
