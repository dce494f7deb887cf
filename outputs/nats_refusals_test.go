package outputs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"bouncefeed/internal/e2e/e2etest"
	"bouncefeed/internal/event"
)

// streamOf makes the stream at a real server.
func streamOf(t *testing.T, address string, c nats.StreamConfig, options ...nats.Option) nats.JetStreamContext {
	t.Helper()
	conn, err := nats.Connect("nats://"+address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := conn.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	c.Name = "BOUNCES"
	if len(c.Subjects) == 0 {
		c.Subjects = []string{"bounces.>"}
	}
	if _, err := js.AddStream(&c); err != nil {
		t.Fatal(err)
	}
	return js
}

func streamHolds(t *testing.T, js nats.JetStreamContext, want uint64) {
	t.Helper()
	info, err := js.StreamInfo("BOUNCES")
	if err != nil || info.State.Msgs != want {
		t.Errorf("%v, the stream holds %d messages, want %d", err, info.State.Msgs, want)
	}
}

// refused sends one event, which must be refused for now, in these words.
func refused(t *testing.T, out Output, want string) {
	t.Helper()
	if err := out.Send(t.Context(), []event.Event{someEvent("a")}); err == nil || event.IsPermanent(err) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v (permanent: %v), want %q", err, event.IsPermanent(err), want)
	}
}

// What is published twice is there once; a full stream takes nothing and forgets nothing; once there is room, all goes on.
func TestNATSFullStream(t *testing.T) {
	address := e2etest.StartNATS(t, "")
	js := streamOf(t, address, nats.StreamConfig{MaxMsgs: 3, Discard: nats.DiscardNew})
	out := mustBuild(t, "nats", "servers: [nats://"+address+"]")
	for range 2 {
		if err := out.Send(t.Context(), []event.Event{someEvent("1"), someEvent("2"), someEvent("3")}); err != nil {
			t.Fatal(err)
		}
	}
	streamHolds(t, js, 3)
	refused(t, out, "the stream is full")
	streamHolds(t, js, 3)
	info, _ := js.StreamInfo("BOUNCES")
	info.Config.MaxMsgs = 4
	if _, err := js.UpdateStream(&info.Config); err != nil {
		t.Fatal(err)
	}
	if err := out.Send(t.Context(), []event.Event{someEvent("a")}); err != nil {
		t.Errorf("with room: %v", err)
	}
	streamHolds(t, js, 4)
}

func TestNATSTooLargeForTheStream(t *testing.T) {
	address := e2etest.StartNATS(t, "")
	js := streamOf(t, address, nats.StreamConfig{MaxMsgSize: 100})
	out := mustBuild(t, "nats", "servers: [nats://"+address+"]")
	if err := out.Send(t.Context(), []event.Event{someEvent("a")}); !event.IsPermanent(err) || !strings.Contains(err.Error(), "max_msg_size") {
		t.Errorf("%v", err)
	}
	streamHolds(t, js, 0)
}

func TestNATSNoStream(t *testing.T) {
	address := e2etest.StartNATS(t, "")
	out := mustBuild(t, "nats", "servers: [nats://"+address+"]")
	refused(t, out, "no stream takes this subject")
	if err := probe(t, out); err == nil || !strings.Contains(err.Error(), "no such stream") {
		t.Errorf("check --online: %v", err)
	}
	streamOf(t, address, nats.StreamConfig{Subjects: []string{"other.>"}})
	if err := probe(t, out); err == nil || !strings.Contains(err.Error(), "does not take the subject bounces.mx1.hard, but other.>") {
		t.Errorf("check --online: %v", err)
	}
	refused(t, mustBuild(t, "nats", "servers: [nats://"+address+"]", "subject: other.x", "stream: ELSE"), "another stream")
}

