package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestACertificateThatChanges(t *testing.T) {
	dir := t.TempDir()
	c := NewCertificate(TLS{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}, slog.New(slog.DiscardHandler))
	serial := func() string {
		t.Helper()
		c.looked = time.Time{}
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return cert.SerialNumber.String()
	}
	if _, err := c.get(nil); err == nil {
		t.Error("a certificate where there is none")
	}
	first := writeCertificate(t, dir, time.Unix(1, 0))
	if got := serial(); got != first {
		t.Errorf("%s, not %s", got, first)
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if serial() != first {
		t.Error("a broken certificate took the place of a good one")
	}
	second := writeCertificate(t, dir, time.Unix(2, 0))
	if got := serial(); got != second || second == first {
		t.Errorf("%s, not the new certificate %s", got, second)
	}
}

// writeCertificate makes a pair of its own, modified at the given time, and tells its serial number.
func writeCertificate(t *testing.T, dir string, modified time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(modified.Unix()), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, pem.EncodeToMemory(block), 0o600), os.Chtimes(path, modified, modified)); err != nil {
			t.Fatal(err)
		}
	}
	return template.SerialNumber.String()
}
