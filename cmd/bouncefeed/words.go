package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
)

// newWords is the glossary, which stands in its help too: so it is a page of the manual.
func newWords(a *app) *cobra.Command {
	var b strings.Builder
	b.WriteString("What is read and not reported is counted under a word, in 'bouncefeed status', by input.\n")
	for _, part := range []struct {
		refused bool
		title   string
	}{{false, "Ignored, of no interest:"}, {true, "Refused, not believed (the newest are kept, see 'bouncefeed refused list'):"}} {
		fmt.Fprintf(&b, "\n%s\n", part.title)
		for _, w := range agent.Words {
			if w.Refused != part.refused {
				continue
			}
			fmt.Fprintf(&b, "\n  %s\n      %s\n", w.Word, w.Means)
			if w.Remedy != "" {
				fmt.Fprintf(&b, "      -> %s\n", w.Remedy)
			}
		}
	}
	return a.jsonFlag(&cobra.Command{
		Use:   "words",
		Short: "explain the words under which things are ignored or refused",
		Long:  b.String() + exitHelp,
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !a.json {
				_, err := fmt.Fprint(cmd.OutOrStdout(), b.String())
				return err
			}
			for _, w := range agent.Words {
				if err := printJSON(cmd, w); err != nil {
					return err
				}
			}
			return nil
		},
	})
}
