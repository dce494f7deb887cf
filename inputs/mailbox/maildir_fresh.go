package mailbox

import (
	"os"
	"time"

	"bouncefeed/internal/disk"
)

// A message that is delivered as it should be is complete when its name shows (https://cr.yp.to/proto/maildir.html). Not
// every program writes it elsewhere first: one that was read while it was being written is read again.
const (
	maildirSettled = 2 * time.Second // not written to for so long: complete enough to be deleted
	maildirFresh   = time.Minute     // not written to for so long: not looked at any more
)

// freshMessage is a message that may still grow.
type freshMessage struct {
	size  int64 // as it was read
	since time.Time
}

// isFresh says whether a file was written to just now.
func isFresh(i disk.Info) bool {
	age := time.Since(time.Unix(0, i.Mtime))
	return age < maildirFresh && age > -maildirFresh
}

// watch notes that f was read, and says whether it may still grow.
func (s *maildirScan) watch(f maildirFile) bool {
	delete(s.fresh, f.hash)
	if !isFresh(f.info) {
		return false
	}
	if s.fresh == nil {
		s.maildir.fresh = map[uint64]freshMessage{}
	}
	s.fresh[f.hash] = freshMessage{f.info.Size, time.Now()}
	s.stable = false
	return true
}

// noteGrowing has the next commit tell which messages may still grow, and how much of them was read.
func (s *maildirScan) noteGrowing() {
	s.state.growing = map[uint64]uint64{}
	for hash, f := range s.fresh {
		s.state.growing[hash] = uint64(f.size)
	}
	for _, f := range s.read {
		if isFresh(f.info) {
			s.state.growing[f.hash] = uint64(f.info.Size)
		}
	}
}

// watchOn watches those that the last commit told of: they may have grown while nobody read.
func (s *maildirScan) watchOn() {
	for hash, size := range s.state.growing {
		if s.fresh == nil {
			s.maildir.fresh = map[uint64]freshMessage{}
		}
		if _, watched := s.fresh[hash]; !watched {
			s.fresh[hash] = freshMessage{int64(size), time.Now().Add(-maildirSettled)} // the start took its time
		}
	}
}

// growth says of a message that was read whether it is longer by now, and whether it may still become so.
func (s *maildirScan) growth(f maildirFile) (grown, growing bool) {
	was, watched := s.fresh[f.hash]
	if !watched {
		return false, false
	}
	s.stable = false
	info, err := os.Lstat(f.path())
	if err != nil { // moved: it is met again
		return false, true
	}
	age := time.Since(was.since)
	if grown = info.Size() > was.size; !grown && age >= maildirFresh {
		delete(s.fresh, f.hash)
	}
	return grown, age < maildirSettled
}

// forgetFresh drops those that are gone.
func (s *maildirScan) forgetFresh() {
	for hash := range s.fresh {
		if !s.listed.has(hash) {
			delete(s.fresh, hash)
		}
	}
}
