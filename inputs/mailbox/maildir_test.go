package mailbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"bouncefeed/inputs"
	"bouncefeed/inputs/inputtest"
	"bouncefeed/internal/event"
)

func TestMaildirConformance(t *testing.T) {
	inputtest.Conformance(t, func(t *testing.T) inputtest.Source {
		d := newMaildirWorld(t)
		return inputtest.Source{Input: d.input("poll: 100ms"), Add: d.add}
	})
}

// maildirWorld is a Maildir to which messages are delivered.
type maildirWorld struct {
	*testing.T
	path  string
	added int
}

func newMaildirWorld(t *testing.T) *maildirWorld {
	d := &maildirWorld{T: t, path: t.TempDir()}
	d.mkdir("")
	return d
}

func (d *maildirWorld) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d *maildirWorld) mkdir(folder string) {
	for _, sub := range []string{"new", "cur", "tmp"} {
		d.must(os.MkdirAll(filepath.Join(d.path, folder, sub), 0o700))
	}
}

func (d *maildirWorld) write(name, body string) {
	d.Helper()
	tmp := filepath.Join(d.path, "tmp", filepath.Base(name))
	d.must(os.WriteFile(tmp, []byte(body), 0o600))
	d.must(os.Rename(tmp, filepath.Join(d.path, name)))
}

// add delivers n messages to new.
func (d *maildirWorld) add(n int) (bodies []string) {
	for range n {
		d.added++
		body := fmt.Sprintf("Subject: failure\n\nuser %d unknown\n", d.added)
		d.write(fmt.Sprintf("new/17%08d.M1P2.mx", d.added), body)
		bodies = append(bodies, body)
	}
	return bodies
}

func (d *maildirWorld) input(more string) *maildir {
	d.Helper()
	in, _ := buildInput(d.T, "type: maildir\ntrust: any\npath: "+d.path+"\n"+more)
	return in.(*maildir)
}

// scan reads once as a new process does.
func (d *maildirWorld) scan(more string, sink inputs.Sink) {
	d.Helper()
	d.must(d.input(more).scan(d.Context(), sink))
}

// files lists what is in the Maildir, but the messages' directories themselves.
func (d *maildirWorld) files(dirs ...string) (names []string) {
	for _, dir := range dirs {
		entries, err := os.ReadDir(filepath.Join(d.path, dir))
		d.must(err)
		for _, e := range entries {
			names = append(names, dir+"/"+e.Name())
		}
	}
	return names
}

func TestMaildirClearsAwayWhatItMay(t *testing.T) {
	t.Parallel()
	for after, want := range map[string][]string{
		afterMove:          {"cur/1.failure:2,S", "cur/2.ordinary:2,S", "cur/3.strange:2,S", "cur/4.cur:2,RS"},
		afterLeave:         {"new/1.failure", "new/2.ordinary", "new/3.strange", "cur/4.cur:2,RS"},
		afterDeleteReports: {"new/2.ordinary", "new/3.strange"},
		afterDeleteAll:     {"new/3.strange"},
	} {
		d := newMaildirWorld(t)
		for i, kind := range []string{"failure", "ordinary", "strange"} {
			d.write(fmt.Sprintf("new/%d.%s", i+1, kind), "Subject: "+kind+"\n\n")
		}
		d.write("cur/4.cur:2,RS", "Subject: failure\n\nread by somebody\n")
		sink := &fates{}
		for range 2 {
			d.scan("after: "+after, sink)
		}
		if got := d.files("new", "cur"); !slices.Equal(got, want) || len(sink.Bodies) != 4 {
			t.Errorf("%s: %q, want %q; %d committed", after, got, want, len(sink.Bodies))
		}
	}
}

