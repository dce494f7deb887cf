package main

import (
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/event"
)

func newExplain(a *app) *cobra.Command {
	var as, headers string
	var all bool
	cmd := &cobra.Command{
		Use:   "explain [--as FORMAT] FILE…|-",
		Short: "say what a log line, message or SMTP reply is, and why",
		Long: `Says for every line of a log (postfix …), for every message of an mbox, of a Maildir or in a file of its own (mail),
for a webhook's body (ses …) or for bare SMTP replies, one a line (reply), what bouncefeed makes of it: fields, rule,
reason, type, and whether it would be reported. It reads the lines of a file as one stream, with the memory that the
daemon would have, and changes nothing.

Lines of no interest are left out unless --all is given. With --json every line or message is one object.` + "\n" + exitHelp,
		Example: `  grep 4F1A01C2D0 /var/log/mail.log | bouncefeed explain --as postfix -
  bouncefeed explain --as mail /var/mail/bounces
  echo '550 5.7.1 Service unavailable; client host blocked using zen.spamhaus.org' | bouncefeed explain --as reply -`,
		Args: someFiles,
		RunE: func(cmd *cobra.Command, files []string) error {
			cfg, err := a.loadIfThere(cmd)
			if err != nil {
				return err
			}
			debug.SetGCPercent(400) // it holds one message at a time; collecting the few megabytes less often is a tenth of the time
			q := agent.Inquiry{Config: cfg, Files: files, As: as, Headers: headers, Version: version, Log: slog.New(slog.DiscardHandler)}
			return agent.Explain(cmd.Context(), q, func(x agent.Explanation) error {
				if a.json {
					return printJSON(cmd, x)
				}
				return printExplanation(cmd.OutOrStdout(), x, all)
			})
		},
	}
	cmd.Flags().StringVar(&as, "as", "postfix", "the `format`: "+strings.Join(agent.Formats(), ", ")+" or reply")
	cmd.Flags().StringVar(&headers, "headers", "", "the header fields of a webhook request, in a `file`: says whether its signature holds")
	cmd.Flags().BoolVar(&all, "all", false, "show lines of no interest too")
	return a.jsonFlag(cmd)
}

func someFiles(cmd *cobra.Command, files []string) error {
	if len(files) == 0 {
		return &usageError{fmt.Errorf("%s needs a file, or - for standard input (see '%s --help')", cmd.CommandPath(), cmd.CommandPath())}
	}
	return nil
}

func printExplanation(w io.Writer, x agent.Explanation, all bool) error {
	place := x.File
	if x.Line > 0 {
		place = fmt.Sprintf("%s:%d", x.File, x.Line)
	}
	if x.Signature != "" {
		if _, err := fmt.Fprintf(w, "%s: signature %s\n", place, x.Signature); err != nil {
			return err
		}
	}
	if x.Wrapper != "" && (x.Kind != "other" || all) {
		if _, err := fmt.Fprintf(w, "%s: taken out of a container's wrapper; the daemon reads it with container: %s only\n", place, x.Wrapper); err != nil {
			return err
		}
	}
	switch {
	case x.Kind == "other" && !all:
		return nil
	case x.Why != "":
		if _, err := fmt.Fprintf(w, "%s: refused: %s%s\n", place, x.Why, explained(x.Means, x.Remedy)); err != nil {
			return err
		}
	case len(x.Events) == 0:
		_, err := fmt.Fprintf(w, "%s: %s: nothing to report%s\n", place, x.Kind, explained(x.Means, x.Remedy))
		return err
	}
	for i := range x.Events {
		if err := printEvent(w, place, &x.Events[i], x.Kind == string(event.Foreign)); err != nil {
			return err
		}
	}
	return nil
}

// explained is what the glossary says of a word, in brackets.
func explained(means, remedy string) string {
	switch {
	case means == "":
		return ""
	case remedy == "":
		return " (" + means + ")"
	}
	return " (" + means + "; " + remedy + ")"
}

// printEvent prints an event as a block of "name  value" lines.
func printEvent(w io.Writer, place string, e *event.Event, foreign bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s bounce: %s (fault: %s)\n", place, e.Type, e.Reason, e.Fault)
	if e.Type == event.Complaint {
		b.Reset()
		fmt.Fprintf(&b, "%s: complaint\n", place)
	}
	field := func(name, value string) {
		if value != "" && value != "0" {
			fmt.Fprintf(&b, "  %-11s %s\n", name, clean(value))
		}
	}
	field("recipient", e.Recipient)
	field("delivered to", e.OriginalRecipient)
	field("subscriber", e.SubscriberUUID)
	field("campaign", e.CampaignUUID)
	field("message-id", e.MessageID)
	field("queue id", e.QueueID)
	field("sender", e.Sender)
	field("remote MTA", e.RemoteMTA)
	field("code", fmt.Sprint(e.Code))
	field("status", e.Status)
	field("said", e.Diagnostic)
	field("rule", e.Rule)
	switch {
	case foreign:
		field("reported", "no: a client that is not of mynetworks, and did not log in, handed the message in (counted as foreign)")
	case e.Type == event.Soft && e.Fault == event.FaultSender:
		field("reported", "no: the sender's fault says nothing about the subscriber (send: [sender_fault] reports it)")
	default:
		field("reported", "yes, as "+string(e.Type))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
