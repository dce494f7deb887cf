package mail

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
)

// Limits on a message's structure; see DESIGN.md. go-message's own multipart reader is not used: its time grows with
// the square of the nesting, and on a truncated part it returns the same error for ever. Here each multipart is split
// by one pass over its bytes, so the whole costs at most maxDepth passes.
const (
	maxDepth = 8         // multiparts and enclosed messages inside each other
	maxParts = 64        // entities of one message
	maxText  = 256 << 10 // bytes of one decoded text
)

// mimeEntity is a message or a part of one; its body is still encoded.
type mimeEntity struct {
	header header
	typ    string // lower-case media type
	params params
	body   []byte
	parts  []*mimeEntity // of a multipart
	depth  int
}

// mimeReader opens entities until the message's share of them is used up.
type mimeReader struct{ left int }

// unixLines gives b with LF line ends only, whatever mixture of CR, LF and CRLF it had.
func unixLines(b []byte) []byte {
	if bytes.IndexByte(b, '\r') < 0 {
		return b
	}
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	for i := bytes.IndexByte(b, '\r'); i >= 0 && i < len(b); i++ {
		if b[i] == '\r' {
			b[i] = '\n'
		}
	}
	return b
}

// wholeWords drops the address at the end of a message that was cut off in the middle of a line: "jo@example.co" may have
// been "jo@example.com", and "Final-Recipient: rfc822; jo" any of them.
func wholeWords(b []byte) []byte {
	line := bytes.LastIndexByte(b, '\n') + 1
	if bytes.Contains(b[line:], []byte("ecipient:")) {
		return b[:line]
	}
	last := bytes.LastIndexAny(b, " \t\n") + 1
	if word := b[last:]; hasAt(word) && !bytes.HasSuffix(word, []byte(">")) {
		return b[:last]
	}
	return b
}

// hasAt finds an @ also where HTML or quoted-printable hide it.
func hasAt(word []byte) bool {
	return bytes.IndexByte(word, '@') >= 0 || bytes.Contains(word, []byte("&#")) || bytes.Contains(word, []byte("=40"))
}

func (r *mimeReader) open(raw []byte, depth int) *mimeEntity {
	h, body := cutHeader(raw)
	return r.entity(h, body, depth)
}

func (r *mimeReader) entity(h header, body []byte, depth int) *mimeEntity {
	r.left--
	e := &mimeEntity{header: h, body: body, depth: depth}
	e.typ, e.params = mediaType(e.header.get("Content-Type"))
	if e.typ == "" {
		e.typ = "text/plain" // RFC 2045 §5.2
	}
	if strings.HasPrefix(e.typ, "multipart/") && depth < maxDepth {
		r.split(e)
	}
	return e
}

// isEnclosed says whether e is another message or its header.
func (e *mimeEntity) isEnclosed() bool {
	switch e.typ {
	case "message/rfc822", "message/global", "message/news", "message/partial", "message/rfc822-headers",
		"message/global-headers", "text/rfc822-headers", "text/rfc822-header", "text/rfc822":
		return true
	}
	return false
}

// hidesStatus says whether e is a report's delivery status that a gateway relabelled: a text or an attachment that
// begins with the fields of one.
func (e *mimeEntity) hidesStatus() bool {
	if e.typ != "text/plain" && e.typ != "application/octet-stream" {
		return false
	}
	h, _ := cutHeader(e.decoded(512))
	return h.has("Reporting-MTA") || h.has("Final-Recipient")
}

func (e *mimeEntity) isText() bool {
	return strings.HasPrefix(e.typ, "text/") || e.typ == "text" || !strings.Contains(e.typ, "/")
}

// split opens the parts of a multipart. One without any boundary line keeps its whole body as text.
func (r *mimeReader) split(e *mimeEntity) {
	boundary := e.params.get("boundary")
	if boundary == "" {
		boundary = guessBoundary(e.body)
	}
	if boundary == "" {
		e.typ = "text/plain"
		return
	}
	delimiter := []byte("--" + strings.TrimRight(boundary, " "))
	start := -1
	for at := 0; at >= 0 && r.left > 0; {
		line, next := delimiterLine(e.body, at, delimiter)
		end := line
		if line < 0 {
			end = len(e.body)
		}
		if start >= 0 && start <= end {
			e.parts = append(e.parts, r.open(e.body[start:end], e.depth+1))
		}
		if line < 0 || bytes.HasPrefix(e.body[line+len(delimiter):], []byte("--")) {
			break
		}
		start, at = next, next
	}
	if len(e.parts) == 0 {
		e.typ = "text/plain"
	}
}

