package disk

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

const lines = "Nov 22 06:47:42 mail postfix/smtp[828]: 4X1: to=<jo@example.org>\nNov 22 06:47:43 …\n"

// packed is lines, compressed.
func packed(t testing.TB, suffix string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch suffix {
	case "":
		return []byte(lines)
	case ".gz":
		w = gzip.NewWriter(&b)
	case ".xz":
		w, err = xz.NewWriter(&b)
	case ".zst":
		w, err = zstd.NewWriter(&b)
	case ".bz2":
		cmd := exec.Command("bzip2", "-c")
		cmd.Stdin = strings.NewReader(lines)
		out, err := cmd.Output()
		if err != nil {
			t.Skip("no bzip2 here: ", err)
		}
		return out
	}
	if err == nil {
		_, err = io.WriteString(w, lines)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestContents(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"", ".gz", ".xz", ".zst", ".bz2"} {
		t.Run("log"+suffix, func(t *testing.T) {
			data := packed(t, suffix)
			if Packed(data) != (suffix != "") {
				t.Error("not told by its beginning")
			}
			if plain, was := PlainName("log" + suffix); plain != "log" || was != (suffix != "") {
				t.Errorf("plain name %q, %v", plain, was)
			}
			r, err := Contents(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || string(got) != lines {
				t.Errorf("%q, %v", got, err)
			}
			f, err := os.Open(fileOf(t, data))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			switch r, err := Unpack(f); {
			case err != nil || (r == nil) != (suffix == ""):
				t.Errorf("Unpack: %v, %v", r, err)
			case r != nil:
				if got, err := io.ReadAll(r); err != nil || string(got) != lines {
					t.Errorf("Unpack: %q, %v", got, err)
				}
			}
		})
	}
}

func fileOf(t *testing.T, data []byte) string {
	path := t.TempDir() + "/f"
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestShortContents(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "B", "BZ", "\xfd7zX"} {
		r, err := Contents(strings.NewReader(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != text {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"\x1f\x8b", "\xfd7zXZ\x00"} {
		if _, err := Contents(strings.NewReader(text)); err == nil {
			t.Errorf("%q is taken for whole", text)
		}
	}
}

// Whatever follows a magic number, reading it ends, in bounded memory, and the same way by either door.
func FuzzContents(f *testing.F) {
	for _, suffix := range []string{"", ".gz", ".zst"} {
		data := packed(f, suffix)
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.HasPrefix(data, []byte("\xfd7zXZ\x00")) {
			return // the library takes the memory that the header asks for, up to 4 GiB
		}
		const enough = 4 << 20 // what is packed well may be much
		read := func(r io.Reader, err error) ([]byte, bool) {
			if err != nil {
				return nil, false
			}
			got, err := io.ReadAll(io.LimitReader(r, enough))
			return got, err == nil
		}
		got, ok := read(Contents(bytes.NewReader(data)))
		r, err := Unpack(bytes.NewReader(data))
		if r == nil && err == nil {
			if Packed(data) || !ok || !bytes.Equal(got, data) {
				t.Fatalf("plain, and read as %q", got)
			}
			return
		}
		if again, same := read(r, err); same != ok || !bytes.Equal(got, again) {
			t.Fatalf("two readings: %v %v, %d and %d bytes", ok, same, len(got), len(again))
		}
	})
}
