package mailbox

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// poorFolder is a folder of some messages on a server that meddles with commands; more is what stands in the configuration.
func poorFolder(t *testing.T, messages int, more string, meddle hostile) (*imapInput, *hostileFolder, *syncBuffer) {
	h := func(w *slowWriter, command string) bool {
		if meddle(w, command) {
			return true
		}
		return folderOf(fmt.Sprint(messages), "* SEARCH"+numbers(1, messages, 1))(w, command)
	}
	in, log := buildInput(t, "type: imap\nhost: h\nusername: u\ntls: none\ntrust: any\npassword_file: "+tempFile(t, "sesame")+"\n"+more)
	f := &hostileFolder{slowWriter: &slowWriter{}, h: h, sink: &fates{}, caps: " MOVE ID"}
	p := in.(*imapInput)
	p.connect = f.connect
	return p, f, log
}

// One message that the server does not move bars neither the others nor the reading, and is tried again; so with all.
func TestIMAPRefusedMove(t *testing.T) {
	t.Parallel()
	for refused, want := range map[string]string{"3": "3", "1 2": "1 2", "": "", "all": "1 2 3 4 5"} {
		synctest.Test(t, func(t *testing.T) {
			var moved []string
			moves := func(w *slowWriter, command string) bool {
				set, found := strings.CutPrefix(command, "UID MOVE ")
				if !found {
					return false
				}
				set, _, _ = strings.Cut(set, " ")
				if refused == "all" || refused != "" && (strings.ContainsAny(set, ":,") || slices.Contains(strings.Fields(refused), set)) {
					return w.put("<tag> NO [CANNOT] not this one\r\n", 0)
				}
				moved = append(moved, set)
				return w.put("<tag> OK\r\n", 0)
			}
			p, f, log := poorFolder(t, 5, "after: move\nmove_to: Done", moves)
			for range 3 {
				if err := p.session(t.Context(), f.sink, false); err != nil {
					t.Fatal(err)
				}
				f.end()
			}
			if len(f.sink.Bodies) != 5 || f.sink.Stored["doomed"] != want || strings.Count(log.String(), "can't be cleared away") != map[bool]int{true: 1}[want != ""] {
				t.Errorf("refused %q: %d committed, pending %q, moved %q, said %s", refused, len(f.sink.Bodies), f.sink.Stored["doomed"], moved, log)
			}
			refused = ""
			if err := p.session(t.Context(), f.sink, false); err != nil || f.sink.Stored["doomed"] != "" {
				t.Errorf("in the end: %v, pending %q", err, f.sink.Stored["doomed"])
			}
			f.end()
		})
	}
}

// A server may say OK to what its access list forbids.
func TestIMAPIgnoredStore(t *testing.T) {
	t.Parallel()
	for _, after := range []string{"flag", "delete-all"} {
		synctest.Test(t, func(t *testing.T) {
			p, f, log := poorFolder(t, 3, "after: "+after, func(w *slowWriter, command string) bool {
				if strings.HasPrefix(command, "UID STORE") {
					return w.put("<tag> OK\r\n", 0)
				}
				return false // a search for messages without the flag finds them all
			})
			for range 2 {
				if err := p.session(t.Context(), f.sink, false); err != nil {
					t.Fatal(err)
				}
				f.end()
			}
			if len(f.sink.Bodies) != 3 || f.sink.Stored["doomed"] != "1 2 3" || strings.Count(log.String(), "changes nothing") != 1 {
				t.Errorf("after: %s: %d committed, %v, said %s", after, len(f.sink.Bodies), f.sink.Stored, log)
			}
		})
	}
}

// Some servers let nobody open a folder who does not say who he is; others don't know the question.
func TestIMAPIntroducesItself(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"* ID NIL\r\n<tag> OK\r\n", "<tag> BAD what\r\n"} {
		var commands []string
		p, f, _ := poorFolder(t, 1, "after: flag", func(w *slowWriter, command string) bool {
			verb, rest, _ := strings.Cut(command, " ")
			if commands = append(commands, verb); verb != "ID" {
				return false
			}
			if !strings.Contains(rest, `"name" "bouncefeed"`) {
				t.Errorf("said %q", command)
			}
			return w.put(answer, 0)
		})
		if err := p.session(t.Context(), f.sink, false); err != nil || len(f.sink.Bodies) != 1 {
			t.Errorf("%q: %v", answer, err)
		}
		f.end()
		login, id, open := slices.Index(commands, "LOGIN"), slices.Index(commands, "ID"), slices.Index(commands, "SELECT")
		if !(0 <= login && login < id && id < open) {
			t.Errorf("%q", commands)
		}
	}
}

// A session that waits for messages looks for its folder anew at every poll: another may have its name by now.
func TestIMAPOutlivesItsFolder(t *testing.T) {
	t.Parallel()
	s := newIMAPServer(t, tlsNone)
	s.must(s.user.Create("Bounces", nil))
	s.append("Bounces", "Subject: failure 1\r\n\r\n")
	p, sink := s.input("folder: Bounces\npoll: 1s"), &fates{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	connections := 0
	connect := p.connect
	p.connect = func(ctx context.Context) (net.Conn, error) {
		connections++
		return connect(ctx)
	}
	go func() { done <- p.Run(ctx, sink) }()
	until := func(n int) {
		for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
			if sink.Has(make([]string, n)) {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("not %d committed", n)
				return
			}
		}
	}
	until(1)
	s.must(s.user.Delete("Bounces"))
	s.must(s.user.Create("Bounces", nil))
	s.append("Bounces", "Subject: failure 2\r\n\r\n")
	until(2)
	cancel()
	if err := <-done; err != nil || connections != 1 {
		t.Errorf("%v, %d connections", err, connections)
	}
}
