package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
)

func newForget(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "forget ADDRESS",
		Short: "erase an address, as its owner may ask",
		Long: `Erases what is about a recipient: events that wait (they are not sent any more) and that were sent, held events, dead
letters, refused records, and what parsers remember of messages to him that are under way; where replies to others name the
address, it is blotted out. Then the queue file is written anew, so that its free space does not have it either.

It stays in what is not bouncefeed's: mail logs, mailboxes, backups, list managers. What bouncefeed reads of him from now on
is new. Keyed hashes of message and recipient stay for as long as queue.retain says, from which nobody reads an address:
without them a bounce that was reported would be reported again. Blocks that a file system has let go may hold old content.` + "\n" + exitHelp,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			return eachStored(a, cmd, agent.Calls.Forget, args[0], func(f agent.Forgotten, raw json.RawMessage) error {
				if a.json {
					return printRaw(cmd, raw)
				}
				_, err := io.WriteString(cmd.OutOrStdout(), forgottenText(&f))
				return err
			})
		},
	}
	return a.socketFlag(a.jsonFlag(cmd))
}

func forgottenText(f *agent.Forgotten) string {
	var b strings.Builder
	fmt.Fprintf(&b, "erased of %s: events %d, held %d, dead letters %d, refused records %d, messages under way %d; blotted out in others: %d\n",
		clean(f.Address), f.Events, f.Held, f.Dead, f.Refused, f.Messages, f.Blotted)
	if f.Unsent > 0 {
		fmt.Fprintf(&b, "waited and will not be sent: %d\n", f.Unsent)
	}
	if f.Kept != "" {
		fmt.Fprintf(&b, "free space of the queue file may still have it until that is used: %s\n", clean(f.Kept))
	}
	for _, file := range f.Copies {
		fmt.Fprintf(&b, "may still have it, delete it when it is not needed: %s\n", clean(file))
	}
	return b.String()
}
