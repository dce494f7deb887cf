//go:build gen

package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"bouncefeed/internal/agent"
)

// The package's build has these commands (go run -tags gen ./cmd/bouncefeed gen-man DIR), the installed program has not.
func init() { buildCommands = append(buildCommands, newGenMan, newGenSchema) }

// newGenMan writes the man pages that the package holds: of section 8 the commands, of section 5 the configuration.
func newGenMan(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:    "gen-man DIR",
		Short:  "write the man pages into a folder",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			root.DisableAutoGenTag = true
			for _, cmd := range root.Commands() {
				if cmd.Name() == "completion" { // the package has its files where shells look for them
					root.RemoveCommand(cmd)
				}
			}
			root.Long += manSections
			header := &doc.GenManHeader{Title: "BOUNCEFEED", Section: "8", Source: "bouncefeed " + version, Manual: "System administration"}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return err
			}
			example, err := os.ReadFile("config.example.yaml")
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(args[0], "bouncefeed.yaml.5"), configManual(string(example)), 0o644)
		},
	}
}

// newGenSchema writes the configuration's JSON schema.
func newGenSchema(*cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:    "gen-schema FILE",
		Short:  "write the configuration's JSON schema, in the module's root",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			schema, err := agent.Schema("./")
			if err != nil {
				return err
			}
			return os.WriteFile(args[0], append(schema, '\n'), 0o644)
		},
	}
}
