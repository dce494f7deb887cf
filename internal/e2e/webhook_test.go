package e2e

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
)

const (
	hooksAddr = "127.0.0.1:8025"
	hooksHost = "bounces.example.com" // how the world knows them
	certName  = "127.0.0.1"           // for which writeCertificate's is
	hooksUser = "scripts"
	hooksPass = "a password"
)

// hooksConfig takes posts by TCP and by a socket. Its blanks: the daemon's directory, the receiver's URL.
const hooksConfig = `
inputs:
  hooks:
    type: webhook
    listen: ["` + hooksAddr + `", "unix:%[1]s/web/hooks.sock"]
    public_url: https://` + hooksHost + `
    trusted_proxies: [127.0.0.1, unix]
    max_connections: 64
    routes:
      - parser: native
        username: ` + hooksUser + `
        password_file: %[1]s/password
      - parser: native
        path: /webhooks/bounce/office
        from: ` + sinkAddr + `
      - parser:
          type: resend
          secret_file: %[1]s/secret
      - parser:
          type: standard
          secret_file: %[1]s/secret
      - parser:
          type: copernica
          accounts: [account-123]
          hosts: [` + hooksHost + `]
        files: [%[1]s/smtpeter-4711.txt]
outputs:
  listmonk:
    type: listmonk
    url: %[2]s
    username: bouncefeed
    password_file: %[1]s/token
queue:
  path: %[1]s/queue.db
control:
  socket: %[1]s/control.sock
`

// startHooks runs a daemon with hooksConfig.
func startHooks(t *testing.T, r *e2etest.Receiver) *daemon {
	t.Helper()
	d := newDaemonNamed(t, r, "", hooksConfig, r.URL)
	d.addSecret(t, "password", hooksPass)
	d.addSecret(t, "secret", hubSecret)
	d.addSecret(t, "smtpeter-4711.txt", "it is me")
	// As the README says: a web server reaches the socket by its group, which the directory hands on.
	if err := command("install", "-d", "-o", strconv.Itoa(daemonUID), "-g", "www-data", "-m", "2750", d.dir+"/web"); err != nil {
		t.Fatal(err)
	}
	d.start(t)
	waitFor(t, "the hooks listen", func() bool { return listening(hooksAddr) })
	return d
}

// door is a way to the hooks: the daemon itself, or a proxy before it.
type door struct {
	addr string         // to connect to, whatever the host of the URL
	ca   *x509.CertPool // nil: without TLS
	from string         // the client's address; "": 127.0.0.1
}

// request is one call of a webhook. Zero values: POST, JSON.
type request struct {
	method, path, body string
	header             http.Header
}

// do makes a request on a connection of its own, as providers do.
func (d door) do(t *testing.T, r request) (status int, header http.Header, body string) {
	t.Helper()
	scheme := "http://"
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(d.from)}}
		return dialer.DialContext(ctx, network, d.addr)
	}}
	if d.ca != nil {
		scheme, transport.TLSClientConfig = "https://", &tls.Config{RootCAs: d.ca, ServerName: certName}
	}
	if r.method == "" {
		r.method = http.MethodPost
	}
	req, err := http.NewRequest(r.method, scheme+hooksHost+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	client := &http.Client{Transport: transport, Timeout: e2etest.Patience}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

// native is what a script posts.
func native(recipient, password string) request {
	header := http.Header{"Content-Type": {"application/json"}}
	header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(hooksUser+":"+password)))
	return request{path: "/webhooks/bounce", header: header,
		body: fmt.Sprintf(`{"email":%q,"type":"hard","source":"a script","created_at":"2026-11-22T07:01:02Z"}`, recipient)}
}

// standardWebhook signs body after Standard Webhooks, whose headers begin with prefix.
func standardWebhook(path, prefix, id, body string) request {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(hubSecret, "whsec_"))
	if err != nil {
		panic(err)
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, key)
	io.WriteString(mac, id+"."+at+"."+body)
	header := http.Header{"Content-Type": {"application/json"}}
	header.Set(prefix+"Id", id)
	header.Set(prefix+"Timestamp", at)
	header.Set(prefix+"Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return request{path: path, header: header, body: body}
}

// resend is a bounce as Resend tells it.
func resend(recipient string) request {
	body := fmt.Sprintf(`{"type":"email.bounced","created_at":"2026-11-22T07:01:02.126Z","data":{"email_id":"id-of-%s","from":"News <news@news.test>","to":[%q],`+
		`"bounce":{"type":"Permanent","subType":"General","message":"550 5.1.1 <%s>: Recipient address rejected: User unknown"}}}`, recipient, recipient, recipient)
	return standardWebhook("/webhooks/service/resend", "Svix-", "msg_"+recipient, body)
}

