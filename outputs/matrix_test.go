package outputs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

// certified is a receiver with a certificate of these names and this end, by an authority that is trusted.
func certified(t *testing.T, end time.Time, names ...string) (url, ca string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "us"}, NotBefore: end.Add(-48 * time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	top, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: end.Add(-24 * time.Hour), NotAfter: end, DNSNames: names}
	if len(names) == 0 {
		leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, asPEM(top), 0o600); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"data":true}`) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, ca
}

// A certificate that is over, or another's, is nobody to trust: the events wait, and the words say why.
func TestCertificateMustBeRight(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		for name, c := range map[string]struct {
			end   time.Time
			names []string
			words string // none: it is right
		}{
			"right":   {end: time.Now().Add(time.Hour)},
			"expired": {end: time.Now().Add(-time.Minute), words: "expired"},
			"another": {end: time.Now().Add(time.Hour), names: []string{"other.example"}, words: "127.0.0.1"},
		} {
			url, ca := certified(t, c.end, c.names...)
			err := sendOne(t, t.Context(), posterTo(t, kind, url, "ca_file: "+ca))
			if (err == nil) != (c.words == "") || event.IsPermanent(err) || err != nil && !strings.Contains(err.Error(), c.words) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A name that the DNS does not know today it may know tomorrow.
func TestNameIsNotFound(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		err := sendOne(t, t.Context(), posterTo(t, kind, "https://lists.invalid", "timeout: 5s")) // RFC 6761 §6.4
		if err == nil || event.IsPermanent(err) || !strings.Contains(err.Error(), "lists.invalid") {
			t.Errorf("got %v", err)
		}
		if _, uncertain := errors.AsType[*UncertainError](err); uncertain {
			t.Errorf("nothing was sent, and it says it may have been: %v", err)
		}
	})
}

// An answer that drips, byte by byte, is none before its end, and does not hold up more than the timeout.
func TestAnswerThatDrips(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		url, connections := rawServer(t, func(c net.Conn) {
			readRequest(c)
			for _, b := range []byte("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"data\":true}") {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				<-time.After(20 * time.Millisecond)
			}
		})
		err := sendOne(t, t.Context(), posterTo(t, kind, url, "timeout: 200ms"))
		if err == nil || !strings.Contains(err.Error(), "200ms") || event.IsPermanent(err) || connections.Load() != 1 {
			t.Errorf("tried %d times: %v", connections.Load(), err)
		}
		if err := sendOne(t, t.Context(), posterTo(t, kind, url, "timeout: 2m")); err != nil {
			t.Errorf("in time: %v", err)
		}
	})
}
