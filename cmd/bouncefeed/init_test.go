package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func contents(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// init writes both files readable to the service and nobody else, asks listmonk, and writes over nothing unasked.
func TestInitWrites(t *testing.T) {
	t.Parallel()
	listmonk := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if _, password, _ := r.BasicAuth(); password != "sesame" {
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `{"message":"invalid API credentials"}`)
			return
		}
		if body, _ := io.ReadAll(r.Body); r.Method == http.MethodPost && string(body) == "{}" {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"message":"Invalid data: email or subscriber_uuid"}`)
			return
		}
		io.WriteString(w, `{"data":true}`)
	}))
	defer listmonk.Close()
	dir := t.TempDir()
	cfg, token := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "listmonk.token")
	args := []string{"init", "-o", cfg, "--password-file", token, "--url", strings.TrimPrefix(listmonk.URL, "http://"), "--token", "-"}
	r := command(t, "sesame\n", args...)
	r.expect(t, 0, "", "wrote "+token)
	r.expect(t, 0, "", "wrote "+cfg)
	r.expect(t, 0, "", "ok     output listmonk")
	r.expect(t, 0, "", "bouncefeed check --online -c "+cfg)
	if r.out != "" || strings.Contains(r.err, "sesame") {
		t.Errorf("%+v", r)
	}
	if got := contents(t, token); got != "sesame\n" {
		t.Errorf("the token is %q", got)
	}
	for _, path := range []string{cfg, token} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm()&^0o640 != 0 {
			t.Errorf("%s: %v, %v", path, st.Mode(), err)
		}
	}
	command(t, "", "check", "-c", cfg).expect(t, 0, "ok     configuration", "")
	command(t, "sesame\n", args...).expect(t, 0, "", "wrote "+cfg) // the same again is no harm

	written := contents(t, cfg)
	if err := os.WriteFile(cfg, []byte("mine: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "sesame\n", args...).expect(t, exitFailure, "", cfg+" is there already: nothing was written")
	if contents(t, cfg) != "mine: true\n" {
		t.Error("written over")
	}
	command(t, "other\n", append(args, "--force")...).expect(t, 0, "", "WRONG  output listmonk: ")
	if contents(t, cfg) != written || contents(t, cfg+".old") != "mine: true\n" || contents(t, token) != "other\n" {
		t.Errorf("--force: %s", contents(t, cfg))
	}
	command(t, "sesame\n", args...).expect(t, exitFailure, "", token+" holds another token: nothing was written")
	command(t, "", "init", "-o", cfg, "--password-file", token, "--force").expect(t, 0, "", "put listmonk's address into "+cfg)
	command(t, "other\n", args...).expect(t, 0, "", "wrote "+cfg) // over a draft without an address
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestInitPrints(t *testing.T) {
	t.Parallel()
	r := command(t, "", "init")
	r.expect(t, 0, "url: https://lists.example.com/webhooks/bounce\n", "")
	command(t, "", "init", "--json").expect(t, 0, "", "")
	cfg := write(t, "c.yaml", r.out)
	command(t, "", "check", "-c", cfg).expect(t, 0, "ok     configuration", "")
	command(t, "", "init", "--url", "ftp://lists").expect(t, exitUsage, "", "is no web address")
	command(t, "", "init", "--username", "a: b").expect(t, exitUsage, "", "can't stand in the configuration")
	command(t, " \n", "init", "--token", "-").expect(t, exitFailure, "", "holds no token")
	command(t, "", "init", "--token", "/nowhere").expect(t, exitFailure, "", "no such file")
}

func TestInitAsks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var said bytes.Buffer
	o := initOrder{passwordFile: filepath.Join(dir, "token"), output: filepath.Join(dir, "c.yaml")}
	q := asker{in: strings.NewReader("my list\nlists.example.org/admin/settings\napi\nsesame\n"), out: &said}
	if err := q.complete(&o); err != nil {
		t.Fatal(err)
	}
	to, err := o.receiver()
	if err != nil || to.URL != "https://lists.example.org/webhooks/bounce" || to.Username != "api" || q.token != "sesame" {
		t.Errorf("%+v, %q, %v", to, q.token, err)
	}
	if !strings.Contains(said.String(), `"https://my list" is no web address`) {
		t.Error(said.String())
	}
	q.in = strings.NewReader("lists.example.org\n")
	if err := q.complete(&initOrder{}); err == nil || !strings.Contains(err.Error(), "nothing was written") {
		t.Error(err)
	}
}

func TestListmonkURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"lists.example.com":                            "https://lists.example.com/webhooks/bounce",
		"https://lists.example.com/":                   "https://lists.example.com/webhooks/bounce",
		"https://lists.example.com/admin/settings?x=1": "https://lists.example.com/webhooks/bounce",
		"https://example.com/listmonk":                 "https://example.com/listmonk/webhooks/bounce",
		"https://example.com/listmonk/webhooks/bounce": "https://example.com/listmonk/webhooks/bounce",
		"localhost:9000":                               "http://localhost:9000/webhooks/bounce",
		"127.0.0.1:9000":                               "http://127.0.0.1:9000/webhooks/bounce",
		"http://lists.lan:9000":                        "http://lists.lan:9000/webhooks/bounce",
		"":                                             "",
		"https://user:secret@lists.example.com":        "",
		"https://lists.example.com/\" # x":             "",
		"ftp://lists.example.com":                      "",
		"lists example com":                            "",
	} {
		if got, err := listmonkURL(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
}
