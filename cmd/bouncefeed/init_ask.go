package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// asker asks an admin at a terminal.
type asker struct {
	in    io.Reader
	out   io.Writer
	token string // what was answered
}

// isTerminal says whether somebody sits at the other end; /dev/null is a device, too, and nobody is there.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// complete asks for what the command line does not say.
func (q *asker) complete(o *initOrder) error {
	for o.url == "" {
		answer, err := q.ask("listmonk's address, as in the browser (empty: later): ")
		if err != nil {
			return err
		}
		if answer == "" {
			break
		}
		if _, err := listmonkURL(answer); err != nil {
			fmt.Fprintln(q.out, err)
			continue
		}
		o.url = answer
	}
	if o.username == "" && o.url != "" {
		answer, err := q.ask("its API user with the permission webhooks:post_bounce [bouncefeed]: ")
		if err != nil {
			return err
		}
		o.username = answer
	}
	if o.token != "" || o.output == "" {
		return nil
	}
	question := "the API user's token, which is not shown (empty: later): "
	if _, err := os.Stat(o.passwordFile); err == nil {
		question = "the API user's token, which is not shown (empty: keep what is in " + o.passwordFile + "): "
	}
	var err error
	q.token, err = q.askHidden(question)
	return err
}

// ask gives a line. It reads no more than that, so that the next question has its own.
func (q *asker) ask(question string) (string, error) {
	fmt.Fprint(q.out, question)
	var line []byte
	for {
		var b [1]byte
		n, err := q.in.Read(b[:])
		switch {
		case n == 1 && b[0] == '\n':
			return strings.TrimSpace(string(line)), nil
		case n == 1:
			line = append(line, b[0])
		case errors.Is(err, io.EOF):
			return "", errors.New("no answer: nothing was written")
		case err != nil:
			return "", err
		}
		if len(line) > bufio.MaxScanTokenSize {
			return "", errors.New("that answer is too long")
		}
	}
}

// askHidden is ask without the answer on the screen.
func (q *asker) askHidden(question string) (string, error) {
	if f, ok := q.in.(*os.File); ok {
		if shown, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
			hidden := *shown
			hidden.Lflag &^= unix.ECHO
			if unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &hidden) == nil {
				defer func() {
					_ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, shown)
					fmt.Fprintln(q.out)
				}()
			}
		}
	}
	return q.ask(question)
}

// agrees asks whether to do something that can't be undone; no, where nobody is there.
func (q *asker) agrees(question string) bool {
	if !isTerminal(q.in) {
		return false
	}
	answer, err := q.ask(question + " [y/N] ")
	return err == nil && strings.HasPrefix(strings.ToLower(answer), "y")
}

// listmonkURL completes an address as people have it to that of the bounce webhook.
func listmonkURL(text string) (string, error) {
	text = strings.TrimSpace(text)
	if !strings.Contains(text, "://") {
		scheme := "https://"
		if host, _, _ := strings.Cut(text, ":"); host == "localhost" || strings.HasPrefix(host, "127.") {
			scheme = "http://"
		}
		text = scheme + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || strings.ContainsAny(text, " \"'#") {
		return "", fmt.Errorf("%q is no web address: write it like https://lists.example.com", text)
	}
	u.RawQuery, u.Fragment = "", ""
	path, _, _ := strings.Cut(u.Path, "/admin")
	if path = strings.TrimSuffix(path, "/"); !strings.HasSuffix(path, "/webhooks/bounce") {
		path += "/webhooks/bounce"
	}
	u.Path = path
	return u.String(), nil
}
