package mailbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-imap/v2"
)

// maxHostileWork is how many bytes a session may allocate in all: what a parser does again and again shows there.
const maxHostileWork = 64 << 20

// folderOf has a server's answers to SELECT and UID SEARCH in place.
func folderOf(exists, found string) hostile {
	return func(w *slowWriter, command string) bool {
		switch {
		case strings.HasPrefix(command, "SELECT"):
			return w.put("* "+exists+" EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n<tag> OK\r\n", 0)
		case strings.HasPrefix(command, "UID SEARCH"):
			return w.put(found+"\r\n<tag> OK\r\n", 0)
		}
		return false
	}
}

func numbers(from, n, step int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " %d", from+i*step)
	}
	return b.String()
}

const aPart = `("" "" () "" "" "" 1)`

var hostileFolders = map[string]hostile{
	"endless greeting":            at(endless("* OK ", strings.Repeat("x", 64<<10)), "greeting"),
	"endless lines":               at(endless("", strings.Repeat("* 7 EXISTS\r\n", 5000)), "LOGIN", "NOOP"),
	"endless capability":          at(endless("* CAPABILITY", strings.Repeat(" X", 30_000)), "LOGIN"),
	"endless capabilities":        at(endless("* CAPABILITY", " X"+strings.Repeat(" X", 20_000)+"\r\n* CAPABILITY"), "LOGIN"),
	"endless literal":             at(endless("* 1 FETCH (UID 1 BODY[]<0> {4294967295}\r\n", strings.Repeat("x", 64<<10)), "UID FETCH"),
	"endless list":                at(endless("* SEARCH", numbers(1, 6000, 2)), "UID SEARCH"),
	"endless quoted string":       at(endless("* LIST () \"", strings.Repeat("x", 64<<10)), "SELECT"),
	"endless message":             at(says(fetched("1", strings.Repeat("x", imapChunk))+"<tag> OK\r\n"), "UID FETCH 1"),
	"nesting":                     at(says("* 1 FETCH (BODYSTRUCTURE "+strings.Repeat("(", 60<<10)+"\r\n"), "UID SEARCH"),
	"nesting from the first":      at(says("* OK ready\r\n* 1 FETCH (BODYSTRUCTURE "+strings.Repeat("(", 60<<10)+"\r\n"), "greeting"),
	"nesting behind parts":        at(says("* 1 FETCH (BODYSTRUCTURE "+strings.Repeat("("+aPart, 2500)+strings.Repeat("(", 5000)+"\r\n"), "UID SEARCH"),
	"nesting messages":            at(says("* 1 FETCH (BODYSTRUCTURE "+strings.Repeat(`("message" "rfc822" NIL NIL NIL "7bit" 1 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) `, 700)+"\r\n"), "UID SEARCH"),
	"nesting in a value":          at(says(`* 1 FETCH (BODYSTRUCTURE (`+aPart+` "mixed" NIL NIL NIL NIL `+strings.Repeat("(x", 30_000)+"\r\n"), "UID SEARCH"),
	"nesting threads":             at(says("* THREAD "+strings.Repeat("(1 ", 20_000)+"\r\n"), "UID SEARCH"),
	"the last UID of all":         folderOf("1", "* SEARCH 4294967295"),
	"UID 0":                       folderOf("1", "* SEARCH 0"),
	"UID -1":                      folderOf("1", "* SEARCH -1"),
	"a range of UIDs":             folderOf("3", `* ESEARCH (TAG "<tag>") UID ALL 1:4000000000`),
	"a range to the last":         folderOf("3", `* ESEARCH (TAG "<tag>") UID ALL 1:*`),
	"numbers in place of UIDs":    folderOf("3", `* ESEARCH (TAG "<tag>") ALL 1:3`),
	"more UIDs than messages":     folderOf("3", "* SEARCH"+numbers(1, 9000, 2)),
	"UIDs that are not there":     folderOf("3", "* SEARCH 1 2 3 4000000000 4294967294"),
	"billions of messages":        folderOf("4294967295", "* SEARCH"+numbers(1, 1000, 2)),
	"too many messages":           folderOf("16777217", "* SEARCH"+numbers(1, 1000, 2)),
	"no number of messages":       at(says("* OK [UIDVALIDITY 7] ok\r\n<tag> OK\r\n"), "SELECT"),
	"no UIDVALIDITY":              at(says("* 3 EXISTS\r\n<tag> OK\r\n"), "SELECT"),
	"UIDVALIDITY midway":          at(says("* OK [UIDVALIDITY 8] ok\r\n<tag> OK\r\n"), "NOOP"),
	"the folder closes":           at(says("* OK [CLOSED] x\r\n<tag> OK\r\n"), "NOOP"),
	"other messages":              at(says(fetched("77", "x")+"<tag> OK\r\n"), "UID FETCH"),
	"a message twice":             at(says(fetched("1", "x")+fetched("1", "y")+"<tag> OK\r\n"), "UID FETCH 1"),
	"a body twice":                at(says("* 1 FETCH (UID 1 BODY[] {1}\r\nx BODY[] {1}\r\ny)\r\n<tag> OK\r\n"), "UID FETCH 1"),
	"a body without end of items": at(endless("* 1 FETCH (UID 1", strings.Repeat(" UID 1", 1000)), "UID FETCH 1"),
	"a literal that is longer":    at(says("* 1 FETCH (UID 1 BODY[] {3}\r\nabcdef)\r\n<tag> OK\r\n"), "UID FETCH"),
	"a literal that is shorter":   at(says("* 1 FETCH (UID 1 BODY[] {3000}\r\nabcdef)\r\n<tag> OK\r\n"), "UID FETCH"),
	"a huge literal":              at(says("* 1 FETCH (UID 1 BODY[] {9223372036854775807}\r\nabc)\r\n<tag> OK\r\n"), "UID FETCH"),
	"a literal beyond numbers":    at(says("* 1 FETCH (UID 1 BODY[] {99999999999999999999}\r\nabc)\r\n<tag> OK\r\n"), "UID FETCH"),
	"a literal of -1":             at(says("* 1 FETCH (UID 1 BODY[] {-1}\r\nabc)\r\n<tag> OK\r\n"), "UID FETCH"),
	"a huge literal elsewhere":    at(says("* 1 FETCH (UID 1 ENVELOPE ({9223372036854775807}\r\nabc)\r\n<tag> OK\r\n"), "UID FETCH"),
	"NO midway":                   at(says("* 1 FETCH (UID 1 BODY[] {30}\r\nabc\r\n<tag> NO gone\r\n"), "UID FETCH"),
	"NO behind the body":          at(says(fetched("1", "x")+"<tag> NO gone\r\n"), "UID FETCH 1"),
	"NO to everything":            at(says("<tag> NO no\r\n"), "UID", "NOOP"),
	"NO to clearing away":         at(says("<tag> NO no\r\n"), "UID STORE"),
	"another's tag":               at(says("T999 OK\r\n"), "UID FETCH"),
	"go on":                       at(says("+ go on\r\n"), "UID FETCH"),
	"bye midway":                  at(says("* BYE\r\n"), "UID FETCH"),
	"silent from the first":       at(silent, "greeting"),
	"silent at the login":         at(silent, "LOGIN"),
	"silent at a message":         at(silent, "UID FETCH"),
	"silent at clearing away":     at(silent, "UID STORE"),
	"a byte at a time":            at(dripping("* OK ready\r\n"), "greeting", "LOGIN", "UID FETCH"),
	"a body a byte at a time":     at(dripping(fetched("1", "x")), "UID FETCH"),
	"NUL":                         at(endless("", strings.Repeat("\x00", 64<<10)), "UID SEARCH"),
	"NUL in a message":            at(says(fetched("1", "\x00")+"<tag> OK\r\n"), "UID FETCH 1"),
	"something else":              at(says("HTTP/1.1 400 Bad Request\r\n\r\n"), "greeting"),
	"bye":                         at(says("* BYE too many\r\n"), "greeting"),
	"an empty line":               at(says("\r\n"), "greeting", "UID FETCH"),
}