func TestNATSPermissions(t *testing.T) {
	seed, public := newNKey(t)
	address := e2etest.StartNATS(t, fmt.Sprintf(`
authorization { users = [
	{ user: admin, password: admin }
	{ user: mx2, password: %[1]s, permissions: { publish: ["bounces.mx2.>"], subscribe: ["_INBOX.>"] } }
	{ nkey: %[2]s, permissions: { publish: ["bounces.mx1.>", "$JS.API.STREAM.INFO.BOUNCES"], subscribe: ["_INBOX.>"] } }
] }`, token, public))
	js := streamOf(t, address, nats.StreamConfig{}, nats.UserInfo("admin", "admin"))
	servers := "servers: [nats://" + address + "]"
	refused(t, mustBuild(t, "nats", servers), "refuses the login")
	refused(t, mustBuild(t, "nats", servers, "username: mx2", "password_file: "+tokenFile(t)), "may not do that")
	streamHolds(t, js, 0)

	file := filepath.Join(t.TempDir(), "seed")
	out := mustBuild(t, "nats", servers, "nkey_file: "+file)
	for _, wrong := range []string{"nonsense", otherSeed(t)} {
		if err := os.WriteFile(file, []byte(wrong+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := out.Send(t.Context(), []event.Event{someEvent("a")}); err == nil || strings.Contains(err.Error(), wrong) {
			t.Errorf("with another's key: %v", err)
		}
	}
	if err := os.WriteFile(file, []byte(seed+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := out.Send(t.Context(), []event.Event{someEvent("a")}); err != nil {
		t.Errorf("with the right key: %v", err)
	}
	if err := probe(t, out); err != nil {
		t.Errorf("check --online: %v", err)
	}
	streamHolds(t, js, 1)
}

func newNKey(t *testing.T) (seed, public string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	text, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return string(text), public
}

func otherSeed(t *testing.T) string {
	seed, _ := newNKey(t)
	return seed
}

// natsCertificate is one for 127.0.0.1, valid until then, in files; it is its own CA.
func natsCertificate(t *testing.T, until time.Time) (cert, key string) {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: until.Add(-48 * time.Hour), NotAfter: until, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &pair.PublicKey, pair)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, text := range map[string][]byte{cert: asPEM(der), key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestNATSCertificates(t *testing.T) {
	cert, key := natsCertificate(t, time.Now().Add(24*time.Hour))
	old, oldKey := natsCertificate(t, time.Now().Add(-time.Hour))
	good := e2etest.StartNATS(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q }", cert, key))
	expired := e2etest.StartNATS(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q }", old, oldKey))
	asks := e2etest.StartNATS(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }", cert, key, cert))
	plain := e2etest.StartNATS(t, "")

	refused(t, mustBuild(t, "nats", "servers: [tls://"+expired+"]", "ca_file: "+old), "the server's certificate has expired")
	refused(t, mustBuild(t, "nats", "servers: [tls://"+good+"]"), "not trusted: name its CA with ca_file")
	refused(t, mustBuild(t, "nats", "servers: [tls://"+plain+"]"), "speaks no TLS")
	refused(t, mustBuild(t, "nats", "servers: [tls://"+asks+"]", "ca_file: "+cert), "") // in words of the moment: TLS 1.3 refuses after the handshake

	js := streamOf(t, good, nats.StreamConfig{}, nats.RootCAs(cert))
	out := mustBuild(t, "nats", "servers: [tls://"+good+"]", "ca_file: "+cert, "client_cert: "+cert, "client_key: "+key)
	if err := out.Send(t.Context(), []event.Event{someEvent("a")}); err != nil {
		t.Errorf("with all that is needed: %v", err)
	}
	streamHolds(t, js, 1)
}

func TestNATSSeveralServers(t *testing.T) {
	address := e2etest.StartNATS(t, "")
	js := streamOf(t, address, nats.StreamConfig{})
	for i := range 5 { // the client begins with any of them
		out := mustBuild(t, "nats", "servers: [nats://127.0.0.1:1, nats://"+address+", nats://127.0.0.1:2]")
		if err := out.Send(t.Context(), []event.Event{someEvent(fmt.Sprint(i))}); err != nil {
			t.Error(err)
		}
	}
	streamHolds(t, js, 5)
}
