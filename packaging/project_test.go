// Package packaging has only tests: what it is of is scripts.
package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// project runs a script after packaging/project, in a directory with a CHANGELOG.md and no git.
func project(t *testing.T, version, changelog, script string) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "CHANGELOG.md"), []byte(changelog), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(here, filepath.Join(dir, "packaging")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-euc", ". packaging/project; "+script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "VERSION="+version, "SOURCE_DATE_EPOCH=1800000000", "MAINTAINER=Jo <jo@example.org>", "GIT_DIR=/nonexistent")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

const twoReleases = `# Changelog

## [0.2.0] - 2027-01-02

### Added

- Second.

## [0.1.0] - 2026-11-29

### Added

- First.
`

// TestVersions: whatever is built, the newest stanza of the package's changelog is its version.
func TestVersions(t *testing.T) {
	for _, tt := range []struct{ version, stanzas string }{
		{"", "0.2.0~unknown-1 0.1.0-1"},
		{"v0.2.0", "0.2.0-1 0.1.0-1"},
		{"v0.1.0-5-gabc", "0.1.0+5.gabc-1 0.1.0-1"}, // what is under way
		{"v0.2.0-5-gabc", "0.2.0+5.gabc-1 0.2.0-1 0.1.0-1"},
		{"v0.2.0+dirty", "0.2.0+dirty-1 0.2.0-1 0.1.0-1"},
	} {
		const stanzas = `debian_changelog CHANGELOG.md | sed -n 's/^bouncefeed (\(.*\)) .*/\1/p' | xargs`
		if got := strings.TrimSpace(project(t, tt.version, twoReleases, stanzas)); got != tt.stanzas {
			t.Errorf("VERSION=%s: stanzas %s, want %s", tt.version, got, tt.stanzas)
		}
	}
	got := strings.TrimSpace(project(t, "v0.2.0-5-gabc", "## [Unreleased]\n\n### Added\n\n- Third.\n\n"+twoReleases, "debian_changelog CHANGELOG.md | head -3"))
	if !strings.HasPrefix(got, "bouncefeed (0.2.0+5.gabc-1)") || !strings.HasSuffix(got, "* Third.") {
		t.Errorf("what is unreleased gives\n%s", got)
	}
}

// TestNews: an upgrade shows the news of the versions in between, not those of its first release once more.
func TestNews(t *testing.T) {
	const stanzas = `debian_changelog packaging/NEWS news | sed -n 's/^bouncefeed (\(.*\)) .*/\1/p; s/^ -- .*>  //p'`
	if got, want := project(t, "v0.2.0", twoReleases, stanzas), "0.1.0-1\nSun, 29 Nov 2026 00:00:00 +0000\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
