package logs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestInOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := time.Now().Add(-time.Hour)
	for _, name := range strings.Fields("mail.log mail.log.1 mail.log.2.gz mail.log.10.gz mail.log.3 mail.log.3.gz mainlog mainlog-20261120.gz mainlog-20261122 app.log app-20261101.log app.1.log other notes.2026") {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	for given, want := range map[string]string{
		"mail.log mail.log.1 mail.log.10.gz mail.log.2.gz":            "mail.log.10.gz mail.log.2.gz mail.log.1 mail.log", // as the shell has mail.log*
		"mail.log.1 mail.log.2.gz":                                    "mail.log.2.gz mail.log.1",
		"mail.log.3 mail.log.3.gz mail.log":                           "mail.log.3 mail.log",
		"other mainlog mainlog-20261122 mail.log mainlog-20261120.gz": "other mainlog-20261120.gz mainlog-20261122 mainlog mail.log",
		"app.log app-20261101.log":                                    "app-20261101.log app.log",
		"app.log app.1.log":                                           "app.1.log app.log",
		"mail.log none.2 none.1":                                      "mail.log none.2 none.1",
		"mail.log mail.log":                                           "mail.log",
		"notes.2026 other":                                            "notes.2026 other",
	} {
		var paths []string
		for _, name := range strings.Fields(given) {
			paths = append(paths, filepath.Join(dir, name))
		}
		var got []string
		for _, path := range InOrder(append(paths, "-")) {
			got = append(got, filepath.Base(path))
		}
		if strings.Join(got, " ") != want+" -" {
			t.Errorf("%s:\n got %s\nwant %s -", given, strings.Join(got, " "), want)
		}
	}
}
