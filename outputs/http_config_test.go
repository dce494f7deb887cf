package outputs

import (
	"strings"
	"testing"
)

func TestHTTPConfiguration(t *testing.T) {
	const login = "username: u\n    password_env: T"
	for _, c := range []struct{ kind, lines, want string }{
		{"listmonk", "url: https://lists.example.com/webhooks/bounce\n    " + login, ""},
		{"listmonk", "url: https://lists.example.com/news/webhooks/bounce\n    auth: token\n    " + login, ""},
		{"listmonk", "url: http://127.0.0.1:9000/webhooks/bounce\n    " + login, ""},
		{"listmonk", "url: http://[::1]:9000/webhooks/bounce\n    " + login, ""},
		{"listmonk", "url: http://localhost:9000/webhooks/bounce\n    " + login, ""},
		{"listmonk", "url: http://10.0.0.5/webhooks/bounce", ""},
		{"listmonk", "url: http://10.0.0.5/webhooks/bounce\n    insecure_http: true\n    " + login, ""},
		{"listmonk", "url: http://10.0.0.5/webhooks/bounce\n    " + login, "b.yaml:4:10: outputs.out.url: the login would cross"},
		{"listmonk", "url: http://localhost.evil.example/webhooks/bounce\n    " + login, "the login would cross"},
		{"listmonk", login, "outputs.out.url: is missing: write it like https://lists.example.com/webhooks/bounce"},
		{"listmonk", "url: lists.example.com/webhooks/bounce", "begins with https:// or http://"},
		{"listmonk", "url: lists.example.com:9000/webhooks/bounce", "begins with https:// or http://"},
		{"listmonk", "url: ftp://lists.example.com/x", "begins with https:// or http://"},
		{"listmonk", "url: https:///webhooks/bounce", "lacks the host"},
		{"listmonk", "url: https://lists.example.com", "lacks the path"},
		{"listmonk", "url: https://lists.example.com/", "lacks the path"},
		{"listmonk", "url: https://lists.example.com:0/x", "no usable port"},
		{"listmonk", "url: https://lists.example.com:70000/x", "no usable port"},
		{"listmonk", "url: \"https://lists.example.com/x#y\"", "after '#'"},
		{"listmonk", "url: \"https://lists.example.com/x y\"", "holds a space"},
		{"listmonk", "url: https://u:hunter2@lists.example.com/x", "goes into username and password_file"},
		{"listmonk", "url: \"https://u:hunter2@lists.example.com:x/x\"", "begins with https:// or http://"},
		{"listmonk", "url: https://a.example/x\n    auth: bearer\n    " + login, `"bearer" is none of basic, token`},
		{"listmonk", "url: https://a.example/x\n    username: u", "has no password beside it"},
		{"listmonk", "url: https://a.example/x\n    password_env: T", "username: is missing beside the password"},
		{"listmonk", "url: https://a.example/x\n    username: \"u:v\"\n    password_env: T", "holds a ':'"},
		{"listmonk", "url: https://a.example/x\n    timeout: 0s", "must be more than 0"},
		{"listmonk", "url: http://a.example/x\n    ca_file: /x", "serves https:// only"},
		{"listmonk", "url: https://a.example/x\n    batch: 5", "unknown key"},
		{"listmonk", "url: https://a.example/x\n    send: [hard, delivered]", `"delivered" is none of`},
		{"webhook", "url: https://a.example\n    batch: 100\n    auth: bearer\n    password_env: T", ""},
		{"webhook", "url: https://a.example\n    auth: bearer", "bearer needs the token"},
		{"webhook", "url: https://a.example\n    auth: bearer\n    " + login, "goes without a name"},
		{"webhook", "url: https://a.example\n    password_env: T", "needs auth: bearer"},
		{"webhook", "url: https://a.example\n    batch: 0", "must be from 1 to 100"},
		{"webhook", "url: nowhere\n    batch: 101\n    auth: digest", "must be from 1 to 100"},
		{"webhook", "url: nowhere\n    batch: 101\n    auth: digest", "is none of basic, bearer"},
		{"webhook", "url: https://a.example\n    secret: hunter2", "may not stand in the configuration"},
		{"file", "path: bounces.jsonl", "must be an absolute path"},
		{"file", "max_rate: 0", "must be an absolute path"},
	} {
		_, err := build(t, c.kind, c.lines)
		expect(t, c.kind+" "+c.lines, err, c.want)
		if err != nil && (strings.Contains(err.Error(), "hunter2") || !strings.HasPrefix(err.Error(), "b.yaml:")) {
			t.Errorf("no place, or a secret: %v", err)
		}
	}
}