// Whatever a server does, the session ends in time, memory and work stay bounded, and nothing is cleared away that is
// not committed.
func TestIMAPHostile(t *testing.T) {
	for name, h := range hostileFolders {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { attackIMAP(t, h) })
		})
	}
}

// raceDetector says that memory can't be held to a bound: the detector takes a share of its own. `make unit` also runs the
// hostile servers without it.
var raceDetector bool

func attackIMAP(t *testing.T, h hostile) {
	p, f := newHostileFolder(t, h)
	start, used := time.Now(), startUse()
	err := p.session(t.Context(), f.sink, true)
	if took := time.Since(start); took > maxHostileTime {
		t.Errorf("the session took %v: %v", took, err)
	}
	memory, work := used.end()
	if f.end(); !raceDetector && (memory > maxHostileMemory || work > maxHostileWork) {
		t.Errorf("%d KiB of memory, %d KiB allocated in all: %v", memory>>10, work>>10, err)
	}
	if f.early != nil {
		t.Errorf("before they were committed: %v", f.early)
	}
}

// A server that is silent from any byte on.
func TestIMAPStalledAnywhere(t *testing.T) {
	t.Parallel()
	step := 3
	if testing.Short() {
		step = 31
	}
	for at := 1; at < 900; at += step {
		synctest.Test(t, func(t *testing.T) {
			p, f := newHostileFolder(t, func(*slowWriter, string) bool { return false })
			f.stall = at
			start := time.Now()
			err := p.session(t.Context(), f.sink, true)
			if took := time.Since(start); took > maxHostileTime || took > 0 && err == nil && f.cleared == 0 {
				t.Errorf("silent from byte %d on: %v, %v", at, took, err)
			}
			f.end()
			f.stall = 0
			for range 2 {
				if err := p.session(t.Context(), f.sink, true); err != nil {
					t.Errorf("behind byte %d: %v", at, err)
				}
				f.end()
			}
			if len(f.sink.Bodies) != 3 || f.early != nil {
				t.Errorf("silent from byte %d on: %d committed, early: %v", at, len(f.sink.Bodies), f.early)
			}
		})
	}
}

