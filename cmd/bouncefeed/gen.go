//go:build gen

package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// The package's build has this command (go run -tags gen ./cmd/bouncefeed gen-man DIR), the installed program has not.
func init() { buildCommands = append(buildCommands, newGenMan) }

// newGenMan writes the man pages that the package holds.
func newGenMan(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:    "gen-man DIR",
		Short:  "write the man pages into a folder",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			root.DisableAutoGenTag = true
			return doc.GenManTree(root, &doc.GenManHeader{Title: "BOUNCEFEED", Section: "8", Source: "bouncefeed " + version, Manual: "System administration"}, args[0])
		},
	}
}
