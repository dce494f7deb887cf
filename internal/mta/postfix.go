// Package mta asks the mail server of this machine, and the journal it logs to, how they are set up: what `init` drafts
// and what `check --online` warns of. It changes nothing.
package mta

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNone: no such mail server is installed here.
var ErrNone = errors.New("not installed")

// patience is how long a question to a program may take.
const patience = 10 * time.Second

// Postfix is its configuration, as postconf(1) gives it: defaults and $name expanded.
type Postfix struct{ values map[string]string }

// postfixParameters are those that are asked for; an older Postfix does not know all.
var postfixParameters = []string{
	"mynetworks", "header_checks", "nested_header_checks", "mime_header_checks", "maillog_file", "info_log_address_format",
	"maximal_queue_lifetime", "bounce_queue_lifetime", "myhostname", "syslog_name",
	"always_bcc", "double_bounce_sender",
}

// ReadPostfix asks postconf. The error is ErrNone, or says what postconf said.
func ReadPostfix(ctx context.Context) (*Postfix, error) {
	said, err := run(ctx, "postconf", append([]string{"-x"}, postfixParameters...)...)
	if err != nil {
		return nil, err
	}
	return parsePostconf(said), nil
}

// parsePostconf reads lines such as
//
//	nested_header_checks = regexp:/etc/postfix/header_checks
func parsePostconf(said string) *Postfix {
	p := &Postfix{map[string]string{}}
	for line := range strings.Lines(said) {
		if name, value, ok := strings.Cut(line, "="); ok {
			p.values[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return p
}

// Value is what a parameter is set to; "" if it is empty, or none that Postfix knows.
func (p *Postfix) Value(name string) string { return p.values[name] }

// LogFile is where Postfix itself writes its log; "": it logs through syslog.
func (p *Postfix) LogFile() string {
	if f := p.values["maillog_file"]; f != "/dev/stdout" {
		return f
	}
	return ""
}

// Networks are those of mynetworks, as far as they stand there or in a plain file. Tables are not looked into.
func (p *Postfix) Networks() []netip.Prefix { return networks(p.values["mynetworks"], 0) }

func networks(value string, depth int) (all []netip.Prefix) {
	for _, word := range strings.FieldsFunc(value, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' || c == '\n' }) {
		if strings.HasPrefix(word, "/") && depth == 0 { // one a line
			if text, err := os.ReadFile(word); err == nil {
				for line := range strings.Lines(string(text)) {
					line, _, _ = strings.Cut(line, "#")
					all = append(all, networks(line, 1)...)
				}
			}
			continue
		}
		word = strings.NewReplacer("[", "", "]", "").Replace(word) // [2001:db8::]/32
		if a, err := netip.ParseAddr(word); err == nil {
			all = append(all, netip.PrefixFrom(a, a.BitLen()))
		} else if n, err := netip.ParsePrefix(word); err == nil {
			all = append(all, n.Masked())
		}
	}
	return all
}

// listmonkRule is in a table that has listmonk's header fields logged:
//
//	/^X-Listmonk-(Campaign|Subscriber):/ INFO
const listmonkRule = "x-listmonk"

// LogsListmonk says whether the tables of a parameter, "regexp:/etc/postfix/header_checks", have listmonk's header fields
// logged. A table that can't be read counts as one that does not.
func (p *Postfix) LogsListmonk(parameter string) bool {
	for _, table := range strings.FieldsFunc(p.values[parameter], func(c rune) bool { return c == ',' || c == ' ' }) {
		_, path, _ := strings.Cut(table, ":")
		text, err := os.ReadFile(path)
		if err != nil {
			text = []byte(table) // regexp:{{/^X-Listmonk-Subscriber:/ INFO}}
		}
		for line := range strings.Lines(strings.ToLower(string(text))) {
			if !strings.HasPrefix(strings.TrimSpace(line), "#") && strings.Contains(line, listmonkRule) {
				return true
			}
		}
	}
	return false
}

// NestedListmonk are the parameters by which the header fields of attached messages are logged like the message's own:
// a reader who forwards a newsletter as an attachment would be taken for the one whose mail failed.
func (p *Postfix) NestedListmonk() (parameters []string) {
	for _, name := range []string{"nested_header_checks", "mime_header_checks"} {
		if p.LogsListmonk(name) {
			parameters = append(parameters, name)
		}
	}
	return parameters
}

// run gives what a program says. An admin's PATH may lack /usr/sbin.
func run(ctx context.Context, program string, args ...string) (string, error) {
	path, err := exec.LookPath(program)
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"} {
		if err == nil {
			break
		}
		p := filepath.Join(dir, program)
		if err = unix.Access(p, unix.X_OK); err == nil {
			path = p
		}
	}
	if err != nil {
		return "", ErrNone
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", program, err)
	}
	return string(out), nil
}
