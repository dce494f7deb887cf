package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
)

// result is what a command line came to.
type result struct {
	code     int
	out, err string
}

// command runs a command line; in is its standard input.
func command(t *testing.T, in string, args ...string) result {
	t.Helper()
	return commandIn(t.Context(), in, args...)
}

func commandIn(ctx context.Context, in string, args ...string) result {
	var out, errs strings.Builder
	code := execute(ctx, args, strings.NewReader(in), &out, &errs)
	return result{code, out.String(), errs.String()}
}

// expect compares an exit code and looks for words in both outputs.
func (r result) expect(t *testing.T, code int, out, errs string) {
	t.Helper()
	if r.code != code || !strings.Contains(r.out, out) || !strings.Contains(r.err, errs) {
		t.Errorf("exit code %d, want %d\nout: %s\nwant in it: %s\nerr: %s\nwant in it: %s", r.code, code, r.out, out, r.err, errs)
	}
}

// write makes a file in a folder of the test's own.
func write(t *testing.T, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// daemon answers on a socket as a running daemon would, as far as answers go. The socket's path is short: sun_path
// holds 108 bytes.
func daemon(t *testing.T, answers ...control.Answer) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "bf")
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "control.sock")
	l, err := control.Listen(socket, 0o660, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- control.Serve(ctx, l, answers) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		os.RemoveAll(dir)
	})
	return socket
}

// answering answers a call with values.
func answering[A, R any](call control.Call[A, R], values ...R) control.Answer {
	return call.Answer(func(_ context.Context, _ A, _ io.Reader, reply func(R) error) error {
		for _, v := range values {
			if err := reply(v); err != nil {
				return err
			}
		}
		return nil
	})
}

// failing answers a call with an error.
func failing[A, R any](call control.Call[A, R], text string) control.Answer {
	return call.Answer(func(context.Context, A, io.Reader, func(R) error) error { return errors.New(text) })
}

// every walks over all commands.
func every(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		every(sub, f)
	}
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"nosuch":                              `unknown command "nosuch"`,
		"status --nosuch":                     "unknown flag: --nosuch (see 'bouncefeed status --help')",
		"status now":                          `bouncefeed status takes no "now" (see 'bouncefeed status --help')`,
		"run now":                             `bouncefeed run takes no "now"`,
		"check all":                           `bouncefeed check takes no "all"`,
		"version 1":                           `bouncefeed version takes no "1"`,
		"demo x":                              `bouncefeed demo takes no "x"`,
		"init x":                              `bouncefeed init takes no "x"`,
		"dead nosuch":                         `bouncefeed dead takes no "nosuch"`,
		"dead list 1":                         `bouncefeed dead list takes no "1"`,
		"dead show":                           "bouncefeed dead show takes one argument",
		"held show 1 2":                       "bouncefeed held show takes one argument",
		"held list --output x":                "unknown flag: --output",
		"explain":                             "bouncefeed explain needs a file, or - for standard input",
		"backfill":                            "bouncefeed backfill needs a file",
		"backfill --since soon x":             `"soon" is no time: write 2026-11-01 or 2026-11-01T12:00:00Z`,
		"backfill --until 31.12. x":           `"31.12." is no time`,
		"backfill /nowhere/*.log":             "no file is called /nowhere/*.log",
		"backfill --as reply x":               `backfill reads logs and mailboxes: "reply" is none of`,
		"backfill --trust any --as postfix x": "--trust is for mailboxes",
		"backfill --dry-run --as what":        "bouncefeed backfill needs a file",
	} {
		r := command(t, "", strings.Fields(line)...)
		r.expect(t, exitUsage, "", want)
		if !strings.HasPrefix(r.err, "bouncefeed") || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%s: %q is not one line that begins with our name", line, r.err)
		}
	}
}

// A mailbox needs --trust: what that means is told in full.
func TestBackfillAsksWhomToBelieve(t *testing.T) {
	t.Parallel()
	r := command(t, "", "backfill", "--as", "mail", "x")
	r.expect(t, exitUsage, "", "bouncefeed: --trust is missing: anybody can send a mail")
	r.expect(t, exitUsage, "", "\n  --trust any ")
	command(t, "", "backfill", "--as", "mail", "--trust", "all", "x").expect(t, exitUsage, "", "--trust ")
}

