// Bouncefeed carries what the mail system says about undeliverable mail to a list manager's bounce webhook.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
)

// version is set by the build (-ldflags "-X main.version=…").
var version = "dev"

// Exit codes, as in sysexits.h where it has one.
const (
	exitFailure     = 1  // what was asked did not work, or is not as it should be
	exitUsage       = 2  // wrong words on the command line
	exitUnavailable = 69 // the daemon does not run
	exitConfig      = 78 // the configuration is wrong
)

const exitHelp = `
Exit codes: 0 fine, 1 failure, 2 wrong usage, 69 the daemon does not run, 78 the configuration is wrong.`

// buildCommands are commands of the build only, see gen.go.
var buildCommands []func(root *cobra.Command) *cobra.Command

// app is what all subcommands share.
type app struct {
	configPath string
	socket     string
	json       bool
}

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute does what the words of a command line say, and gives the exit code.
func execute(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	said := describe(err)
	if config := root.PersistentFlags().Lookup("config").Value.String(); errors.Is(err, control.ErrNotRunning) {
		if why := whyNotRunning(ctx, config); why != "" {
			said += "\nbouncefeed: " + why
		}
	}
	if said != "" {
		fmt.Fprintln(errs, asPriority(root, args, said))
	}
	return exitCode(err)
}

// asPriority marks what keeps the daemon from starting as an error for the journal (sd-daemon(3)).
func asPriority(root *cobra.Command, args []string, text string) string {
	if cmd, _, err := root.Find(args); err != nil || cmd.Name() != "run" || os.Getenv("JOURNAL_STREAM") == "" {
		return text
	}
	return "<3>" + strings.ReplaceAll(text, "\n", "\n<3>")
}

func newRoot() *cobra.Command {
	a := &app{}
	root := &cobra.Command{
		Use:   "bouncefeed",
		Short: "carry bounces from mail logs to a list manager's webhook",
		Long: `bouncefeed reads what the mail system says about undeliverable mail, decides per recipient whether a bounce is
hard, soft or a complaint and whose fault it is, and delivers each bounce once to listmonk's /webhooks/bounce or any
endpoint that takes such posts.

Try 'bouncefeed demo' first: it needs no configuration and no rights.
` + exitHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w (see 'bouncefeed %s --help')", err, cmd.Name())}
	})
	root.PersistentFlags().StringVarP(&a.configPath, "config", "c", defaultConfig, "the configuration `file`")
	root.AddCommand(
		newRun(a),
		newReload(a),
		newCheck(a),
		newInit(a),
		newTestBounce(a),
		newExplain(a),
		newTest(a),
		newBackfill(a),
		newReport(a),
		newDemo(a),
		newStatus(a),
		newDead(a),
		newHeld(a),
		newRefused(a),
		newQueue(a),
		newForget(a),
		newOutput(a),
		newResend(a),
		newTail(a),
		newFind(a),
		newLog(a),
		newNATS(a),
		newDeliver(a),
		newSupport(a),
		newVersion(a),
		newKeep(),
		newWords(a),
	)
	for _, add := range buildCommands {
		root.AddCommand(add(root))
	}
	a.completeAll(root)
	return root
}

// load reads the configuration and builds every module of it: all mistakes at once.
func (a *app) load() (*config.Config, error) {
	cfg, err := config.Load(a.configPath)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &exitError{exitConfig, "bouncefeed: there is no configuration at " + a.configPath + ": 'bouncefeed init -o " + a.configPath + "' writes one, or name another with --config"}
	}
	if cfg == nil {
		return nil, err
	}
	return cfg, config.Add(a.configPath, err, agent.Check(cfg, a.configPath, version, slog.New(slog.DiscardHandler)))
}

// loadIfThere reads the configuration for commands that can do without: a missing or unreadable file is no mistake
// unless it was asked for.
func (a *app) loadIfThere(cmd *cobra.Command) (*config.Config, error) {
	cfg, err := config.Load(a.configPath)
	if err != nil && !cmd.Flags().Changed("config") && (errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission)) {
		return nil, nil
	}
	return cfg, err
}

// controlSocket is --socket, or what the configuration says, or the default.
func (a *app) controlSocket(cmd *cobra.Command) (string, error) {
	if a.socket != "" {
		return a.socket, nil
	}
	cfg, err := a.configured(cmd)
	if err != nil {
		return "", err
	}
	return cfg.Control.Socket, nil
}

// configured is what the configuration says, or the defaults where it is not there for this user.
func (a *app) configured(cmd *cobra.Command) (*config.Config, error) {
	cfg, err := a.loadIfThere(cmd)
	if cfg == nil && err == nil {
		cfg = config.Default()
	}
	return cfg, err
}

// jsonFlag and socketFlag add the flags that several commands share.
func (a *app) jsonFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON, one object a line")
	return cmd
}

func (a *app) socketFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&a.socket, "socket", "", "the daemon's `socket` (default: as configured)")
	return cmd
}

type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

// exitError is a failure that has been told already, or needs its own code.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

func exitCode(err error) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[config.Errors](err); ok {
		return exitConfig
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	if strings.HasPrefix(err.Error(), "unknown command") || strings.HasPrefix(err.Error(), "if any flags in the group") { // cobra has no types for these
		return exitUsage
	}
	if agent.IsNewer(err) {
		return exitConfig
	}
	if errors.Is(err, control.ErrNotRunning) {
		return exitUnavailable
	}
	return exitFailure
}

func describe(err error) string {
	if told, ok := errors.AsType[*exitError](err); ok {
		return told.text
	}
	if errs, ok := errors.AsType[config.Errors](err); ok {
		noun := "mistake"
		if len(errs) != 1 {
			noun = "mistakes"
		}
		return fmt.Sprintf("%s\n%d %s in the configuration", errs, len(errs), noun)
	}
	if strings.HasPrefix(err.Error(), "bouncefeed ") {
		return err.Error()
	}
	return "bouncefeed: " + err.Error()
}
