package logs

import (
	"path/filepath"
	"regexp"

	"bouncefeed/internal/disk"
)

// InOrder sorts the rotated files of a log, and the log itself, by their age, the oldest first, as the logfile input
// would read them: mail.log.2.gz, mail.log.1, mail.log. Of several logs each comes where the first of its files stands;
// a compressed file whose plain twin is there too is left out. What is no file stays where it is.
func InOrder(paths []string) []string {
	type stream struct {
		listing
		live entry
		as   []string // it is as it is
	}
	var all []*stream
	byBase := map[string]*stream{}
	for _, path := range paths {
		info, err := disk.Stat(path)
		if err != nil || !info.Regular() {
			all = append(all, &stream{as: []string{path}})
			continue
		}
		dir, name := filepath.Split(path)
		base, e := baseOf(name)
		s := byBase[dir+base]
		if s == nil {
			s = &stream{}
			byBase[dir+base] = s
			all = append(all, s)
		}
		e.Info, e.path = info, path
		_, e.packed = disk.PlainName(name)
		if base == name {
			s.live = e
		} else {
			s.add(e, s.live.Info)
		}
	}
	var sorted []string
	for _, s := range all {
		sorted = append(sorted, s.as...)
		for _, e := range s.inOrder() {
			sorted = append(sorted, e.path)
		}
		if s.live.path != "" {
			sorted = append(sorted, s.live.path)
		}
	}
	return sorted
}

// The two ways in which rotatedName's names are made of a base: what was added stands last, or before the extension.
var (
	addedLast   = regexp.MustCompile(`^(.+?)(?:\.\d{1,4}|[-._](?:20\d\d-?[01]\d-?[0-3]\d(?:[-_.T:]?\d+)*|1\d{9}))$`)
	addedBefore = regexp.MustCompile(`^(.+?)(?:\.\d{1,4}|[-._](?:20\d\d-?[01]\d-?[0-3]\d(?:[-_.T:]?\d+)*|1\d{9}))(\.[A-Za-z]+)$`)
)

// baseOf gives the name of the log of which a file of that name is a rotated one; name itself if it is none.
func baseOf(name string) (base string, e entry) {
	plain := plainName(name)
	for _, shape := range []*regexp.Regexp{addedLast, addedBefore} {
		m := shape.FindStringSubmatch(plain)
		if m == nil {
			continue
		}
		base = m[1]
		if len(m) > 2 {
			base += m[2]
		}
		if e, ok := rotatedName(base, name); ok {
			return base, e
		}
	}
	return name, e
}