// A message that comes very slowly, but comes, ends the session in the time that one may take.
func TestIMAPSlowMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := newHostileFolder(t, at(func(w *slowWriter) {
			w.put("", maxOperation-time.Second)
			w.put(fetched("1", strings.Repeat("x", imapChunk))+"<tag> OK\r\n", 0)
		}, "UID FETCH 1 "))
		start := time.Now()
		if err, took := p.session(t.Context(), f.sink, true), time.Since(start); err == nil || took > maxSession {
			t.Errorf("%v, %v", took, err)
		}
		f.end()
		f.h = func(*slowWriter, string) bool { return false }
		err := p.session(t.Context(), f.sink, true)
		f.end()
		if err != nil || len(f.sink.Bodies) != 3 {
			t.Errorf("%v, %d committed", err, len(f.sink.Bodies))
		}
	})
}

// A server that tells of messages without end is not asked without end.
func TestIMAPToldWithoutEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		p, f := newHostileFolder(t, func(w *slowWriter, command string) bool {
			if command == "IDLE" {
				asked++
				return w.put("+ idling\r\n* 3 EXISTS\r\n<tag> OK\r\n", 0)
			}
			return w.tag == "DONE"
		})
		f.caps = " IDLE"
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.session(ctx, f.sink, true); ctx.Err() == nil || asked > 75 || asked < 10 {
			t.Errorf("asked %d times in a minute: %v", asked, err)
		}
		f.end()
	})
}

// A server may hang up on who waits; that is no failure, unless it sends without end before.
func TestIMAPHungUp(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{"": "", "* BYE idle for too long\r\n": "", strings.Repeat("* 3 RECENT\r\n", 3000): errTooMuch.Error()} {
		synctest.Test(t, func(t *testing.T) {
			p, f := newHostileFolder(t, func(w *slowWriter, command string) bool {
				switch command {
				case "greeting", "CAPABILITY":
					return false
				case "IDLE":
					w.put("+ idling\r\n", time.Second)
					w.put(said, 0)
					w.Conn.Close()
				}
				return command == "IDLE"
			})
			f.caps = " IDLE"
			err := p.session(t.Context(), f.sink, true)
			f.end()
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%.20q: %v", said, err)
			}
		})
	}
}

