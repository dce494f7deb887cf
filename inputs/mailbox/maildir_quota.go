package mailbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"bouncefeed/internal/disk"
)

// quota is what was deleted from a Maildir.
type quota struct{ bytes, messages int64 }

// maildirTrash is the one folder that counts in no quota.
const maildirTrash = ".Trash"

// add counts a message: by the size in its name, as the quota does, else by the file's.
func (q *quota) add(f maildirFile) {
	if filepath.Base(filepath.Dir(f.dir)) == maildirTrash {
		return
	}
	size := f.info.Size
	base, _, _ := strings.Cut(f.name, ":")
	for word := range strings.SplitSeq(base, ",") {
		if n, ok := strings.CutPrefix(word, "S="); ok {
			if told, err := strconv.ParseInt(n, 10, 64); err == nil && told >= 0 {
				size = told
			}
		}
	}
	q.bytes, q.messages = q.bytes+size, q.messages+1
}

// account tells a Maildir with a quota what was deleted, or mail would be refused for what is not there any more: a line in
// its maildirsize, if it has one, written at once as deliveries do
// (https://www.courier-mta.org/imap/README.maildirquota.html).
func (s *maildirScan) account() {
	freed := s.freed
	if s.freed = (quota{}); freed.messages == 0 {
		return
	}
	path := filepath.Join(s.config.Path, "maildirsize")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "%d %d\n", -freed.bytes, -freed.messages)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		s.trouble = "the quota does not learn what was deleted: " + disk.WithRemedy(err).Error()
	}
}
