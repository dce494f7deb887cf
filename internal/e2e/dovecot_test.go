package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	pop3Server   = "/usr/lib/dovecot/pop3"
	dovecotDir   = "/var/lib/dovecot-e2e"
	maildir      = "/var/mail/bounces/Maildir"
	mailPassword = "correct horse battery"
	pop3Port     = "127.0.0.1:110"
	pop3sPort    = "127.0.0.1:995"
	imapPort     = "127.0.0.1:143"
	imapsPort    = "127.0.0.1:993"
	tokensAddr   = "127.0.0.1:8099" // who says whether a token is good
)

// dovecotConf serves one mailbox, whose files belong to the daemon's user, by POP3 and IMAP. It does not make those wait
// who log in wrongly.
const dovecotConf = `
protocols = pop3 imap
listen = 127.0.0.1
base_dir = /run/dovecot-e2e
log_path = ` + dovecotDir + `/log
ssl_cert = <` + dovecotDir + `/cert.pem
ssl_key = <` + dovecotDir + `/key.pem
disable_plaintext_auth = yes
auth_failure_delay = 0
first_valid_uid = 1
mail_location = maildir:` + maildir + `
auth_mechanisms = plain xoauth2 oauthbearer
passdb {
  driver = passwd-file
  mechanisms = plain
  args = ` + dovecotDir + `/users
}
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = ` + dovecotDir + `/oauth2.conf
}
userdb {
  driver = static
  args = uid=790 gid=790 home=/var/mail/bounces
}
service pop3-login {
  chroot =
}
service imap-login {
  chroot =
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
`

// oauth2Conf has Dovecot ask whose a token is.
const oauth2Conf = `
tokeninfo_url = http://` + tokensAddr + `/tokeninfo?access_token=
username_attribute = email
`

// startDovecot runs Dovecot over an empty mailbox, with further settings.
func startDovecot(t *testing.T, settings ...string) {
	t.Helper()
	for _, dir := range []string{dovecotDir, "/var/mail/bounces", "/run/dovecot-e2e"} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"new", "cur", "tmp"} {
		if err := os.MkdirAll(filepath.Join(maildir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	owner := strconv.Itoa(daemonUID) + ":" + strconv.Itoa(daemonUID)
	if err := command("chown", "-R", owner, "/var/mail/bounces"); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dovecotDir, "dovecot.conf"), dovecotConf+strings.Join(settings, "\n"))
	writeFile(t, filepath.Join(dovecotDir, "oauth2.conf"), oauth2Conf)
	writeCertificate(t, dovecotDir)
	setMailPassword(t, mailPassword)
	showIfFailed(t, filepath.Join(dovecotDir, "log"), 4000)
	startServer(t, "dovecot", "/usr/sbin/dovecot", "-F", "-c", filepath.Join(dovecotDir, "dovecot.conf"))
	waitFor(t, "Dovecot listens", func() bool { return listening(pop3sPort) && listening(imapsPort) })
}

// setMailPassword changes what Dovecot takes for a login.
func setMailPassword(t *testing.T, password string) {
	t.Helper()
	tmp := filepath.Join(dovecotDir, "users.new")
	writeFile(t, tmp, "bounces:{PLAIN}"+password+"::::::\n")
	if err := os.Rename(tmp, filepath.Join(dovecotDir, "users")); err != nil {
		t.Fatal(err)
	}
}

// writeCertificate makes cert.pem and key.pem for 127.0.0.1.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "EC PRIVATE KEY", Bytes: der}} {
		writeFile(t, filepath.Join(dir, file), string(pem.EncodeToMemory(block)))
	}
}

// mailsLeft lists the files in the mailbox, in new and in cur.
func mailsLeft(t *testing.T) (all []string) {
	t.Helper()
	for _, sub := range []string{"new", "cur"} {
		entries, err := os.ReadDir(filepath.Join(maildir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, filepath.Join(maildir, sub, e.Name()))
		}
	}
	return all
}

// describeMails is what is left, for a failure's report.
func describeMails(files []string) string {
	var b strings.Builder
	for _, f := range files {
		b.WriteString("--- " + f + "\n" + tail(f, 4000) + "\n")
	}
	return b.String()
}

// cutter passes connections on to a server and, while it is told to, cuts them at a random byte of the server's.
type cutter struct {
	addr   string
	server string
	mu     sync.Mutex
	random *mathrand.Rand // nil: nothing is cut
	cuts   int
}

func startCutter(t *testing.T, server string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{addr: l.Addr().String(), server: server}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { c.pass(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return c
}

func (c *cutter) port() string {
	_, port, _ := net.SplitHostPort(c.addr)
	return port
}

// cut begins cutting; nil ends it.
func (c *cutter) cut(random *mathrand.Rand) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.random = random
}

// length is after how many bytes the next connection ends.
func (c *cutter) length() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.random == nil || c.random.IntN(5) == 0 {
		return 1 << 40
	}
	c.cuts++
	return int64(1200 + c.random.IntN(1<<c.random.IntN(16)+1)) // behind most of the TLS handshake
}

func (c *cutter) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	_, _ = io.CopyN(client, server, c.length())
}
