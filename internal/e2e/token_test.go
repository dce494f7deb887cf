package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"bouncefeed/internal/e2e/e2etest"
)

// tokens is the server that Dovecot asks about a token: one is good.
type tokens struct {
	good  atomic.Value
	given atomic.Int64
}

func startTokens(t *testing.T) *tokens {
	t.Helper()
	l, err := net.Listen("tcp", tokensAddr)
	if err != nil {
		t.Fatal(err)
	}
	k := &tokens{}
	server := &http.Server{Handler: k, ReadTimeout: e2etest.Patience}
	e2etest.Serve(t, server, l)
	return k
}

// ServeHTTP tells Dovecot whether a token is good; to whoever shows the refresh token or the secret it gives a new one.
func (k *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		good := r.PostFormValue("client_id") == "app" && (r.PostFormValue("refresh_token") == mailPassword || r.PostFormValue("client_secret") == mailPassword)
		if !good {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		token := fmt.Sprintf("ya29.asked-for-%d", k.given.Add(1))
		k.good.Store(token)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, token)
		return
	}
	if r.FormValue("access_token") != k.good.Load() {
		http.Error(w, `{"error":"invalid_token"}`, http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"email":"bounces"}`)
}

// newTokenDaemon is newMailboxDaemon with an access token in place of the password.
func newTokenDaemon(t *testing.T, input, port, auth string) *daemon {
	t.Helper()
	d := newMailboxDaemon(t, startReceiver(t), input, port, "any", false)
	file := filepath.Join(d.dir, "config.yaml")
	writeFile(t, file, strings.Replace(readFile(t, file), "password_file: "+dovecotDir+"/password",
		"auth: "+auth+"\n    token_file: "+filepath.Join(d.dir, "access"), 1))
	return d
}

// renew puts a token in place as a program does that keeps it fresh.
func (d *daemon) renew(t *testing.T, token string) {
	t.Helper()
	d.addSecret(t, "access.new", token)
	if err := os.Rename(filepath.Join(d.dir, "access.new"), filepath.Join(d.dir, "access")); err != nil {
		t.Fatal(err)
	}
}

// TestMailboxTokens: a real Dovecot lets in by XOAUTH2 and OAUTHBEARER (RFC 7628), the token expires, and is renewed.
func TestMailboxTokens(t *testing.T) {
	if !jailed(t, pop3Server) {
		return
	}
	startMailboxes(t)
	k := startTokens(t)
	for _, test := range []struct{ input, port, auth string }{
		{"pop3", "995", "xoauth2"}, {"pop3 stls", "110", "oauthbearer"}, {"imap", "993", "xoauth2"}, {"starttls", "143", "oauthbearer"},
	} {
		t.Run(test.input+" "+test.auth, func(t *testing.T) {
			d := newTokenDaemon(t, test.input, test.port, test.auth)
			expireAndRenew(t, k, d)
		})
	}
}

// TestMailboxOAuth: the daemon asks for tokens itself, and for another one when the server takes the one it has no longer.
func TestMailboxOAuth(t *testing.T) {
	if !jailed(t, pop3Server) {
		return
	}
	startMailboxes(t)
	k := startTokens(t)
	for _, test := range []struct{ input, port, grant string }{{"pop3", "995", "client_secret_file"}, {"imap", "993", "refresh_token_file"}} {
		d := newTokenDaemon(t, test.input, test.port, "xoauth2")
		file := filepath.Join(d.dir, "config.yaml")
		writeFile(t, file, strings.Replace(readFile(t, file), "token_file: "+filepath.Join(d.dir, "access"),
			fmt.Sprintf("oauth: {token_url: 'http://%s/token', client_id: app, %s: %s/secret}", tokensAddr, test.grant, d.dir), 1))
		d.addSecret(t, "secret", mailPassword)
		d.start(t)
		var tr traffic
		tr.send(t, letter{names: []string{"unknown", "full"}, identified: inHeaders})
		waitQueueEmpty(t)
		waitMailboxEmpty(t, d)
		before := k.given.Load()
		k.good.Store("another")
		kickMailUser(t)
		tr.send(t, letter{names: []string{"plain"}, identified: inHeaders})
		waitQueueEmpty(t)
		waitMailboxEmpty(t, d)
		requireEveryBounce(t, &tr, d)
		d.stop(t)
		if n := k.given.Load() - before; n != 1 {
			t.Errorf("%s: asked for %d tokens, want 1", test.input, n)
		}
		if said := readFile(t, filepath.Join(d.dir, "stderr")); strings.Contains(said, "ya29.") {
			t.Error("the token is in the log")
		}
	}
}

func expireAndRenew(t *testing.T, k *tokens, d *daemon) {
	const first, second = "ya29.first-token_~+/==", "ya29.second-token_~+/=="
	k.good.Store(first)
	d.renew(t, first)
	d.start(t)
	var tr traffic
	tr.send(t, letter{names: []string{"unknown", "full", "ok"}, identified: inHeaders})
	waitQueueEmpty(t)
	waitMailboxEmpty(t, d)

	k.good.Store(second)
	kickMailUser(t)
	tr.send(t, letter{names: []string{"unknown", "full"}, identified: inHeaders})
	waitFor(t, "the daemon says that the token is refused", func() bool {
		said, err := d.command(t, "status", "--socket", filepath.Join(d.dir, "control.sock")).Output() // an error if all is not well
		words := strings.Join(strings.Fields(string(said)), " ")                                       // whatever the width of its lines
		return err != nil && strings.Contains(words, "the server refuses username or token") && strings.Contains(words, "whether the token has expired")
	})
	waitQueueEmpty(t)
	if len(mailsLeft(t)) == 0 {
		t.Error("read with an expired token")
	}

	d.renew(t, second)
	tr.send(t, letter{names: []string{"plain"}, identified: inHeaders})
	waitQueueEmpty(t)
	waitMailboxEmpty(t, d)
	requireEveryBounce(t, &tr, d)
	d.stop(t)
	if said := readFile(t, filepath.Join(d.dir, "stderr")); strings.Contains(said, "ya29.") {
		t.Error("the token is in the log")
	}
}

// kickMailUser ends the sessions that were let in by a token that has expired meanwhile, if there are any.
func kickMailUser(t *testing.T) {
	t.Helper()
	err := exec.Command("/usr/bin/doveadm", "-c", filepath.Join(dovecotDir, "dovecot.conf"), "kick", "bounces").Run()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 68) { // nobody was there: by POP3 that is most of the time
		t.Fatal(err)
	}
}
