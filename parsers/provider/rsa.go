package provider

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// rsaPublicKey reads a key in PEM, as a DKIM record (RFC 6376 §3.6.1: "v=DKIM1; k=rsa; p=…"), or as that record's base64
// alone.
func rsaPublicKey(text string) (*rsa.PublicKey, error) {
	der, err := publicKeyBytes(text)
	if err != nil {
		return nil, err
	}
	if parsed, err := x509.ParsePKIXPublicKey(der); err == nil {
		if key, ok := parsed.(*rsa.PublicKey); ok {
			return key, nil
		}
		return nil, errors.New("a public key, but none of RSA")
	}
	key, err := x509.ParsePKCS1PublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("no RSA public key: %w", err)
	}
	return key, nil
}

func publicKeyBytes(text string) ([]byte, error) {
	if block, _ := pem.Decode([]byte(text)); block != nil {
		return block.Bytes, nil
	}
	encoded := text
	for tag := range strings.SplitSeq(text, ";") {
		if name, value, found := strings.Cut(tag, "="); found && strings.TrimSpace(name) == "p" {
			encoded = value
		}
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(encoded), ""))
	if err != nil || len(der) == 0 {
		return nil, errors.New("neither PEM nor a DKIM record")
	}
	return der, nil
}
