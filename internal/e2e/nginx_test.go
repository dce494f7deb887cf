package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

const (
	nginxBinary   = "/usr/sbin/nginx"
	nginxByTCP    = "127.0.0.1:443"
	nginxBySocket = "127.0.0.2:443" // passes bodies on as they come, and so the slowness of their senders, too
)

// nginxConf has the location that the README recommends. Its blanks: the daemon's directory, nginx's own.
const nginxConf = `
user www-data;
daemon off;
pid %[2]s/pid;
error_log stderr;
events { worker_connections 2048; }
http {
	access_log off;
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/proxy;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	ssl_certificate %[2]s/cert.pem;
	ssl_certificate_key %[2]s/key.pem;
	client_max_body_size 8m; # the limit is to be the daemon's
	server {
		listen ` + nginxByTCP + ` ssl;
		server_name ` + hooksHost + `;
		location /webhooks/ {
			proxy_pass http://` + hooksAddr + `;
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
		}
	}
	server {
		listen ` + nginxBySocket + ` ssl;
		server_name ` + hooksHost + `;
		location /webhooks/ {
			proxy_pass http://unix:%[1]s/web/hooks.sock:;
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_http_version 1.1;
			proxy_request_buffering off;
		}
	}
}
`

// startNginx runs nginx before the hooks of d. It returns who signed its certificate.
func startNginx(t *testing.T, d *daemon) *x509.CertPool {
	t.Helper()
	dir := filepath.Join("/run", "nginx-e2e")
	writeFile(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(nginxConf, d.dir, dir))
	writeCertificate(t, dir)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(readFile(t, filepath.Join(dir, "cert.pem"))))
	startServer(t, "nginx", nginxBinary, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr")
	waitFor(t, "nginx listens", func() bool { return listening(nginxByTCP) && listening(nginxBySocket) })
	return pool
}

// TestNginx posts as providers and scripts do to a daemon behind nginx, which reaches it by TCP or by a socket.
func TestNginx(t *testing.T) {
	if !jailed(t, nginxBinary) {
		return
	}
	key := newRSAKey(t)
	startDNS(t, "--local=/copernica.com/", dkimRecord(t, "one._domainkey.copernica.com", key))
	r := startReceiver(t)
	d := startHooks(t, r)
	ca := startNginx(t, d)
	var arrived []string
	for name, addr := range map[string]string{"tcp": nginxByTCP, "socket": nginxBySocket} {
		office, elsewhere := door{addr: addr, ca: ca, from: sinkAddr}, door{addr: addr, ca: ca, from: "127.0.0.9"}
		at := "-" + name + "@mixed.test"
		arrived = append(arrived, "script"+at, "resend"+at, "copernica"+at, "office"+at)

		elsewhere.require(t, "a script", native("script"+at, hooksPass), http.StatusOK)
		elsewhere.require(t, "the same again", native("script"+at, hooksPass), http.StatusOK)
		elsewhere.require(t, "a wrong password", native("forged"+at, "another"), http.StatusUnauthorized)
		elsewhere.require(t, "a provider's signature", resend("resend"+at), http.StatusOK)
		tampered := resend("resend-2" + at)
		tampered.body = strings.ReplaceAll(tampered.body, "resend-2", "forged")
		elsewhere.require(t, "tampered with", tampered, http.StatusUnauthorized)
		elsewhere.require(t, "a signature over request target and host",
			copernica(t, "copernica"+at, "one._domainkey.copernica.com", key), http.StatusOK)
		large := native("forged"+at, hooksPass)
		large.body += strings.Repeat(" ", 2<<20)
		elsewhere.require(t, "2 MiB", large, http.StatusRequestEntityTooLarge)
		elsewhere.require(t, "GET", request{method: http.MethodGet, path: "/webhooks/bounce"}, http.StatusMethodNotAllowed)
		elsewhere.require(t, "no such path", request{path: "/webhooks/service/nobody"}, http.StatusNotFound)
		if status, _, body := elsewhere.do(t, request{method: http.MethodGet, path: "/webhooks/service/smtpeter-4711.txt"}); status != http.StatusOK || body != "it is me\n" {
			t.Errorf("the verification file: %d %q", status, body)
		}

		byAddress := native("office"+at, "")
		byAddress.path += "/office"
		office.require(t, "from the right address", byAddress, http.StatusOK)
		elsewhere.require(t, "from another", byAddress, http.StatusUnauthorized)
		byAddress.header.Set("X-Forwarded-For", sinkAddr)
		elsewhere.require(t, "from another that claims to be a proxy", byAddress, http.StatusUnauthorized)
		byAddress.header.Set("X-Forwarded-For", sinkAddr)
		door{addr: hooksAddr, from: "127.0.0.9"}.require(t, "past nginx with a claim", byAddress, http.StatusUnauthorized)
	}
	requireBounces(t, d, arrived...)
	d.stop(t)
}

// TestNginxSlowClients has more clients stop in the midst of a body than the daemon takes connections.
func TestNginxSlowClients(t *testing.T) {
	if !jailed(t, nginxBinary) {
		return
	}
	r := startReceiver(t)
	d := startHooks(t, r)
	ca := startNginx(t, d)
	var arrived []string
	for _, addr := range []string{nginxByTCP, nginxBySocket} {
		for range 200 {
			c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: ca, ServerName: certName})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprintf(c, "POST /webhooks/bounce/office HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\n\r\n{", hooksHost)
		}
		for range 20 {
			arrived = append(arrived, fmt.Sprintf("unknown-%d@mixed.test", len(arrived)))
			door{addr: addr, ca: ca}.require(t, "beside slow clients", native(arrived[len(arrived)-1], hooksPass), http.StatusOK)
		}
	}
	requireBounces(t, d, arrived...)
	d.stop(t)
}