// What was to be cleared away stays when the folder is numbered anew meanwhile.
func TestIMAPNumberedAnewBeforeClearing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, f := newHostileFolder(t, at(says("<tag> NO no\r\n"), "UID STORE"))
		if err := p.session(t.Context(), f.sink, true); err != nil || f.sink.Stored["doomed"] != "1 2 3" {
			t.Errorf("%v, %v", err, f.sink.Stored)
		}
		f.end()
		f.h = at(says("* 1 EXISTS\r\n* OK [UIDVALIDITY 8] ok\r\n<tag> OK\r\n"), "SELECT")
		f.sink.Bodies = nil // what is committed has nothing to do with the new numbers
		if err := p.session(t.Context(), f.sink, true); err != nil || f.early != nil || f.sink.Stored["uidvalidity"] != "8" {
			t.Errorf("%v, early: %v, %v", err, f.early, f.sink.Stored)
		}
		f.end()
	})
}

// What somebody between us and the server says before TLS begins is not taken for the server's.
func TestIMAPInjected(t *testing.T) {
	t.Parallel()
	in, _ := buildInput(t, "type: imap\nhost: h\nusername: u\ntls: starttls\ntrust: any\npassword_file: "+tempFile(t, "sesame"))
	p := in.(*imapInput)
	f := &hostileFolder{slowWriter: &slowWriter{}, sink: &fates{},
		h: at(says("<tag> OK begin\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"), "STARTTLS")}
	p.connect = f.connect
	wantError(t, p.session(t.Context(), f.sink, true), errInjected.Error())
	f.end()
}

// More than one list holds: the oldest come first, so that none is passed over.
func TestIMAPLongList(t *testing.T) {
	t.Parallel()
	const exists = imapMaxList + 2500
	p, f := newHostileFolder(t, func(w *slowWriter, command string) bool {
		var first, last int
		if n, _ := fmt.Sscanf(command, "UID SEARCH %d:%d ", &first, &last); n == 2 {
			return w.put("* SEARCH"+numbers(first, last-first+1, 1)+"\r\n<tag> OK\r\n", 0)
		}
		return strings.HasPrefix(command, "SELECT") && w.put(fmt.Sprintf("* %d EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n<tag> OK\r\n", exists), 0)
	})
	s, err := p.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer f.end()
	defer s.close()
	s.state, s.sink = &imapState{}, f.sink
	if err := s.selectFolder(); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][2]imap.UID{{1, imapMaxList}, {imapMaxList + 1, exists}} {
		uids, err := s.list()
		if err != nil || len(uids) == 0 || uids[0] != want[0] || uids[len(uids)-1] != want[1] || !slices.IsSorted(uids) {
			t.Fatalf("%v, %d UIDs, want %v", err, len(uids), want)
		}
		s.state.next = want[1] + 1
	}
}

// A message that the server has but gives no text of is not forgotten; no more text behind the last piece is its end.
func TestIMAPNothingOfAMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		full := hostileText("1") + strings.Repeat("x", imapChunk-len(hostileText("1")))
		p, f := newHostileFolder(t, func(w *slowWriter, command string) bool {
			switch {
			case strings.HasPrefix(command, "UID FETCH 1 ") && strings.Contains(command, "<0."):
				return w.put(fetched("1", full)+"<tag> OK\r\n", 0)
			case strings.HasPrefix(command, "UID FETCH 1 "), strings.HasPrefix(command, "UID FETCH 2 "):
				return w.put("* 1 FETCH (UID "+command[10:11]+" BODY[]<0> NIL)\r\n<tag> OK\r\n", 0)
			}
			return false
		})
		err := p.session(t.Context(), f.sink, true)
		f.end()
		want := strings.ReplaceAll(full, "\r\n", "\n")
		if err != nil || len(f.sink.Bodies) != 2 || f.sink.Bodies[0] != want || f.sink.Stored["retry"] != "2" {
			t.Errorf("%v, %d committed, %v", err, len(f.sink.Bodies), f.sink.Stored)
		}
	})
}

// A mail with as many "(" as a line may have is read as it is.
func TestIMAPParentheses(t *testing.T) {
	t.Parallel()
	s := newIMAPServer(t, tlsNone)
	line := strings.Repeat("(", imapNesting) + "\r\n"
	s.append("INBOX", "Subject: failure\r\n\r\n"+line+line+strings.Repeat("(", imapNesting+1)+"\r\n")
	sink := &fates{}
	s.must(s.once(s.input(""), sink))
	line = strings.ReplaceAll(line, "\r\n", "\n")
	if want := "Subject: failure\n\n" + line + line + strings.TrimSpace(line) + "_\n"; len(sink.Bodies) != 1 || sink.Bodies[0] != want {
		t.Errorf("%q", sink.Bodies)
	}
}
