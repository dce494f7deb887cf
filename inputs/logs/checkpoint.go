package logs

import (
	"fmt"
	"strconv"
)

// The keys of a checkpoint; those of the old file have "old." before them.
//
//	path dev ino born mtime offset head tail    where reading goes on (see position)
//	gaps                                        times the position was lost
func (p position) encode(prefix string, to map[string]string) {
	to[prefix+"path"] = p.path
	to[prefix+"dev"] = strconv.FormatUint(p.Dev, 10)
	to[prefix+"ino"] = strconv.FormatUint(p.Ino, 10)
	to[prefix+"born"] = strconv.FormatInt(p.Born, 10)
	to[prefix+"mtime"] = strconv.FormatInt(p.Mtime, 10)
	to[prefix+"offset"] = strconv.FormatInt(p.offset, 10)
	if p.offset > 0 {
		to[prefix+"head"], to[prefix+"tail"] = p.head, p.tail
	}
}

// decodePosition is nil where m holds none.
func decodePosition(prefix string, m map[string]string) (*position, error) {
	if m[prefix+"offset"] == "" {
		return nil, nil
	}
	p := &position{path: m[prefix+"path"], head: m[prefix+"head"], tail: m[prefix+"tail"]}
	for key, to := range map[string]any{
		"dev": &p.Dev, "ino": &p.Ino, "born": &p.Born, "mtime": &p.Mtime, "offset": &p.offset,
	} {
		if _, err := fmt.Sscan(m[prefix+key], to); err != nil {
			return nil, fmt.Errorf("read checkpoint: %s%s: %w", prefix, key, err)
		}
	}
	return p, nil
}
