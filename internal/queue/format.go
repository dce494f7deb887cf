package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"go.etcd.io/bbolt"
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

// The format's number and the secret stand as every version has written them, so that an older one still reads them.
// The seal of each, as it would stand before it (see putSealed), is beside it: a number that a damaged page makes larger
// is no newer version's, and with another secret nothing would be found in the ledger. Older files have no seals.
var sealOf = map[string][]byte{string(keyFormat): []byte("format seal"), string(keySecret): []byte("secret seal")}

// putMeta stores a value in the bucket meta, with its seal.
func putMeta(meta *bbolt.Bucket, key, value []byte) error {
	seal := binary.BigEndian.AppendUint32(nil, checksum(key, value))
	return errors.Join(meta.Put(key, value), meta.Put(sealOf[string(key)], seal))
}

// checkMeta says whether a value of the bucket meta is as it was written, as far as its seal, if it has one, tells.
func checkMeta(key, value, seal []byte) error {
	if seal != nil && !bytes.Equal(seal, binary.BigEndian.AppendUint32(nil, checksum(key, value))) {
		return fmt.Errorf("%w: the checksum of its %s is wrong", ErrDamaged, key)
	}
	return nil
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
	if err != nil {
		return 0, err
	}
	found := slices.Clone(value)
	seal, _ := p.find(inner, sealOf[string(keyFormat)], 1) // none in an older file
	return numbered(found), checkMeta(keyFormat, found, seal)
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