// delimiterLine finds the next line that is the delimiter or the closing delimiter; line is where it begins, next
// where the following line begins. line is -1 if there is none.
func delimiterLine(body []byte, from int, delimiter []byte) (line, next int) {
	for from <= len(body) {
		i := bytes.Index(body[from:], delimiter)
		if i < 0 {
			return -1, -1
		}
		line = from + i
		from = line + len(delimiter)
		if line > 0 && body[line-1] != '\n' {
			continue
		}
		rest, _ := cutLine(body[from:])
		if tail := bytes.TrimRight(rest, " \t"); len(tail) == 0 || string(tail) == "--" {
			return line, min(from+len(rest)+1, len(body))
		}
	}
	return -1, -1
}

// guessBoundary finds the delimiter of a multipart whose boundary parameter was lost: a line of two dashes and more,
// followed by a Content field.
func guessBoundary(body []byte) string {
	for rest := body; len(rest) > 0; {
		var line []byte
		line, rest = cutLine(rest)
		if len(line) > 4 && bytes.HasPrefix(line, []byte("--")) && len(rest) > 8 && strings.EqualFold(string(rest[:8]), "content-") {
			return string(line[2:])
		}
	}
	return ""
}

// decoded is the body without its transfer encoding, cut at limit; what a broken encoding still yields counts.
func (e *mimeEntity) decoded(limit int) []byte {
	encoding := strings.ToLower(strings.TrimSpace(e.header.get("Content-Transfer-Encoding")))
	switch encoding {
	case "quoted-printable":
	case "base64":
		return decodeBase64(e.body, limit)
	default: // 7bit, 8bit, binary, and what nobody knows: as it is
		return e.body[:min(len(e.body), limit)]
	}
	if b := decodeQuoted(e.body, limit); len(b) > 0 || len(e.body) == 0 {
		return unixLines(b)
	}
	return e.body[:min(len(e.body), limit)] // not what it says it is
}

// quotedReaders are *bufio.Reader, which mime/quotedprintable would make anew for each part.
var quotedReaders = sync.Pool{New: func() any { return bufio.NewReader(nil) }}

// decodeQuoted reads quoted-printable up to the first mistake that can't be passed over. What it decodes is never longer than b.
func decodeQuoted(b []byte, limit int) []byte {
	r := quotedReaders.Get().(*bufio.Reader)
	defer quotedReaders.Put(r)
	r.Reset(bytes.NewReader(b))
	decoded := make([]byte, min(len(b), limit))
	n, _ := io.ReadFull(quotedprintable.NewReader(r), decoded)
	return decoded[:n]
}

// decodeBase64 passes over every byte outside the alphabet: stray line ends, indentation, a footer that a list added.
func decodeBase64(b []byte, limit int) []byte {
	clean := make([]byte, 0, min(len(b), limit/3*4+4))
	for _, c := range b {
		if len(clean) == cap(clean) {
			break
		}
		if 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/' {
			clean = append(clean, c)
		} else if c == '=' && len(clean) > 0 {
			break
		}
	}
	if len(clean)%4 == 1 {
		clean = clean[:len(clean)-1]
	}
	n, _ := base64.RawStdEncoding.Decode(clean, clean) // in place: the output never overtakes the input
	return unixLines(clean[:min(n, limit)])
}

// text is the body as UTF-8, HTML as plain text. An unknown charset is read as Windows-1252, which loses no ASCII.
func (e *mimeEntity) text() string {
	s := toUTF8(e.decoded(maxText), e.params.get("charset"))
	if e.typ == "text/html" {
		s = htmlText(s)
	}
	return s
}

func toUTF8(b []byte, name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	switch shifted := bytes.Contains(b, []byte("\x1b$")); {
	case strings.HasPrefix(name, "iso-2022"), strings.HasPrefix(name, "utf-16"), strings.HasPrefix(name, "hz"):
	case shifted: // also where nobody said so
		name = "iso-2022-jp"
	case utf8.Valid(b):
		return string(b)
	}
	r, err := charset.Reader(name, bytes.NewReader(b))
	if err != nil {
		r, err = charset.Reader("windows-1252", bytes.NewReader(b))
	}
	if err == nil {
		if decoded, _ := io.ReadAll(io.LimitReader(r, maxText)); len(decoded) > 0 {
			return strings.ToValidUTF8(string(decoded), "�")
		}
	}
	return strings.ToValidUTF8(string(b), "�")
}