// A kill between the Commit and what follows it neither reads a message twice nor leaves it where it should not be.
func TestMaildirKilledAfterCommit(t *testing.T) {
	t.Parallel()
	for _, after := range []string{afterMove, afterDeleteAll} {
		d := newMaildirWorld(t)
		d.add(3)
		killed := errors.New("killed")
		sink := &fates{}
		lost := &afterCommit{&sink.Sink, killed}
		if err := d.input("after: "+after).scan(t.Context(), lost); !errors.Is(err, killed) {
			t.Fatal(err)
		}
		if len(d.files("new")) != 3 {
			t.Fatalf("%s: cleared away before Commit returned", after)
		}
		d.scan("after: "+after, sink)
		if len(sink.Bodies) != 3 || len(d.files("new")) != 0 {
			t.Errorf("%s: %d committed, left %q", after, len(sink.Bodies), d.files("new", "cur"))
		}
	}
}

// afterCommit stores everything as understood and is then not heard of again.
type afterCommit struct {
	*inputtest.Sink
	err error
}

func (a *afterCommit) CommitFates(ctx context.Context, recs []event.Record, checkpoint func([]event.Fate) map[string]string) error {
	fates := slices.Repeat([]event.Fate{event.Understood}, len(recs))
	if err := a.Commit(ctx, recs, checkpoint(fates)); err != nil {
		return err
	}
	return a.err
}

// What is no message is neither read nor touched, and nothing blocks on it.
func TestMaildirForeignFiles(t *testing.T) {
	t.Parallel()
	d := newMaildirWorld(t)
	want := d.add(1)
	d.write("new/.hidden", "Subject: x\n\n")
	d.write("new/empty", "")
	d.must(os.Mkdir(filepath.Join(d.path, "new", "directory"), 0o700))
	d.must(os.Symlink("/etc/passwd", filepath.Join(d.path, "new", "link")))
	d.must(os.Symlink("nowhere", filepath.Join(d.path, "cur", "dangling")))
	d.must(unix.Mkfifo(filepath.Join(d.path, "new", "pipe"), 0o600))
	sink := &fates{}
	for range 2 {
		d.scan("after: delete-all", sink)
	}
	left := []string{"new/.hidden", "new/directory", "new/empty", "new/link", "new/pipe", "cur/dangling"}
	if got := d.files("new", "cur"); !slices.Equal(sink.Bodies, want) || !slices.Equal(got, left) {
		t.Errorf("committed %q, left %q", sink.Bodies, got)
	}
}

func TestMaildirFolders(t *testing.T) {
	t.Parallel()
	d := newMaildirWorld(t)
	d.mkdir(".Bounces.2026")
	d.mkdir(".Other")
	d.add(1)
	d.write(".Bounces.2026/new/1.a", "Subject: failure\n\nin a folder\n")
	d.write(".Other/new/1.a", "Subject: failure\n\nnot asked for\n")
	sink := &fates{}
	d.scan("folders: [INBOX, Bounces.2026]", sink)
	if len(sink.Bodies) != 2 || len(d.files(".Bounces.2026/cur")) != 1 || len(d.files(".Other/new")) != 1 {
		t.Errorf("committed %q", sink.Bodies)
	}
	for _, bad := range []string{"[]", "[../x]", "[.a]", "[a/b]", `[""]`} {
		if _, _, err := tryInput("type: maildir\ntrust: any\npath: /x\nfolders: " + bad); err == nil {
			t.Errorf("folders: %s was taken", bad)
		}
	}
}

// A mail program that moves and flags messages all the time changes nothing: each is read once.
func TestMaildirMovedUnderUs(t *testing.T) {
	t.Parallel()
	d := newMaildirWorld(t)
	var want []string
	sink := &fates{}
	in := d.input("after: leave")
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 30 {
		want = append(want, d.add(20)...)
		d.shuffle(r)
		if round%3 == 0 {
			in = d.input("after: leave")
		}
		in.stable = false // as after a change
		d.must(in.scan(t.Context(), sink))
	}
	slices.Sort(want)
	got := slices.Sorted(slices.Values(sink.Bodies))
	if !slices.Equal(got, want) {
		t.Errorf("%d committed of %d", len(got), len(want))
	}
}