// copernica is a failure as Copernica tells it, signed with key, which is said to stand at name in the DNS.
func copernica(t *testing.T, recipient, name string, key *rsa.PrivateKey) request {
	t.Helper()
	body := url.Values{
		"id": {"id-of-" + recipient}, "type": {"failure"}, "time": {strconv.FormatInt(time.Now().Unix(), 10)}, "recipient": {recipient},
		"action": {"failed"}, "state": {"rcpt"}, "code": {"550"}, "extended": {"5.1.1"}, "description": {"550 5.1.1 User unknown"}, "tags[]": {"a", "b"},
	}.Encode()
	r := request{path: "/webhooks/service/copernica", body: body, header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}
	digest := sha256.Sum256([]byte(body))
	r.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	r.header.Set("X-Copernica-Id", "account-123")
	r.header.Set("X-Nonce", recipient)
	r.header.Set("Digest", "SHA-256="+base64.StdEncoding.EncodeToString(digest[:]))
	covered := []string{"(request-target)", "host", "date", "content-length", "content-type", "x-copernica-id", "digest", "x-nonce"}
	var lines []string
	for _, field := range covered {
		value := r.header.Get(field)
		switch field {
		case "(request-target)":
			value = "post " + r.path
		case "host":
			value = hooksHost
		case "content-length":
			value = strconv.Itoa(len(body))
		}
		lines = append(lines, field+": "+value)
	}
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	r.header.Set("Signature", fmt.Sprintf(`keyId="%s",algorithm="rsa-sha256",headers="%s",signature="%s"`,
		name, strings.Join(covered, " "), base64.StdEncoding.EncodeToString(signature)))
	return r
}

// dkimRecord is the argument with which dnsmasq serves key at name, cut into strings of at most 255 bytes.
func dkimRecord(t *testing.T, name string, key *rsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	argument := "--txt-record=" + name
	for text := []byte("v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)); len(text) > 0; {
		n := min(255, len(text))
		argument += "," + string(text[:n])
		text = text[n:]
	}
	return argument
}

func newRSAKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// require makes a request and holds its answer to want.
func (d door) require(t *testing.T, what string, r request, want int) {
	t.Helper()
	if status, header, body := d.do(t, r); status != want {
		t.Errorf("%s: %d %v %s, want %d", what, status, header, bytes.TrimSpace([]byte(body)), want)
	}
}

// requireBounces waits until the daemon is done and holds the receiver to have each of these once, as a hard one.
func requireBounces(t *testing.T, d *daemon, recipients ...string) {
	t.Helper()
	d.waitIdle(t)
	times := map[string]int{}
	for _, p := range d.receiver.Seen() {
		times[p.Email]++
		if p.Type != "hard" {
			t.Errorf("%s: %s", p.Email, p.Type)
		}
	}
	for _, recipient := range recipients {
		if times[recipient] != 1 {
			t.Errorf("%s arrived %d times", recipient, times[recipient])
		}
		delete(times, recipient)
	}
	if len(times) > 0 {
		t.Errorf("nobody was to hear of %v", times)
	}
	d.requireQuiet(t)
}

// TestCopernica signs with keys that stand in a real DNS server, which then falls silent for a while.
func TestCopernica(t *testing.T) {
	if !jailed(t) {
		return
	}
	const one, two, three = "one._domainkey.copernica.com", "two._domainkey.copernica.com", "three._domainkey.copernica.com"
	first, second, other := newRSAKey(t), newRSAKey(t), newRSAKey(t)
	dns := startDNS(t, "--local=/copernica.com/", "--local-ttl=300", dkimRecord(t, one, first), dkimRecord(t, two, second))
	r := startReceiver(t)
	d := startHooks(t, r)
	hooks := door{addr: hooksAddr}

	hooks.require(t, "a genuine post", copernica(t, "genuine@mixed.test", one, first), http.StatusOK)
	hooks.require(t, "signed with another key", copernica(t, "forged@mixed.test", one, other), http.StatusUnauthorized)
	hooks.require(t, "signed with a key that is not in the DNS", copernica(t, "forged@mixed.test", three, other), http.StatusUnauthorized)
	tampered := copernica(t, "genuine-2@mixed.test", one, first)
	tampered.body = strings.Replace(tampered.body, "genuine-2", "forged", 1)
	hooks.require(t, "tampered with", tampered, http.StatusUnauthorized)

	dns.signal(t, syscall.SIGSTOP)
	hooks.require(t, "while the DNS is silent, by a key known", copernica(t, "known@mixed.test", one, first), http.StatusOK)
	status, header, _ := hooks.do(t, copernica(t, "new-key@mixed.test", two, second))
	dns.signal(t, syscall.SIGCONT)
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("while the DNS is silent, by a key unknown: %d %v", status, header)
	}
	hooks.require(t, "sent again", copernica(t, "new-key@mixed.test", two, second), http.StatusOK)
	requireBounces(t, d, "genuine@mixed.test", "known@mixed.test", "new-key@mixed.test")
	d.stop(t)
}

// TestShutdownWaitsForThePost: a POST under way when the daemon is told to stop may still end, and is not posted again.
func TestShutdownWaitsForThePost(t *testing.T) {
	if !jailed(t) {
		return
	}
	r := startReceiver(t)
	d := startHooks(t, r)
	r.Be(e2etest.Lingers)
	(door{addr: hooksAddr}).require(t, "a bounce", native("unknown@mixed.test", hooksPass), http.StatusOK)
	waitFor(t, "its POST is under way", func() bool { return len(r.Seen()) == 1 })
	d.stop(t)
	r.Be(e2etest.Takes)
	d.start(t)
	requireBounces(t, d, "unknown@mixed.test")
	d.stop(t)
}
