package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
)

// initOrder is what an admin wants of init: the answers on the command line.
type initOrder struct {
	url, username, passwordFile string
	token                       string // the file to take the token from, "-" for standard input
	output                      string
	force                       bool
}

const exampleURL = "https://lists.example.com/webhooks/bounce"

func newInit(a *app) *cobra.Command {
	var o initOrder
	cmd := &cobra.Command{
		Use:   "init",
		Short: "write a configuration for this machine",
		Long: `Looks which mail servers are installed here, asks them and journald how they log, and makes a configuration for them.
On a terminal it asks for listmonk's address and the API user's token, writes both files and tries listmonk; else, or
with the answers on the command line, it asks nothing. Without -o, where nobody can be asked, it prints the configuration
and changes nothing. It changes nothing in the mail server either: what is better changed there it tells, with commands.` + "\n" + exitHelp,
		Example: `  bouncefeed init
  bouncefeed init --url https://lists.example.com --token /root/token -o /etc/bouncefeed/config.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.init(cmd, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.url, "url", "", "listmonk's `address`, as in the browser or its bounce webhook")
	f.StringVar(&o.username, "username", "", "listmonk's API `user` (default bouncefeed)")
	f.StringVar(&o.passwordFile, "password-file", "/etc/bouncefeed/listmonk.token", "the `file` that holds the API user's token, written if there is a token")
	f.StringVar(&o.token, "token", "", "the `file` to take the token from, - for standard input")
	f.StringVarP(&o.output, "out", "o", "", "the `file` to write the configuration to")
	f.BoolVar(&o.force, "force", false, "write over files that are there; the old configuration is kept beside")
	return a.jsonFlag(cmd)
}

func (a *app) init(cmd *cobra.Command, o initOrder) error {
	found := agent.LookHere(cmd.Context())
	if a.json {
		return printJSON(cmd, found)
	}
	say := cmd.ErrOrStderr()
	for _, f := range found {
		fmt.Fprintf(say, "found %s: %s\n", f.Name, f.Why)
	}
	if len(found) == 0 {
		fmt.Fprintln(say, "no mail server was found on this machine")
	}
	who := asker{in: cmd.InOrStdin(), out: say}
	if isTerminal(who.in) {
		if o.output == "" && isTerminal(cmd.OutOrStdout()) {
			o.output = a.configPath
		}
		if err := who.complete(&o); err != nil {
			return err
		}
	}
	token, err := o.readToken(cmd.InOrStdin(), who)
	if err != nil {
		return err
	}
	to, err := o.receiver()
	if err != nil {
		return err
	}
	draft := agent.Draft(found, to)
	if o.output == "" {
		_, err := cmd.OutOrStdout().Write(draft)
		return err
	}
	if err := o.write(draft, token, who); err != nil {
		return err
	}
	o.tryReceiver(cmd, draft)
	advise(say, found)
	o.nextSteps(say, token, a.isRunning(cmd))
	return nil
}

// receiver is listmonk as far as it is known: its address is completed.
func (o *initOrder) receiver() (agent.Receiver, error) {
	to := agent.Receiver{URL: exampleURL, Username: "bouncefeed", PasswordFile: o.passwordFile}
	if o.username != "" {
		to.Username = o.username
	}
	if o.url != "" {
		u, err := listmonkURL(o.url)
		if err != nil {
			return to, &usageError{err}
		}
		to.URL = u
	}
	for _, text := range []string{to.Username, to.PasswordFile} {
		if strings.ContainsAny(text, "\n\r:#\"'{}[]&*!|>%@`") || text == "" {
			return to, &usageError{fmt.Errorf("%q can't stand in the configuration as it is: write it there yourself", text)}
		}
	}
	return to, nil
}

// readToken gives the token; "": it is there already, or comes later.
func (o *initOrder) readToken(in io.Reader, who asker) (string, error) {
	switch o.token {
	case "":
		return who.token, nil
	case "-":
	default:
		f, err := os.Open(o.token)
		if err != nil {
			return "", fmt.Errorf("read the token: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, 64<<10))
	token := strings.TrimSpace(string(text))
	if err == nil && (token == "" || strings.ContainsAny(token, " \n\t")) {
		err = fmt.Errorf("%s holds no token: one word is wanted", o.token)
	}
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	return token, nil
}

// tryReceiver asks listmonk whether it would take events.
func (o *initOrder) tryReceiver(cmd *cobra.Command, draft []byte) {
	say := cmd.ErrOrStderr()
	if _, err := os.Stat(o.passwordFile); err != nil || o.url == "" {
		return
	}
	for _, f := range agent.CheckReceivers(cmd.Context(), o.output, version, draft) {
		printFinding(say, f)
	}
}

func (a *app) isRunning(cmd *cobra.Command) bool {
	socket := config.Default().Control.Socket
	return agent.Calls.Status.Do(cmd.Context(), socket, control.None{}, nil) == nil
}

func advise(say io.Writer, found []agent.Found) {
	for _, f := range found {
		for _, advice := range f.Advice {
			fmt.Fprintf(say, "\n%s\n", strings.ReplaceAll(advice, "\n", "\n    "))
		}
	}
}

// nextSteps says what to type now.
func (o *initOrder) nextSteps(say io.Writer, token string, running bool) {
	fmt.Fprintln(say, "\nNext:")
	if _, err := os.Stat(o.passwordFile); err != nil && token == "" {
		fmt.Fprintf(say, "  put the token of listmonk's API user into %s: install -m 640 -g bouncefeed TOKENFILE %s\n", o.passwordFile, o.passwordFile)
	}
	if o.url == "" {
		fmt.Fprintf(say, "  put listmonk's address into %s\n", o.output)
	}
	if o.output == defaultConfig {
		start := "systemctl enable --now bouncefeed"
		if running {
			start = "systemctl restart bouncefeed"
		}
		fmt.Fprintf(say, "  %s\n  bouncefeed test-bounce      # sends a mail that must fail, and follows it to listmonk\n", start)
		return
	}
	fmt.Fprintf(say, "  bouncefeed check --online -c %[1]s\n  bouncefeed run -c %[1]s\n", o.output)
}
