package logs

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"bouncefeed/internal/disk"
)

// position is a place in the stream: a file's identity and an offset in it. It is what a checkpoint stores.
type position struct {
	disk.Info        // as of the reading: all that was written before its mtime has been read, or follows in this file
	path      string // where the file was; a symlink's target
	offset    int64  // in the (decompressed) contents
	head      string // hash of the first line, at most printSize bytes of it; empty at offset 0
	tail      string // hash of the printSize bytes before offset; empty at offset 0
}

// file is one file of the stream, being read. For a compressed one offsets are those of its contents.
type file struct {
	splitter
	path    string
	f       *os.File
	unpack  *bufio.Reader   // the contents of a compressed file; nil: a plain one
	info    disk.Info       // as of the last stat
	read    int64           // how far it was read
	head    []byte          // the first line, at most printSize bytes of it, as far as it was read
	mark    int64           // the offset up to which the contents are verified
	markEnd []byte          // the bytes before mark
	grown   time.Time       // when there was something to read last
	left    time.Time       // when it had a successor with something in it
	isNot   map[uint64]bool // inodes of compressed files that are not this one
}

// open opens e at the beginning; fs.ErrNotExist if something else has its name by now, or it was truncated.
func (e entry) open() (*file, error) {
	o, err := openFile(e.path, e.live)
	if err == nil && (!o.info.Same(e.Info) || o.info.Size < e.Size) {
		o.close()
		return nil, &fs.PathError{Op: "open", Path: e.path, Err: fs.ErrNotExist}
	}
	return o, err
}

func openFile(path string, follow bool) (*file, error) {
	how := disk.Read
	if !follow {
		how |= disk.NoFollow
	}
	f, err := disk.Open(path, how)
	if err != nil {
		return nil, err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	o := &file{path: path, f: f}
	if err := o.stat(); err != nil {
		f.Close()
		return nil, err
	}
	if r, err := disk.Unpack(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("decompress %s: %w", path, err)
	} else if r != nil {
		o.unpack = bufio.NewReaderSize(r, 64<<10)
	}
	if age := time.Duration(time.Now().UnixNano() - o.info.Mtime); age >= 0 {
		o.grown = time.Now().Add(-age)
	} else {
		o.grown = time.Now()
	}
	return o, nil
}

func (f *file) close() {
	if f != nil {
		f.f.Close()
	}
}

// not remembers that the file of inode ino has other contents.
func (f *file) not(ino uint64) {
	if f.isNot == nil {
		f.isNot = map[uint64]bool{}
	}
	f.isNot[ino] = true
}

func (f *file) stat() error {
	i, err := disk.Fstat(f.f)
	if err != nil {
		return fmt.Errorf("stat %s: %w", f.path, err)
	}
	f.info = i
	return nil
}

func (f *file) Read(p []byte) (n int, err error) {
	if f.unpack != nil {
		n, err = f.unpack.Read(p)
	} else {
		n, err = f.f.ReadAt(p, f.read)
	}
	if f.read == int64(len(f.head)) {
		f.head = firstLine(append(f.head, p[:min(n, printSize)]...))
	}
	f.read += int64(n)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("read %s: %w", f.path, err)
	}
	return n, err
}

// firstLine is the part of b, the beginning of a file, that identifies it.
func firstLine(b []byte) []byte {
	if i := bytes.IndexByte(b[:min(len(b), printSize)], '\n'); i >= 0 {
		return b[:i+1]
	}
	return b[:min(len(b), printSize)]
}

// position is where the first line not yet complete begins.
func (f *file) position() position {
	p := position{Info: f.info, path: f.path, offset: f.offset}
	if f.offset > 0 {
		p.head, p.tail = digest(f.head[:min(int64(len(f.head)), f.offset)]), digest(f.tail())
	}
	return p
}

// verified remembers what was read: intact compares with it.
func (f *file) verified() {
	f.mark, f.markEnd = f.offset, append(f.markEnd[:0], f.tail()...)
}

// intact says whether the file is still the one that was read, that is: neither truncated nor written anew. Asked
// after a read, it vouches for what was read.
func (f *file) intact() bool {
	if f.unpack != nil {
		return true
	}
	var b [printSize]byte
	return f.holds(f.head, 0, b[:]) && f.holds(f.markEnd, f.mark-int64(len(f.markEnd)), b[:])
}

func (f *file) holds(want []byte, at int64, b []byte) bool {
	n, _ := f.f.ReadAt(b[:len(want)], at)
	return n == len(want) && bytes.Equal(b[:n], want)
}

// seek puts f, freshly opened, at p if its contents are those p speaks of, whatever the inode.
func (f *file) seek(ctx context.Context, p position) (bool, error) {
	if f.unpack == nil && f.info.Size < p.offset {
		return false, nil
	}
	head, err := f.peek()
	if err != nil || digest(head[:min(int64(len(head)), p.offset)]) != p.head {
		return false, err
	}
	tail, err := f.skip(ctx, p.offset)
	if err != nil || digest(tail) != p.tail || f.read != p.offset {
		return false, err
	}
	f.head = head
	f.startAt(p.offset, tail)
	f.verified()
	return true, nil
}

// peek is the first line, or printSize bytes of it.
func (f *file) peek() ([]byte, error) {
	if f.unpack != nil {
		b, err := f.unpack.Peek(printSize)
		return firstLine(bytes.Clone(b)), notEOF(err)
	}
	b := make([]byte, printSize)
	n, err := f.f.ReadAt(b, 0)
	return firstLine(b[:n]), notEOF(err)
}

// skip moves f.read to offset, or to the end if that comes first, and gives the bytes before it.
func (f *file) skip(ctx context.Context, offset int64) (tail []byte, err error) {
	if f.unpack == nil {
		tail = make([]byte, min(offset, printSize))
		n, err := f.f.ReadAt(tail, offset-int64(len(tail)))
		f.read = offset - int64(len(tail)) + int64(n)
		return tail[:n], notEOF(err)
	}
	block := make([]byte, 64<<10)
	for f.read < offset && err == nil && ctx.Err() == nil {
		var n int
		n, err = f.unpack.Read(block[:min(int64(len(block)), offset-f.read)])
		tail = appendTail(tail, block[:n])
		f.read += int64(n)
	}
	return tail, notEOF(err)
}

// seekEnd puts f, freshly opened, behind its last complete line.
func (f *file) seekEnd(ctx context.Context) error {
	end := f.info.Size
	if f.unpack != nil {
		end = math.MaxInt64
	}
	b := make([]byte, min(end, 4*maxLine))
	if f.unpack == nil {
		n, err := f.f.ReadAt(b, end-int64(len(b)))
		if notEOF(err) != nil {
			return err
		}
		if i := bytes.LastIndexByte(b[:n], '\n'); i >= 0 || len(b) < 4*maxLine {
			end += int64(i + 1 - len(b))
		}
	}
	head, err := f.peek()
	if err != nil {
		return err
	}
	tail, err := f.skip(ctx, end)
	if err != nil {
		return err
	}
	f.head = head
	f.startAt(f.read, tail)
	f.verified()
	return nil
}

func notEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}
