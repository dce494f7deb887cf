package webhook

import (
	"bytes"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"bouncefeed/internal/config"
)

func TestWebhookLogins(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "secret", "old one\nnew one\n")
	secret := "secret_file: %DIR%/secret"
	sink := newJudge(nil)
	url := startWebhook(t, dir, `routes:
- {parser: native, path: /basic, username: jo, password_file: "%DIR%/secret"}
- {parser: native, path: /bearer, token_file: "%DIR%/secret"}
- {parser: native, path: /header, header: x-key, `+secret+`}
- {parser: native, path: /query, query: key, `+secret+`}
- {parser: native, path: /near, from: 127.0.0.0/8}
- {parser: native, path: /far, from: 192.0.2.1}
- {parser: native, path: /lost, token_file: "%DIR%/lost"}
`, sink)
	basic := func(user, password string) string {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(user, password)
		return r.Header.Get("Authorization")
	}
	for _, c := range []struct {
		path, header, value string
		status              int
	}{
		{"/basic", "Authorization", basic("jo", "old one"), 200},
		{"/basic", "Authorization", basic("jo", "new one"), 200},
		{"/basic", "Authorization", "token jo:new one", 200},
		{"/basic", "Authorization", basic("jo", "old one\nnew one"), 401},
		{"/basic", "Authorization", basic("joe", "new one"), 401},
		{"/basic", "Authorization", basic("jo", ""), 401},
		{"/basic", "Authorization", "Bearer new one", 401},
		{"/basic", "X", "", 401},
		{"/bearer", "Authorization", "Bearer new one", 200},
		{"/bearer", "Authorization", "bearer old one", 200},
		{"/bearer", "Authorization", "Bearer new", 401},
		{"/bearer", "Authorization", basic("jo", "new one"), 401},
		{"/bearer", "X", "", 401},
		{"/header", "X-Key", "new one", 200},
		{"/header", "X-Key", "", 401},
		{"/header", "X", "new one", 401},
		{"/query?key=old+one", "X", "", 200},
		{"/query?key=older+one", "X", "", 401},
		{"/query", "X", "", 401},
		{"/near", "X", "", 200},
		{"/far", "X", "", 401},
		{"/far", "X-Forwarded-For", "192.0.2.1", 401},
		{"/lost", "Authorization", "Bearer new one", 503},
	} {
		status, header, _ := post(t, "POST", url+c.path, "{}", c.header, c.value)
		if status != c.status {
			t.Errorf("%s %s %q: %d, want %d", c.path, c.header, c.value, status, c.status)
		}
		if status == 401 && (header.Get("WWW-Authenticate") != "") != (c.path == "/basic") {
			t.Errorf("%s: %v", c.path, header)
		}
		switch status {
		case 200:
			if rec := <-sink.recs; rec.Request.Field("Authorization") != "" {
				t.Errorf("%s: the login stands in the record", c.path)
			}
		case 401:
			if why := <-sink.refused; why != whyBadLogin {
				t.Errorf("%s: counted as %s", c.path, why)
			}
		}
	}
}

func TestWebhookBelievesOnlyItsProxies(t *testing.T) {
	for _, c := range []struct{ proxies, forwarded, want string }{
		{"", "192.0.2.7", "127.0.0.1"},
		{"trusted_proxies: 127.0.0.1", "192.0.2.7", "192.0.2.7"},
		{"trusted_proxies: 127.0.0.1", "198.51.100.1, 192.0.2.7", "192.0.2.7"},
		{"trusted_proxies: [127.0.0.1, 10.0.0.0/8]", "192.0.2.7, 10.1.1.1", "192.0.2.7"},
		{"trusted_proxies: 127.0.0.1", "192.0.2.7, 127.0.0.1", "192.0.2.7"},
		{"trusted_proxies: 127.0.0.1", "absent", "127.0.0.1"},
		{"trusted_proxies: 127.0.0.1", "unknown", "invalid IP"},
		{"trusted_proxies: 127.0.0.1", "", "invalid IP"},
		{"trusted_proxies: 127.0.0.1", "192.0.2.7:4711", "invalid IP"},
		{"trusted_proxies: 127.0.0.1", "127.0.0.1:80", "invalid IP"},
		{"trusted_proxies: 127.0.0.1", "[::1]", "invalid IP"},
		{"trusted_proxies: 127.0.0.1", "192.0.2.7%eth0", "invalid IP"},
		{"trusted_proxies: [127.0.0.1, '::1']", "::1%lo", "invalid IP"},
		{"trusted_proxies: 127.0.0.1", "192.0.2.7, unknown, 127.0.0.1", "invalid IP"},
		{"trusted_proxies: 10.0.0.0/8", "192.0.2.7", "127.0.0.1"},
	} {
		sink := newJudge(nil)
		url := startWebhook(t, "", c.proxies+"\nroutes: [{parser: native}]", sink)
		header := []string{"X-Forwarded-For", c.forwarded}
		if c.forwarded == "absent" {
			header = nil
		}
		post(t, "POST", url+"/webhooks/bounce", "{}", header...)
		if rec := <-sink.recs; rec.Request.Remote.String() != c.want {
			t.Errorf("%s %q: %s", c.proxies, c.forwarded, rec.Request.Remote)
		}
	}
}

