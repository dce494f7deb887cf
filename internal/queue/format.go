package queue

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ErrNewer: a later version has written the file, in a way that this one does not know.
var ErrNewer = errors.New("it was written by a newer bouncefeed: install that version again")

func newer(found uint64) error {
	return fmt.Errorf("%w (format %d, this version reads up to %d)", ErrNewer, found, format)
}

// CheckFormat says whether this version can use the queue file at path, ErrNewer if not. It takes no lock, so that a
// package's scripts can ask while the daemon of another version is running. No file, or one it makes no sense of, is no
// error: Open begins the one and mends the other.
func CheckFormat(path string) error {
	for range 5 { // the daemon may write over what is being read; it does not change the format
		found, err := fileFormat(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil
		}
		if err == nil && found > format {
			return newer(found)
		}
		if err == nil {
			return nil
		}
	}
	return nil
}

func fileFormat(path string) (uint64, error) {
	f, err := openToRead(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return formatOf(f)
}

// formatOf tells a file's format; an error: it makes no sense, or was being written.
func formatOf(f *os.File) (uint64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	p, err := openPages(f, info.Size())
	if err != nil {
		return 0, err
	}
	top, err := p.read(p.root, 0)
	if err != nil {
		return 0, err
	}
	header, err := p.find(top, bucketMeta, 0)
	if err != nil {
		return 0, err
	}
	if len(header) < bucketHeader {
		return 0, errors.New("a bucket without header")
	}
	inner := header[bucketHeader:] // the only page of a small bucket
	if root := native.Uint64(header); root != 0 {
		if inner, err = p.read(root, 1); err != nil {
			return 0, err
		}
	}
	value, err := p.find(inner, keyFormat, 1)
	return numbered(value), err
}

// find gives the value of a key in the tree that begins with node b.
func (p *pages) find(b []byte, wanted []byte, depth int) ([]byte, error) {
	for range maxDepth {
		if len(b) < pageHeader {
			break
		}
		flags, n := native.Uint16(b[8:]), int(native.Uint16(b[10:]))
		if flags != flagLeaf && flags != flagBranch || pageHeader+n*pageElement > len(b) {
			break
		}
		var child uint64
		for i := range n {
			key, value, err := element(b, flags, i)
			if err != nil {
				return nil, err
			}
			switch order := bytes.Compare(key, wanted); {
			case flags == flagLeaf && order == 0:
				return value, nil
			case flags == flagBranch && order <= 0:
				child = native.Uint64(b[pageHeader+i*pageElement+8:])
			}
		}
		if flags == flagLeaf || child == 0 {
			return nil, fmt.Errorf("no %s in it", wanted)
		}
		var err error
		if b, err = p.read(child, depth); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("neither leaf nor branch")
}

func openToRead(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("no regular file")
	}
	return os.Open(path)
}
