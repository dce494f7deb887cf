package stdwebhook

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
)

// The first is the example that the specification's own libraries are tested with; the others are made with
//
//	printf '%s.%s.%s' "$id" "$timestamp" "$body" | openssl dgst -sha256 -mac hmac -macopt "hexkey:$key" -binary | base64
var vectors = []struct{ secret, id, timestamp, body, signature string }{
	{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
	{"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", "9f2c0e6a1b7d4c3e8f5a6b7c8d9e0f1a", "1795330862", "", "v1,rDj/w0zhHktnHHO6xLteLqCdMVXHHQ48Mg1BwbxC3ec="},
	{"c2hvcnRlciB0aGFuIGFza2VkIQ==", "a.b.c", "0", "{\"a\":\"ä.1\\u0000\"}\n", "v1,U0R16nCREB7z+HEkRgnEwjEWi6jt0yR+u3lEb1+Z3yI="},
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		key, err := Key(v.secret)
		if err != nil {
			t.Fatal(err)
		}
		mac := MAC(key, v.id, v.timestamp, []byte(v.body))
		if got := Signature(mac); got != v.signature {
			t.Errorf("%s: %s, want %s", v.id, got, v.signature)
		}
		for _, other := range [][]byte{
			MAC(key[1:], v.id, v.timestamp, []byte(v.body)), MAC(key, v.id+"x", v.timestamp, []byte(v.body)),
			MAC(key, v.id, v.timestamp+"0", []byte(v.body)), MAC(key, v.id, v.timestamp, []byte(v.body+" ")),
		} {
			if bytes.Equal(mac, other) {
				t.Errorf("%s: the key, the id, the time or the body does not matter", v.id)
			}
		}
	}
}

func TestKey(t *testing.T) {
	for size, good := range map[int]bool{0: false, 15: false, 16: true, 24: true, 64: true} {
		encoded := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xFB}, size))
		for _, secret := range []string{encoded, "whsec_" + encoded} {
			key, err := Key(secret)
			if good != (err == nil) || good && len(key) != size {
				t.Errorf("%d bytes: a key of %d, %v", size, len(key), err)
			}
			if err != nil && encoded != "" && strings.Contains(err.Error(), encoded) {
				t.Errorf("the secret is shown: %v", err)
			}
		}
	}
	for _, secret := range []string{"whsec_not base64, not at all!", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"} {
		if _, err := Key(secret); err == nil {
			t.Errorf("%s is taken", secret)
		}
	}
}

func TestMACs(t *testing.T) {
	one, two := []byte("one"), []byte("two")
	for signature, want := range map[string][][]byte{
		"":                                    nil,
		Signature(one):                        {one},
		Signature(one) + " " + Signature(two): {one, two},
		"v1a,AAAA v2,AAAA " + Signature(two):  {two},
		"v1,!!! " + Signature(one) + "\t":     {one},
		"b25l":                                {one}, // some leave the version out
	} {
		got := MACs(signature)
		if len(got) != len(want) {
			t.Errorf("%q: %q", signature, got)
			continue
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("%q: %q", signature, got)
			}
		}
	}
}
