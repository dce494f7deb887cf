package agent

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"

	"bouncefeed/inputs"
	"bouncefeed/inputs/mailbox"
	"bouncefeed/internal/event"
)

// source is a file to explain, at whose beginning can be looked first.
type source struct {
	name string
	path string    // "": it is a pipe
	file *os.File  // of a path: nil before it is needed
	rest io.Reader // of a pipe, as it was given
	head []byte    // what was read of it already
}

const maxHead = 8 << 20 // of a pipe, in bytes

// openSource opens a file, "-" is in. Of a mailbox it is left to whoever reads it to see what it is.
func openSource(file string, in io.Reader, isMailbox bool) (*source, error) {
	if file == "-" {
		if in == nil {
			in = os.Stdin
		}
		return &source{name: "standard input", rest: in}, nil
	}
	s := &source{name: file, path: file}
	if isMailbox && !strings.HasPrefix(file, "/dev/") { // explain <(zcat …)
		return s, nil
	}
	if st, err := os.Stat(file); err == nil && (st.IsDir() || st.Mode().IsRegular()) {
		return s, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	s.path, s.file, s.rest = "", f, f
	return s, nil
}

// open has the file ready to be read.
func (s *source) open() (err error) {
	if s.file == nil {
		s.file, err = os.Open(s.path)
	}
	return err
}

// guess says in which format it is written, of a pipe as far as it must be read for that; then it can be read.
func (s *source) guess(ctx context.Context) (guess, error) {
	if s.path != "" {
		return guessFile(ctx, s.path)
	}
	g, err := s.readHead(ctx)
	if err != nil {
		return g, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return g, err
	}
	rest, head := s.rest, s.head
	go func() { // ends with the reader, or with the process
		defer w.Close()
		if _, err := w.Write(head); err == nil {
			io.Copy(w, rest)
		}
	}()
	s.file, s.head = r, nil
	return g, nil
}

// readHead reads until what was read tells the format: whoever watches a log that grows is not kept waiting.
func (s *source) readHead(ctx context.Context) (guess, error) {
	block := make([]byte, 64<<10)
	for tried := 0; ; {
		n, err := s.rest.Read(block)
		s.head = append(s.head, block[:n]...)
		if ended := err != nil || len(s.head) >= maxHead; ended || len(s.head) >= 2*tried {
			tried = len(s.head)
			g, gerr := guessFrom(ctx, bytes.NewReader(s.head))
			if gerr != nil && !ended {
				continue // a compressed file whose beginning is not whole
			}
			if g.as != "" || ended {
				return g, nil
			}
		}
	}
}

func (s *source) close() {
	if s.file != nil {
		s.file.Close()
	}
}

// messages reads it as a mailbox.
func (s *source) messages(ctx context.Context, each func([]event.Record, inputs.Spot) error) error {
	if s.path == "" {
		return mailbox.ReadOpen(ctx, s.file, s.name, each)
	}
	return mailbox.ReadMailbox(ctx, s.path, 0, each)
}
