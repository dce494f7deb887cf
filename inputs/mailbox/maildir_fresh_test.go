package mailbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// later has what m watches be as old as that.
func (m *maildir) later(d time.Duration) {
	for hash, was := range m.fresh {
		was.since = was.since.Add(-d)
		m.fresh[hash] = was
	}
}

func (d *maildirWorld) grow(name, body string) {
	d.Helper()
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	d.must(err)
	_, err = f.WriteString(body)
	d.must(err)
	d.must(f.Close())
}

// A message that was read before all of it was there is read again, and only then deleted.
func TestMaildirReadsAgainWhatGrew(t *testing.T) {
	t.Parallel()
	for _, after := range []string{afterLeave, afterMove, afterDeleteReports, afterDeleteAll} {
		d := newMaildirWorld(t)
		m, sink := d.input("after: "+after), &fates{}
		scan := func() {
			t.Helper()
			d.must(m.scan(t.Context(), sink))
		}
		d.grow("new/1.x", "Subject: failure\n")
		scan()
		m.later(time.Second)
		d.grow(d.files("new", "cur")[0], "\nuser unknown\n")
		scan()
		if len(sink.Bodies) != 2 || !strings.Contains(sink.Bodies[1], "user unknown") {
			t.Errorf("%s: committed %q", after, sink.Bodies)
		}
		m.later(maildirSettled)
		scan()
		m.later(maildirFresh)
		scan()
		left := d.files("new", "cur")
		if gone := len(left) == 0; gone != strings.HasPrefix(after, "delete") || len(sink.Bodies) != 2 || len(m.fresh) > 0 && !gone {
			t.Errorf("%s: left %q, committed %q, watched %d", after, left, sink.Bodies, len(m.fresh))
		}
	}
}

// The daemon may be started anew while a message grows.
func TestMaildirReadsAgainWhatGrewMeanwhile(t *testing.T) {
	t.Parallel()
	for _, after := range []string{afterLeave, afterMove, afterDeleteReports, afterDeleteAll} {
		d := newMaildirWorld(t)
		sink := &fates{}
		d.grow("new/1.x", "Subject: failure\n")
		d.must(d.input("after: "+after).scan(t.Context(), sink))
		d.grow(d.files("new", "cur")[0], "\nuser unknown\n")
		m := d.input("after: " + after)
		d.must(m.scan(t.Context(), sink))
		if len(sink.Bodies) != 2 || !strings.Contains(sink.Bodies[1], "user unknown") {
			t.Errorf("%s: committed %q", after, sink.Bodies)
		}
		m.later(maildirSettled)
		d.must(m.scan(t.Context(), sink))
		if gone := len(d.files("new", "cur")) == 0; gone != strings.HasPrefix(after, "delete") {
			t.Errorf("%s: left %q", after, d.files("new", "cur"))
		}
	}
}

// A name may show before the first line does, which does not change the directory.
func TestMaildirReadsWhatWasEmpty(t *testing.T) {
	t.Parallel()
	d := newMaildirWorld(t)
	m, sink := d.input(""), &fates{}
	d.grow("new/1.x", "")
	d.must(m.scan(t.Context(), sink))
	d.must(m.scan(t.Context(), sink))
	d.grow("new/1.x", "Subject: failure\n\n")
	d.must(m.scan(t.Context(), sink))
	if len(sink.Bodies) != 1 {
		t.Errorf("committed %q", sink.Bodies)
	}
}

// Who deletes from a Maildir with a quota says so, but of what is in the trash.
func TestMaildirAccountsForTheQuota(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		after string
		quota bool
		want  string
	}{
		"deleted":         {afterDeleteReports, true, "1000000S\n3000 3\n-1018 -2\n"},
		"left":            {afterLeave, true, "1000000S\n3000 3\n"},
		"moved":           {afterMove, true, "1000000S\n3000 3\n"},
		"without a quota": {afterDeleteAll, false, ""},
	} {
		d := newMaildirWorld(t)
		d.mkdir(".Trash")
		if c.quota {
			d.must(os.WriteFile(filepath.Join(d.path, "maildirsize"), []byte("1000000S\n3000 3\n"), 0o600))
		}
		for _, name := range []string{"new/1.x,S=1000", "new/2.y", ".Trash/new/3.z"} {
			d.write(name, "Subject: failure\n\n")
		}
		for range 2 {
			d.scan("folders: [INBOX, Trash]\nafter: "+c.after, &fates{})
			old := time.Now().Add(-time.Hour)
			for _, name := range d.files("new", "cur", ".Trash/new") {
				d.must(os.Chtimes(filepath.Join(d.path, name), old, old))
			}
		}
		got, err := os.ReadFile(filepath.Join(d.path, "maildirsize"))
		if string(got) != c.want || (err == nil) != c.quota {
			t.Errorf("%s: %q, want %q, %v; left %q", what, got, c.want, err, d.files("new", "cur", ".Trash/new"))
		}
	}
}
