package main

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bouncefeed/internal/agent"
)

// No canary gets into a bundle, wherever it stood.
func TestSupportMasks(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-canary"
	var canaries []string
	for i := range 1000 {
		canaries = append(canaries, fmt.Sprintf("canary%d+x@dom%d.example", i, i%7))
	}
	cfg := write(t, "c.yaml", "# "+canaries[0]+" "+secret+"\ninputs: {p: {type: pop3, host: h.example, username: "+canaries[1]+", password: "+secret+", parser: mail}}\noutputs: {l: {type: listmonk, url: \"https://u:"+secret+"@l.example/webhooks/bounce\"}}\n")
	st := fine()
	st.Outputs[0].Problem = "550 " + strings.Join(canaries, " <") + "> \"quoted canary\"@dom.example Bearer " + secret + " 01234567-89ab-cdef-0123-456789abcdef"
	out := filepath.Join(t.TempDir(), "b.tar.gz")
	command(t, "", "support", "-c", cfg, "-o", out, "--socket", daemon(t, answering(agent.Calls.Status, st))).expect(t, 0, "", "look through it before you send it")
	files := unpack(t, out)
	for _, name := range []string{"version.txt", "config.yaml", "check.txt", "status.txt", "unit.txt", "log.txt", "files.txt"} {
		if _, there := files[name]; !there {
			t.Errorf("lacks %s", name)
		}
	}
	for name, text := range files {
		for _, canary := range append(canaries, secret, "quoted canary", "01234567-89ab") {
			if strings.Contains(text, canary) {
				t.Errorf("%s has %q", name, canary)
				break
			}
		}
	}
	if c := files["config.yaml"]; !strings.Contains(c, "type: pop3") || !strings.Contains(c, "password: MASKED") || strings.Contains(c, "#") {
		t.Errorf("the configuration: %s", c)
	}
	if !strings.Contains(files["status.txt"], "@dom3.example") {
		t.Error("domains are masked, too")
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	command(t, "", "support", "-c", cfg, "-o", out, "--socket", "/nowhere/s").expect(t, exitFailure, "", "file exists")
}

func unpack(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(z); ; {
		head, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(head.Name)] = string(text)
	}
}