// Help goes to standard output and says what the exit codes mean, wherever there is more than a word to say.
func TestHelp(t *testing.T) {
	t.Parallel()
	every(newRoot(), func(c *cobra.Command) {
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		r := command(t, "", args...)
		r.expect(t, 0, "Usage:", "")
		if r.err != "" {
			t.Errorf("%v writes on standard error: %s", args, r.err)
		}
		if c.Long != "" && !strings.Contains(r.out, "xit codes") {
			t.Errorf("%v does not tell its exit codes", args)
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || c.Short[0] < 'a' || c.Short[0] > 'z' {
			t.Errorf("%v: %q is no line of a list of commands", args, c.Short)
		}
	})
	command(t, "").expect(t, 0, "Available Commands:", "")
	command(t, "", "dead").expect(t, 0, "Available Commands:", "")
}

// What help and examples name is there: commands and flags.
func TestHelpNamesWhatIsThere(t *testing.T) {
	t.Parallel()
	root := newRoot()
	flag := regexp.MustCompile(`--[a-z][a-z-]+`)
	line := regexp.MustCompile(`(?m)(?:^  |\| |')bouncefeed ([a-z-]+)([^'\n|]*)`)
	every(root, func(c *cobra.Command) {
		for _, m := range line.FindAllStringSubmatch(c.Long+"\n"+c.Example, -1) {
			found, _, err := root.Find(append([]string{m[1]}, strings.Fields(m[2])...))
			if err != nil || found == root {
				t.Errorf("%s: there is no command %q", c.CommandPath(), m[0])
				continue
			}
			for _, f := range flag.FindAllString(m[2], -1) {
				if f != "--help" && found.Flag(f[2:]) == nil {
					t.Errorf("%s: %s has no flag %s", c.CommandPath(), found.CommandPath(), f)
				}
			}
		}
	})
}

// Flags of one name mean the same everywhere, and what takes a word says which.
func TestFlagsAreAlike(t *testing.T) {
	t.Parallel()
	usage := map[string]string{}
	every(newRoot(), func(c *cobra.Command) {
		for _, name := range []string{"json", "socket", "config", "output"} {
			f := c.Flag(name)
			if f == nil {
				continue
			}
			if usage[name] != "" && usage[name] != f.Usage {
				t.Errorf("--%s of %s is %q, elsewhere %q", name, c.CommandPath(), f.Usage, usage[name])
			}
			if usage[name] = f.Usage; f.Value.Type() == "string" && !strings.Contains(f.Usage, "`") {
				t.Errorf("--%s of %s does not name its value", name, c.CommandPath())
			}
		}
	})
	for _, path := range []string{"status", "tail", "check", "explain", "backfill", "init", "version", "dead list", "dead show", "dead retry", "dead drop", "held list", "held show", "held release", "held drop", "refused list", "refused show", "words"} {
		if c, _, err := newRoot().Find(strings.Fields(path)); err != nil || c.Flag("json") == nil {
			t.Errorf("%s prints data and has no --json, %v", path, err)
		}
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{errors.New("broken"), exitFailure, "bouncefeed: broken"},
		{&usageError{errors.New("bouncefeed status takes no \"x\"")}, exitUsage, "bouncefeed status takes no \"x\""},
		{fmt.Errorf("ask: %w", control.ErrNotRunning), exitUnavailable, "bouncefeed: ask: bouncefeed is not running"},
		{config.Errors{{File: "c.yaml", Line: 1, Col: 2, Message: "no"}}, exitConfig, "c.yaml:1:2: no\n1 mistake in the configuration"},
		{fmt.Errorf("load: %w", config.Errors{{File: "a", Message: "x"}, {File: "a", Message: "y"}}), exitConfig, "a: x\na: y\n2 mistakes in the configuration"},
		{&exitError{75, "later"}, 75, "later"},
		{fmt.Errorf("wrapped: %w", &exitError{65, "none"}), 65, "none"},
	} {
		if code, text := exitCode(c.err), describe(c.err); code != c.code || text != c.text {
			t.Errorf("%v: %d %q, want %d %q", c.err, code, text, c.code, c.text)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	command(t, "", "version").expect(t, 0, "bouncefeed "+version+" (go", "")
	command(t, "", "version", "--json").expect(t, 0, `"version":"`+version+`"`, "")
	command(t, "", "--version").expect(t, 0, "bouncefeed version "+version, "")
}

// Without --config a command that can do without goes on; with it, the file must be there.
func TestConfigurationThatIsNotThere(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none.yaml")
	reply := write(t, "replies", "550 5.1.1 user unknown\n")
	command(t, "", "explain", "--as", "reply", "--config", missing, reply).expect(t, exitFailure, "", "no such file")
	command(t, "", "status", "--config", missing).expect(t, exitFailure, "", "no such file")
	for _, name := range []string{"check", "run"} {
		if r := command(t, "", name, "--config", missing); r.code == 0 || !strings.Contains(r.err, missing) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	wrong := write(t, "wrong.yaml", "log: {level: loud}\n")
	command(t, "", "status", "-c", wrong).expect(t, exitConfig, "", wrong+`:1:14: log.level: "loud" is none of`)
}

// The socket is --socket's, or the configuration's.
func TestWhichSocket(t *testing.T) {
	t.Parallel()
	socket := daemon(t, answering(agent.Calls.Status, agent.Status{Version: "9.9"}))
	configured := write(t, "c.yaml", "control: {socket: "+socket+"}\n")
	elsewhere := write(t, "c.yaml", "control: {socket: /nowhere/control.sock}\n")
	command(t, "", "status", "-c", configured).expect(t, 0, "bouncefeed 9.9", "")
	command(t, "", "status", "-c", elsewhere, "--socket", socket).expect(t, 0, "bouncefeed 9.9", "")
	command(t, "", "status", "-c", elsewhere).expect(t, exitUnavailable, "", "nobody answers on /nowhere/control.sock")
}
