package mailbox

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/inputs/inputtest"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// fates is a store that says what it makes of records by their text: ordinary mail, or what nobody understands.
type fates struct{ inputtest.Sink }

func (f *fates) CommitFates(ctx context.Context, recs []event.Record, checkpoint func([]event.Fate) map[string]string) error {
	var all []event.Fate
	for _, r := range recs {
		fate := event.Understood
		if bytes.Contains(r.Body, []byte("Subject: ordinary")) {
			fate = event.Unreported
		} else if bytes.Contains(r.Body, []byte("Subject: strange")) {
			fate = event.Kept
		}
		all = append(all, fate)
	}
	return f.Commit(ctx, recs, checkpoint(all))
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// testCertificate is for 127.0.0.1, signed by itself.
func testCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// tempFile is a file that holds data.
func tempFile(t *testing.T, data string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func certificateFile(t *testing.T, c tls.Certificate) string {
	return tempFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
}

// buildInput makes the input of a section in YAML; its log goes to the second result.
func buildInput(t *testing.T, section string) (inputs.Input, *syncBuffer) {
	t.Helper()
	in, log, err := tryInput(section)
	if err != nil {
		t.Fatal(err)
	}
	return in, log
}

func tryInput(section string) (inputs.Input, *syncBuffer, error) {
	text := "inputs:\n  box:\n    " + strings.ReplaceAll(strings.TrimSpace(section), "\n", "\n    ") + "\n"
	c, err := config.Parse("test.yaml", []byte(text))
	if err != nil {
		return nil, nil, err
	}
	log := &syncBuffer{}
	built, err := inputs.Modules.Build(config.Env{Name: "box", Host: "mx1", Log: slog.New(slog.NewTextHandler(log, nil))}, c.Inputs[0].Value)
	return built.Input, log, err
}

func oauthSection(keys string) string {
	return "type: imap\nhost: h\nusername: u\ntrust: any\nauth: xoauth2\noauth: {" + keys + "}"
}

func TestMailboxConfig(t *testing.T) {
	t.Parallel()
	for section, want := range map[string]string{
		"type: pop3\nhost: h\nusername: u\npassword_file: /x":                                                           "trust: proof",
		"type: pop3\nhost: h\nusername: u\npassword_file: /x\ntrust: some":                                              "neither proof nor any",
		"type: pop3\nhost: h\nusername: u\npassword_file: /x\ntrust: any\nafter: delete":                                "none of leave, delete-reports, delete-all",
		"type: pop3\nhost: h:995\nusername: u\npassword_file: /x\ntrust: any":                                           "the port goes into port",
		"type: pop3\nhost: h\nusername: u\ntrust: any":                                                                  "name the file that holds the password",
		"type: pop3\nhost: h\nusername: u\ntrust: any\nauth: xoauth2":                                                   "token_file",
		"type: pop3\nhost: h\nusername: u\npassword_file: /x\ntrust: any\ntls: starttls":                                "none of implicit, stls, none",
		"type: pop3\nhost: h\nusername: u\npassword_file: /x\ntrust: any\npoll: 1ms":                                    "from 1s",
		"type: pop3\nhost: h\nusername: u\npassword_file: /x\ntrust: any\ntls: none\nca_file: /etc/ca.pem":              "serves TLS only",
		oauthSection("client_id: c"):                                                                                    "oauth.provider: is missing",
		oauthSection("provider: yahoo, client_id: c, client_secret_file: /x"):                                           "none of microsoft, google",
		oauthSection("provider: microsoft, client_id: c, client_secret_file: /x"):                                       "oauth.tenant: is missing",
		oauthSection("provider: google, client_id: c, client_secret_file: /x"):                                          "refresh_token_file: is missing",
		oauthSection("token_url: 'https://id.example/token', client_id: c"):                                             "client_secret_file: is missing",
		oauthSection("token_url: 'http://id.example/token', client_id: c, refresh_token_file: /x"):                      "begins with https://",
		oauthSection("token_url: 'https://id.example/token', refresh_token_file: /x"):                                   "client_id: is missing",
		oauthSection("provider: google, client_id: c, refresh_token_file: /x}\ntoken_file: /x #{"):                      "two ways to one thing",
		"type: imap\nhost: h\nusername: u\ntrust: any\noauth: {provider: google, client_id: c, refresh_token_file: /x}": "auth: xoauth2",
	} {
		_, _, err := tryInput(section)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", section, err, want)
		}
	}
}

func TestReceivedTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for message, want := range map[string]string{
		"Subject: x\nReceived: from a by b;\n\tSun, 22 Nov 2026 10:00:00 +0100 (CET)\nReceived: by c; Sun, 22 Nov 2026 01:00:00 +0000\n\n": "2026-11-22T09:00:00Z",
		"received: by b; 22 Nov 2026 09:00:00 +0000":                      "2026-11-22T09:00:00Z",
		"Received: by b; Sun, 22 Nov 2099 09:00:00 +0000\n\n":             "2026-11-22T12:00:00Z",
		"Received: by b; soon\n\n":                                        "2026-11-22T12:00:00Z",
		"Subject: x\n\nReceived: by b; Sun, 22 Nov 2026 09:00:00 +0000\n": "2026-11-22T12:00:00Z",
		"": "2026-11-22T12:00:00Z",
	} {
		if got := receivedTime([]byte(message), now).UTC().Format(time.RFC3339); got != want {
			t.Errorf("%q: %s, want %s", message, got, want)
		}
	}
}

func TestServerWords(t *testing.T) {
	t.Parallel()
	got := serverWords("-ERR sesame\r\x00 "+strings.Repeat("ä", 300), "sesame")
	if strings.Contains(got, "sesame") || strings.ContainsAny(got, "\r\x00") || len(got) > 210 {
		t.Errorf("%q", got)
	}
}

func TestHashSet(t *testing.T) {
	t.Parallel()
	s := hashSet{}.with(5, 3, 9, 3)
	back, err := decodeHashes("seen", s.with(7).encode())
	if err != nil || len(back) != 4 || !hashSet(back).has(7) || hashSet(back).has(4) {
		t.Errorf("%v %v", back, err)
	}
	if got := hashSet(back).only(hashSet{3, 9}); len(got) != 2 {
		t.Errorf("%v", got)
	}
	for _, bad := range []string{"x", "AAAA", "!!"} {
		if _, err := decodeHashes("seen", bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
