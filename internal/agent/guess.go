package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"bouncefeed/internal/disk"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/parsers"
)

// AsAuto has the format guessed from what a file holds.
const AsAuto = "auto"

const (
	guessAtMost = 32 << 20 // how far a log is read for a line that tells, in bytes
	guessEnough = 20       // lines that tell
	guessHead   = 64 << 10
)

// A guess is what a file seems to hold.
type guess struct {
	as     string // "": it holds nothing that a parser reads
	logged bool   // lines were read, none of which told a format
}

// messageField is a header field that a mail begins with, but for those that only a message in a mailbox has.
var messageField = regexp.MustCompile(`(?i)^(return-path|received|delivered-to|envelope-to|from|to|date|subject|message-id|mime-version|content-type|reply-to|sender|x-[a-z0-9-]+|dkim-signature|arc-[a-z-]+|authentication-results|auto-submitted|received-spf|status):[ \t]?`)

// bareReply is a reply as a server gives it, or the enhanced status code it begins with.
var bareReply = regexp.MustCompile(`^[245](\d\d[ -]|\.\d{1,3}\.\d{1,3} )`)

// form is a body as a web page's form is sent.
var form = regexp.MustCompile(`^[A-Za-z_\[\]]+=[^ ]*&`)

// programs are by whose name a log is known of which no line tells anything.
var programs = []struct {
	as    string
	begin *regexp.Regexp
}{
	{asJournald, regexp.MustCompile(`^\{.*"(__CURSOR|__REALTIME_TIMESTAMP|_SYSTEMD_UNIT|SYSLOG_IDENTIFIER)"`)},
	{"postfix", regexp.MustCompile(`(^|[ \t])postfix[a-z0-9_-]*/[a-z/-]+(\[\d+\])?:`)},
	{"exim", regexp.MustCompile(`[ \t]exim4?(\[\d+\])?:|^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (\[\d+\] )?([0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4} |Start queue run|exim )`)},
	{"sendmail", regexp.MustCompile(`[ \t](sendmail|sm-mta|sm-msp-queue)(\[\d+\])?:`)},
	{"opensmtpd", regexp.MustCompile(`[ \t]smtpd(\[\d+\])?: [0-9a-f]{16} `)},
}

