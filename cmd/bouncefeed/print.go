package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bouncefeed/internal/text"
)

func printJSON(cmd *cobra.Command, v any) error { return newEncoder(cmd.OutOrStdout()).Encode(v) }

func newEncoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

// printRaw prints a value that is JSON already.
func printRaw(cmd *cobra.Command, v json.RawMessage) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", v)
	return err
}

func newTable(cmd *cobra.Command) *tabwriter.Writer {
	return tabwriter.NewWriter(&cutter{to: cmd.OutOrStdout()}, 0, 8, 2, ' ', 0)
}

// cutter writes lines of at most columns.
type cutter struct {
	to   io.Writer
	line []byte
}

func (c *cutter) Write(p []byte) (int, error) {
	c.line = append(c.line, p...)
	for {
		line, rest, whole := bytes.Cut(c.line, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		text := strings.TrimRight(string(line), " ")
		if runes := []rune(text); len(runes) > columns {
			text = string(runes[:columns-1]) + "…"
		}
		c.line = rest
		if _, err := io.WriteString(c.to, text+"\n"); err != nil {
			return 0, err
		}
	}
}

// largest sorts the words of m, the most frequent first.
func largest(m map[string]uint64) []string {
	words := slices.Collect(maps.Keys(m))
	slices.SortFunc(words, func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), strings.Compare(a, b))
	})
	return words
}

// counts prints "word 3, other 1", the largest first.
func counts(m map[string]uint64) string {
	words := largest(m)
	for i, w := range words {
		words[i] = fmt.Sprintf("%s %d", w, m[w])
	}
	return strings.Join(words, ", ")
}

// clean makes text from strangers safe for a line on a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return '?'
		}
		return r
	}, text.Harmless(s))
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("%s takes no %q (see '%s --help')", cmd.CommandPath(), args[0], cmd.CommandPath())}
	}
	return nil
}

func oneArg(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return &usageError{fmt.Errorf("%s takes one argument (see '%s --help')", cmd.CommandPath(), cmd.CommandPath())}
	}
	return nil
}