// Whoever the proxy can't name stands in no network, least of all in the proxy's own.
func TestWebhookLetsNoUnnamedHopIn(t *testing.T) {
	sink := newJudge(nil)
	url := startWebhook(t, "", "trusted_proxies: 127.0.0.1\nroutes: [{parser: native, from: ['0.0.0.0/0', '::/0']}]", sink)
	for forwarded, want := range map[string]int{"192.0.2.7": 200, "192.0.2.7:4711": 401, "unknown": 401, "127.0.0.1:1": 401, "": 401} {
		if status, _, _ := post(t, "POST", url+"/webhooks/bounce", "{}", "X-Forwarded-For", forwarded); status != want {
			t.Errorf("%q: %d, want %d", forwarded, status, want)
		}
	}
}

func TestWebhookConfigurations(t *testing.T) {
	for section, want := range map[string]string{
		"":                         "routes: none",
		"routes: [{username: jo}]": "the first: lacks its parser",
		"routes: [{parser: native, username: jo}]":                                                         "takes both username and password_file",
		"routes: [{parser: native, header: x}]":                                                            "takes secret_file",
		"routes: [{parser: native, secret_file: /x}]":                                                      "takes secret_file",
		"routes: [{parser: native, token_file: /x, query: k, secret_file: /y}]":                            "more than one",
		"routes: [{parser: native}, {parser: native}]":                                                     "the second: path: /webhooks/bounce is another",
		"routes: [{parser: native, path: webhooks}]":                                                       "is no path",
		"routes: [{parser: native, path: /a/../b}]":                                                        "is no path",
		"routes: [{parser: native, from: here}]":                                                           "is no network",
		"listen: 8025\nroutes: [{parser: native}]":                                                         "is no address with its port",
		"listen: unix:a\nroutes: [{parser: native}]":                                                       "begins with /",
		"listen: []\nroutes: [{parser: native}]":                                                           "names no address",
		"tls: {cert: /a}\nroutes: [{parser: native}]":                                                      "both cert and key",
		"max_connections: 0\nroutes: [{parser: native}]":                                                   "max_connections",
		"max_per_address: 0\nroutes: [{parser: native}]":                                                   "max_per_address",
		"trusted_proxies: x\nroutes: [{parser: native}]":                                                   "trusted_proxies",
		"listen: :8025\nroutes: [{parser: native, token_file: /x}]":                                        "readable to all",
		"listen: :8025\ninsecure_http: true\nroutes: [{parser: native, token_file: /x}]":                   "",
		"listen: :8025\ntls: {cert: /a, key: /b}\nroutes: [{parser: native, token_file: /x}]":              "",
		"listen: [localhost:8025, '[::1]:8025']\nroutes: [{parser: native, username: a, password_env: B}]": "",
	} {
		_, err := buildWebhook(t, "", section)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s\n%v, want %q", section, err, want)
		}
	}
}

func TestWebhookSaysWhatIsPublic(t *testing.T) {
	for listen, want := range map[string]bool{
		"127.0.0.1:1": false, "localhost:1": false, "'[::1]:1'": false, "unix:/x": false, ":1": true, "0.0.0.0:1": true,
		"192.0.2.1:1": true, "mx1.example.org:1": true, "[unix:/x, ':1']": true,
		"127.0.0.1:1\npublic_url: https://b.example.com": true, "127.0.0.1:1\ntrusted_proxies: unix": true,
		"127.0.0.1:1\npublic_url: http://127.0.0.1:1": false,
	} {
		w, err := buildWebhook(t, "", "listen: "+listen+"\nroutes: [{parser: native}]")
		if err != nil {
			t.Fatal(err)
		}
		if r := w.Routes()[0]; r.Name != "/webhooks/bounce" || r.Public != want || r.Authenticated || r.Parser.Type != "native" {
			t.Errorf("%s: %+v", listen, r)
		}
	}
}

func TestWebhookDescribesItsURLs(t *testing.T) {
	w, err := buildWebhook(t, "", "public_url: https://b.example.com/\nroutes: [{parser: native}, {parser: sendgrid}, {parser: {type: ses}, path: /ses/2}]")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"native: https://b.example.com/webhooks/bounce",
		"sendgrid: https://b.example.com/webhooks/service/sendgrid",
		"ses: https://b.example.com/ses/2",
	}
	var got []string
	for _, r := range w.Routes() {
		got = append(got, r.Parser.Type+": "+r.URL)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestWebhookExampleShowsEveryKeyOfARoute(t *testing.T) {
	text, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range config.Keys(&webhookRoute{}) {
		if !bytes.Contains(text, []byte(" "+key+": ")) {
			t.Errorf("the example lacks %s of a route", key)
		}
	}
}