// guessFile says in which format a file is written.
func guessFile(ctx context.Context, file string) (guess, error) {
	f, err := os.Open(file)
	if err != nil {
		return guess{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err == nil && st.IsDir():
		return guess{as: asMail}, nil
	case err != nil || !st.Mode().IsRegular():
		return guess{}, err
	}
	var start [1 << 10]byte
	if n, _ := f.ReadAt(start[:], 0); beginsMail(bytes.TrimLeft(start[:n], "\r\n\t ")) {
		return guess{as: asMail}, nil
	}
	return guessFrom(ctx, f)
}

func beginsMail(head []byte) bool {
	first, _, _ := bytes.Cut(head, []byte("\n"))
	return bytes.HasPrefix(first, []byte("From ")) || messageField.Match(first)
}

func guessFrom(ctx context.Context, in io.Reader) (guess, error) {
	contents, err := disk.Contents(in)
	if err != nil {
		return guess{}, err
	}
	r := bufio.NewReaderSize(contents, guessHead)
	head, _ := r.Peek(guessHead)
	head = bytes.TrimLeft(head, "\r\n\t ")
	first, _, _ := bytes.Cut(head, []byte("\n"))
	switch {
	case len(head) == 0:
		return guess{}, nil
	case beginsMail(head):
		return guess{as: asMail}, nil
	case bareReply.Match(first):
		return guess{as: asReply}, nil
	}
	g, err := guessLog(ctx, r)
	if err == nil && g.as == "" && (head[0] == '{' || head[0] == '[' || form.Match(first)) {
		g.as = guessRequest(head)
	}
	return g, err
}

// guessLog has every format of a log read the lines, until one makes something of them.
func guessLog(ctx context.Context, r *bufio.Reader) (guess, error) {
	var sinks []*sink
	for _, kind := range LineFormats() {
		c, err := looseSink(nil, kind, "", slog.New(slog.DiscardHandler))
		if err != nil {
			return guess{}, err
		}
		s := newSink(c)
		s.unwrapper.any = true
		sinks = append(sinks, s)
	}
	told := make([]uint64, len(sinks))
	var best, read uint64
	g, named := guess{}, ""
	var some []event.Record
	for left := guessAtMost; left > 0 && ctx.Err() == nil; {
		line, err := r.ReadSlice('\n')
		if left -= len(line); len(bytes.TrimSpace(line)) > 0 {
			some = append(some, event.Record{Time: time.Now(), Body: bytes.Clone(bytes.TrimRight(line, "\r\n"))})
		}
		if ended := err != nil && err != bufio.ErrBufferFull; len(some) < guessEnough && !ended {
			continue
		} else if ended {
			left = 0
		}
		g.logged = g.logged || len(some) > 0
		for i, s := range sinks {
			if told[i] += s.understood(some); told[i] > best {
				best, g.as = told[i], s.format.Type
			}
		}
		if named == "" {
			named = programOf(some)
		}
		if read += uint64(len(some)); best >= guessEnough || best > 0 && read > 100*guessEnough {
			break
		}
		some = some[:0]
	}
	if g.as == "" {
		g.as = named
	}
	return g, ctx.Err()
}

// understood counts the records of which the sink's format makes something.
func (s *sink) understood(recs []event.Record) (n uint64) {
	for i := range recs {
		rec := recs[i]
		rec.Body = bytes.Clone(rec.Body)
		d, err := s.parse([]event.Record{rec}, nil, "")
		if err != nil {
			continue
		}
		if says(&d.batch) || begins(d.batch.State) {
			n++
		}
	}
	return n
}

// says whether anything in a batch is more than a record about something else. What makes no sense in a format is none
// of it.
func says(b *queue.Batch) bool {
	for f := range b.Counts {
		switch {
		case f.Word == queue.CountRefused && f.Why != refusedMalformed,
			f.Word == queue.CountIgnored && !slices.Contains(ofNoFormat, f.Why):
			return true
		}
	}
	return len(b.Events)+len(b.Held) > 0
}

// ofNoFormat are the words for records of which no parser made anything.
var ofNoFormat = []string{ignoredOther, ignoredWrapped, ignoredUnwrapped}

// begins says whether a log's parser noted something of a message, and not only when its log began and who writes it.
func begins(state map[string][]byte) bool {
	for key := range state {
		if format, rest, found := strings.Cut(key, "/"); found && slices.Contains(LineFormats(), format) { // the journal's
			key = rest
		}
		if key != "first" && !strings.HasPrefix(key, "account/") {
			return true
		}
	}
	return false
}

func programOf(recs []event.Record) string {
	for i := range recs {
		for _, p := range programs {
			if p.begin.Match(recs[i].Body) {
				return p.as
			}
		}
	}
	return ""
}

// guessRequest says which provider posts such a body: that whose parser makes the most of it.
func guessRequest(body []byte) (as string) {
	best, most := 0, 0
	for _, kind := range Formats() {
		if !parsers.IsMessage(kind) || kind == asMail {
			continue
		}
		c, err := looseSink(nil, kind, "", slog.New(slog.DiscardHandler))
		if err != nil {
			continue
		}
		d, err := newSink(c).parse([]event.Record{{Body: bytes.Clone(body)}}, nil, "")
		if err != nil {
			continue
		}
		score := 0
		for f, n := range d.batch.Counts {
			switch {
			case f.Word == queue.CountRefused:
				score -= 2 * int(n)
			case f.Word == queue.CountIgnored && f.Why != ignoredOther:
				score += int(n)
			}
		}
		score += 3 * (len(d.batch.Events) + len(d.batch.Held))
		read, _ := json.Marshal(d.batch.Events) // of two that make as many events of it, one understands more
		if score > best || score > 0 && score == best && len(read) > most {
			best, most, as = score, len(read), kind
		}
	}
	return as
}
