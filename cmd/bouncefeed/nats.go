package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
)

func newNATS(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "nats", Short: "set up the stream of a fleet", Args: noArgs}
	cmd.AddCommand(newNATSSetup(a))
	return cmd
}

func newNATSSetup(a *app) *cobra.Command {
	s := agent.NATSSetup{Version: version}
	age, window, size := config.Duration(15*24*time.Hour), config.Duration(24*time.Hour), "1GiB"
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "make or mend the stream and the consumers that the configuration names",
		Long: `Looks at the streams and consumers that inputs and outputs of type nats name, and says what it would create or change so
that no bounce is lost or doubled there. With --yes it does so. What is generous enough already stays as it is. The login of the
configuration must be allowed to do that ($JS.API.>); with another one, name a configuration of your own by --config.

With --partitions several hubs share the work by recipient: the outputs' subject must then be
bounces.{{.host}}.{{.type}}.{{.bucket}}, and each hub has inputs for some of the consumers NAME-0, NAME-1 …` + "\n" + exitHelp,
		Example: `  bouncefeed nats setup
  bouncefeed nats setup --replicas 3 --max-bytes 20GiB --yes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var bytes config.Size
			if err := bytes.UnmarshalText([]byte(size)); err != nil {
				return &usageError{fmt.Errorf("--max-bytes: %w", err)}
			}
			if s.Wish.Replicas < 0 || s.Wish.Replicas > 5 || s.Wish.Partitions < 0 || s.Wish.Partitions > 256 {
				return &usageError{errors.New("--replicas goes to 5, --partitions to 256")}
			}
			s.Wish.MaxAge, s.Wish.Window, s.Wish.MaxBytes = age.Std(), window.Std(), int64(bytes)
			return a.natsSetup(cmd, s)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&s.Apply, "yes", false, "do it")
	f.IntVar(&s.Wish.Replicas, "replicas", 0, "copies of the stream on as many servers (default: 3 in a cluster, else 1)")
	f.TextVar((*durationFlag)(&age), "max-age", durationFlag(age), "how `long` events stay")
	f.TextVar((*durationFlag)(&window), "window", durationFlag(window), "how `long` the stream knows an event's id: longer than an outage lasts")
	f.StringVar(&size, "max-bytes", size, "how much `room` the stream has; senders wait when it is full")
	f.IntVar(&s.Wish.Partitions, "partitions", 0, "how many consumers share the work (default: one does it)")
	return a.jsonFlag(cmd)
}

// durationFlag is a duration with days.
type durationFlag config.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *durationFlag) UnmarshalText(text []byte) error {
	return (*config.Duration)(d).UnmarshalText(text)
}

// MarshalText implements encoding.TextMarshaler.
func (d durationFlag) MarshalText() ([]byte, error) {
	if day := 24 * time.Hour; time.Duration(d)%day == 0 {
		return fmt.Appendf(nil, "%dd", time.Duration(d)/day), nil
	}
	return []byte(time.Duration(d).String()), nil
}

func (a *app) natsSetup(cmd *cobra.Command, s agent.NATSSetup) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	s.Config, s.File = cfg, a.configPath
	var failed error
	left, err := s.Run(cmd.Context(), func(f agent.Finding) {
		if a.json {
			failed = errors.Join(failed, printJSON(cmd, f))
		} else {
			f.Detail = clean(f.Detail)
			failed = errors.Join(failed, printFinding(cmd.OutOrStdout(), f))
		}
	})
	if err = errors.Join(err, failed); err == nil && left {
		_, err = fmt.Fprintln(cmd.ErrOrStderr(), "nothing is changed yet: --yes does it")
	}
	return err
}
