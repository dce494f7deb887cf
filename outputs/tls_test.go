package outputs

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
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

	"bouncefeed/internal/event"
)

// tlsReceiver takes everything over TLS, with a certificate for 127.0.0.1 that no system knows; ca is the place for
// a ca_file, right the contents it should have.
func tlsReceiver(t *testing.T) (s *httptest.Server, ca string, right []byte) {
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"data":true}`) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, filepath.Join(t.TempDir(), "ca.pem"), asPEM(s.Certificate().Raw)
}

func asPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// otherCA is a certificate that signed nothing.
func otherCA(t *testing.T) []byte {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return asPEM(der)
}

func TestCertificateMustBeTrusted(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		s, ca, right := tlsReceiver(t)
		if err := sendOne(t, t.Context(), posterTo(t, kind, s.URL)); err == nil || event.IsPermanent(err) || !strings.Contains(err.Error(), "ca_file") {
			t.Errorf("without ca_file: %v", err)
		}
		// One output meets a ca_file that is missing, broken, wrong and at last right: no restart is needed.
		out := posterTo(t, kind, s.URL, "ca_file: "+ca)
		for _, contents := range [][]byte{nil, []byte("nonsense"), otherCA(t)} {
			if contents != nil {
				os.WriteFile(ca, contents, 0o600)
			}
			if err := sendOne(t, t.Context(), out); err == nil || event.IsPermanent(err) || !strings.Contains(err.Error(), "ca_file") {
				t.Errorf("ca_file %q: %v", contents, err)
			}
		}
		os.WriteFile(ca, right, 0o600)
		if err := sendOne(t, t.Context(), out); err != nil {
			t.Errorf("right ca_file: %v", err)
		}
	})
}

func TestCertificateMustNameTheHost(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		s, ca, right := tlsReceiver(t)
		os.WriteFile(ca, right, 0o600)
		other, err := net.Listen("tcp", "127.0.0.2:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { other.Close() })
		go func() { // the same server under an address that its certificate does not name
			if c, err := other.Accept(); err == nil {
				defer c.Close()
				if back, err := net.Dial("tcp", s.Listener.Addr().String()); err == nil {
					defer back.Close()
					go io.Copy(back, c)
					io.Copy(c, back)
				}
			}
		}()
		err = sendOne(t, t.Context(), posterTo(t, kind, "https://"+other.Addr().String(), "ca_file: "+ca))
		if err == nil || event.IsPermanent(err) || !strings.Contains(err.Error(), "127.0.0.2") || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("got %v", err)
		}
	})
}
