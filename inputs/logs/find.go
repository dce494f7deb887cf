package logs

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bouncefeed/internal/disk"
)

// entry is one file of the stream, as the directory shows it.
type entry struct {
	disk.Info
	path   string
	live   bool // the configured path itself
	class  rotatedClass
	key    [2]uint64 // ascending with age for numbered, descending for dated names
	packed bool      // by its name
}

type rotatedClass int

const (
	numbered rotatedClass = iota // .1, .2.gz: the higher, the older
	dated                        // -20261122, .20261122-120000.gz: the later, the newer
	renamed                      // any other name; known by its inode only
)

// A rotated log is called NAME.N or NAME-DATE, or with logrotate's `extension` STEM.N.EXT or STEM-DATE.EXT; DATE is a
// year, month and day with anything numeric behind, or Unix seconds (`dateformat -%s`). All may be compressed.
var (
	rotatedNumber = regexp.MustCompile(`^\.(\d{1,4})$`)
	rotatedDate   = regexp.MustCompile(`^[-._](?:(20\d\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])((?:[-_.T:]?\d+)*)|(1\d{9}))$`)
)

// rotatedName says whether name is base rotated, and where it stands among its like.
func rotatedName(base, name string) (e entry, ok bool) {
	name, base = plainName(name), plainName(base)
	e.packed = false
	ext := filepath.Ext(base)
	middle, found := strings.CutPrefix(name, base)
	if !found {
		stem := strings.TrimSuffix(base, ext)
		if middle, found = strings.CutPrefix(name, stem); found && ext != "" {
			middle, found = strings.CutSuffix(middle, ext)
		}
	}
	if !found {
		return e, false
	}
	if m := rotatedNumber.FindStringSubmatch(middle); m != nil {
		e.class, e.key[0] = numbered, number(m[1])
		return e, true
	}
	m := rotatedDate.FindStringSubmatch(middle)
	if m == nil {
		return e, false
	}
	e.class = dated
	if m[5] != "" {
		t := time.Unix(int64(number(m[5])), 0)
		e.key = [2]uint64{number(t.Format("20060102")), number(t.Format("150405"))}
	} else {
		e.key = [2]uint64{number(m[1] + m[2] + m[3]), number(digits(m[4]))}
	}
	return e, true
}

func plainName(name string) string {
	name, _ = disk.PlainName(name)
	return name
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

// neighbours lists the files of the stream at path, oldest first, the live one last: by number or date within each way
// of naming, the ways merged by modification time (it alone would not do: a file compressed later than its successor was
// rotated may be the younger by it). Files of any other name are there only if they are one of known.
//
// A symlink's target may be rotated in its own directory: that is looked at too. A rotation in progress shows
// in-between states, so the listing is repeated until two in a row agree.
func neighbours(path string, known ...position) ([]entry, error) {
	var last []entry
	for range 10 {
		now, err := list(path, known)
		if err != nil || slices.EqualFunc(last, now, sameEntry) && last != nil {
			return now, err
		}
		last = now
	}
	return last, nil
}

func sameEntry(a, b entry) bool { return a.path == b.path && a.Ino == b.Ino && a.Dev == b.Dev }

func list(path string, known []position) ([]entry, error) {
	var err error
	l := listing{}
	dirs := []string{path}
	if target, e := filepath.EvalSymlinks(path); e == nil && target != path {
		dirs = append(dirs, target)
	}
	live, liveErr := disk.Stat(path)
	for _, p := range dirs {
		if e := l.dir(p, live, known); e != nil && err == nil {
			err = e
		}
	}
	for _, k := range known {
		if i, e := disk.Lstat(k.path); e == nil && i.Regular() && i.Same(k.Info) {
			l.add(entry{path: k.path, Info: i, class: renamed}, live)
		}
	}
	all := l.inOrder()
	if liveErr == nil && live.Regular() {
		all = append(all, entry{path: path, Info: live, live: true})
	}
	return all, err
}

type listing struct{ classes [3][]entry }

// dir adds what path's directory holds.
func (l *listing) dir(path string, live disk.Info, known []position) error {
	dir, base := filepath.Split(path)
	files, err := os.ReadDir(filepath.Clean(dir))
	for _, d := range files {
		if !d.Type().IsRegular() && d.Type() != fs.ModeIrregular {
			continue
		}
		e, ok := rotatedName(base, d.Name())
		if !ok && len(known) == 0 {
			continue
		}
		e.path = filepath.Join(dir, d.Name())
		_, e.packed = disk.PlainName(d.Name())
		i, statErr := disk.Lstat(e.path)
		if statErr != nil || !i.Regular() {
			continue
		}
		e.Info = i
		if !ok {
			if !slices.ContainsFunc(known, func(k position) bool { return i.Same(k.Info) }) {
				continue
			}
			e.class = renamed
		}
		l.add(e, live)
	}
	return err
}

func (l *listing) add(e entry, live disk.Info) {
	if e.Same(live) {
		return
	}
	for _, class := range l.classes {
		if slices.ContainsFunc(class, func(o entry) bool { return o.Same(e.Info) }) {
			return
		}
	}
	l.classes[e.class] = append(l.classes[e.class], e)
}

func (l *listing) inOrder() []entry {
	slices.SortFunc(l.classes[numbered], func(a, b entry) int { return -compareKeys(a, b) })
	slices.SortFunc(l.classes[dated], compareKeys)
	slices.SortFunc(l.classes[renamed], func(a, b entry) int { return cmp.Compare(a.Mtime, b.Mtime) })
	var all []entry
	for _, class := range l.classes {
		all = merge(all, unpackedTwice(class))
	}
	return all
}

func compareKeys(a, b entry) int {
	return cmp.Or(cmp.Compare(a.key[0], b.key[0]), cmp.Compare(a.key[1], b.key[1]),
		cmp.Compare(plainName(a.path), plainName(b.path)))
}

// unpackedTwice drops the compressed twin of a file that is still there: it is being written.
func unpackedTwice(sorted []entry) []entry {
	plain := map[string]bool{}
	for _, e := range sorted {
		plain[e.path] = !e.packed
	}
	return slices.DeleteFunc(sorted, func(e entry) bool {
		return e.packed && plain[plainName(e.path)]
	})
}

func merge(a, b []entry) []entry {
	var all []entry
	for len(a) > 0 && len(b) > 0 {
		if a[0].Mtime <= b[0].Mtime {
			all, a = append(all, a[0]), a[1:]
		} else {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return append(append(all, a...), b...)
}
