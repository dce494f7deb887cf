package disk

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// zstdWindow bounds how far back a stream may refer: `zstd -19` needs 8 MiB. `xz -9` needs 64 MiB, only for contents as
// large.
const zstdWindow = 8 << 20

// A packing is a way to compress a file: how its name ends and how its contents begin.
type packing struct {
	suffix, magic string
	open          func(io.Reader) (io.Reader, error)
}

var packings = []packing{
	{".gz", "\x1f\x8b", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{".xz", "\xfd7zXZ\x00", func(r io.Reader) (io.Reader, error) { return xz.NewReader(bufio.NewReader(r)) }},
	{".zst", "\x28\xb5\x2f\xfd", func(r io.Reader) (io.Reader, error) {
		// With one decoder everything runs in Read: nothing to close.
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
	}},
	{".bz2", "BZh", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(bufio.NewReader(r)), nil }},
}

const (
	maxMagic   = 6
	readBuffer = 256 << 10
)

func packingOf(head []byte) *packing {
	for i := range packings {
		if bytes.HasPrefix(head, []byte(packings[i].magic)) {
			return &packings[i]
		}
	}
	return nil
}

// Packed says whether a file that begins with head, at least six bytes of it if it has as many, is compressed: by gzip,
// xz, zstd or bzip2.
func Packed(head []byte) bool { return packingOf(head) != nil }

// PlainName takes the ending of a compressed file's name off.
func PlainName(name string) (plain string, packed bool) {
	for i := range packings {
		if plain, packed = strings.CutSuffix(name, packings[i].suffix); packed {
			return plain, true
		}
	}
	return name, false
}

// Contents is what stands in r, decompressed if need be (told by the contents), buffered. It reads ahead.
func Contents(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, readBuffer)
	head, err := b.Peek(maxMagic)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if p := packingOf(head); p != nil {
		return p.open(b)
	}
	return b, nil
}

// Unpack is the contents of a compressed f, from its beginning on; nil of a plain one, of which nothing was read then.
func Unpack(f interface {
	io.Reader
	io.ReaderAt
}) (io.Reader, error) {
	head := make([]byte, maxMagic)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	p := packingOf(head[:n])
	if p == nil {
		return nil, nil
	}
	return p.open(f)
}
