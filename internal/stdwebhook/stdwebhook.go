// Package stdwebhook has the signature of Standard Webhooks (https://www.standardwebhooks.com), which the webhook output
// makes and the parsers of such requests verify. A request carries
//
//	webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek    the same for every repetition
//	webhook-timestamp: 1614265330               Unix time of the attempt, in seconds
//	webhook-signature: v1,g0hM9SsE+OTPJTGt… v1,…  base64 of HMAC-SHA256 over "ID.TIMESTAMP.BODY", one for each key
//
// or the same under Svix's names, svix-id and so on.
package stdwebhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// shortestKey, in bytes, is less than the 24 that the specification asks for: some receivers hand out shorter ones.
const shortestKey = 16

// Key reads a secret: base64, and before it "whsec_", which may be missing. The error does not show the secret.
func Key(secret string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) < shortestKey {
		return nil, errors.New(`secret: not "whsec_" and base64 of 24 bytes or more`)
	}
	return key, nil
}

// MAC is what key makes of a request.
func MAC(key []byte, id, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// Signature is the value of webhook-signature with one MAC.
func Signature(mac []byte) string { return "v1," + base64.StdEncoding.EncodeToString(mac) }

// MACs are those in the value of a webhook-signature. Signatures of other kinds, as v1a, are left out.
func MACs(signature string) (macs [][]byte) {
	for _, one := range strings.Fields(signature) {
		if mac, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(one, "v1,")); err == nil {
			macs = append(macs, mac)
		}
	}
	return macs
}