// shuffle moves, flags and deletes some files.
func (d *maildirWorld) shuffle(r *rand.Rand) {
	for _, name := range d.files("new", "cur") {
		unique, _, _ := strings.Cut(filepath.Base(name), ":")
		flags := []string{":2,", ":2,S", ":2,RS", ":2,FS"}[r.IntN(4)]
		if r.IntN(3) == 0 {
			d.must(os.Rename(filepath.Join(d.path, name), filepath.Join(d.path, "cur", unique+flags)))
		}
	}
}

func TestMaildirForgetsWhatIsGone(t *testing.T) {
	t.Parallel()
	d := newMaildirWorld(t)
	d.add(5)
	sink := &fates{}
	in := d.input("")
	known := func() int {
		in.stable = false
		d.must(in.scan(t.Context(), sink))
		hashes, err := decodeHashes("seen", sink.Stored["seen"])
		d.must(err)
		return len(hashes)
	}
	if n := known(); n != 5 {
		t.Fatalf("%d known", n)
	}
	for _, name := range d.files("cur") {
		d.must(os.Remove(filepath.Join(d.path, name)))
	}
	first, second := known(), known()
	if first != 5 || second != 0 {
		t.Errorf("after deletion %d, then %d known", first, second)
	}
}

// asNobody does something as an ordinary user would.
func (d *maildirWorld) asNobody(do func() error) error {
	if os.Getuid() != 0 {
		return do()
	}
	for dir := d.path; dir != os.TempDir(); dir = filepath.Dir(dir) {
		d.must(os.Chmod(dir, 0o755))
	}
	for _, name := range append([]string{"new", "cur"}, d.files("new")...) {
		if i, err := os.Stat(filepath.Join(d.path, name)); err == nil && i.Mode().Perm() != 0 {
			d.must(os.Chmod(filepath.Join(d.path, name), 0o755))
		}
	}
	done := make(chan error)
	go func() {
		if err := inputtest.DropToNobody(); err != nil {
			done <- err
			return
		}
		done <- do()
	}()
	return <-done
}

func TestMaildirUnreadableMessage(t *testing.T) {
	t.Parallel()
	d := newMaildirWorld(t)
	d.add(3)
	d.must(os.Chmod(filepath.Join(d.path, d.files("new")[1]), 0))
	in, log := buildInput(t, "type: maildir\ntrust: any\nafter: leave\npath: "+d.path)
	m := in.(*maildir)
	sink := &fates{}
	d.must(d.asNobody(func() (err error) {
		for range 3 {
			m.stable = false
			err = errors.Join(err, m.scan(t.Context(), sink))
		}
		return err
	}))
	if len(sink.Bodies) != 2 || strings.Count(log.String(), "can't be read") != 1 || m.Report().Lag != 1 {
		t.Errorf("%d committed, said %s", len(sink.Bodies), log)
	}
}

func TestMaildirManyFiles(t *testing.T) {
	t.Parallel()
	n := 4*maildirChunk + 1
	if testing.Short() {
		n = 2_000
	}
	d := newMaildirWorld(t)
	d.add(n)
	sink := &fates{}
	d.scan("", sink)
	if len(sink.Bodies) != n || len(d.files("cur")) != n {
		t.Errorf("%d committed", len(sink.Bodies))
	}
}

func TestMaildirLongMessage(t *testing.T) {
	t.Parallel()
	d := newMaildirWorld(t)
	d.write("new/1.long", "Subject: x\n\n"+strings.Repeat("y", 3<<20))
	sink := &fates{}
	d.scan("", sink)
	if len(sink.Bodies) != 1 || len(sink.Bodies[0]) != maxMessage {
		t.Errorf("%d committed", len(sink.Bodies))
	}
}

func TestMaildirProbe(t *testing.T) {
	t.Parallel()
	d := newMaildirWorld(t)
	d.must(d.input("").Probe(t.Context()))
	d.must(os.RemoveAll(filepath.Join(d.path, "cur")))
	wantError(t, d.input("").Probe(t.Context()), "path of a Maildir")
}
