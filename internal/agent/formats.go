package agent

import "bouncefeed/parsers"

// Formats are what `explain --as` knows beside "reply".
func Formats() []string { return parsers.Modules.Kinds() }

// LineFormats are the log formats, which `backfill --as` knows.
func LineFormats() []string {
	var lines []string
	for _, kind := range parsers.Modules.Kinds() {
		if !parsers.IsMessage(kind) {
			lines = append(lines, kind)
		}
	}
	return lines
}
