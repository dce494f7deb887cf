//go:build gen

package main

import (
	"fmt"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
)

// manSections stand in bouncefeed(8) behind what the program says of itself.
const manSections = `

# FILES
**/etc/bouncefeed/config.yaml**
:   the configuration, see **bouncefeed.yaml(5)**

**/etc/bouncefeed/listmonk.token**
:   by convention the API token of listmonk's user; 0640, root:bouncefeed

**/var/lib/bouncefeed/queue.db**
:   what is read and not yet reported, where reading goes on, and what was reported

**/run/bouncefeed/control.sock**
:   where the commands ask the daemon; **/run/bouncefeed/deliver.sock** takes messages for inputs of type pipe

**/usr/share/bouncefeed/config.example.yaml**
:   every key with its default; **/usr/share/bouncefeed/schema.json** for editors

**/usr/share/doc/bouncefeed/runbook.md**
:   every warning and error that is logged, with what to do

# SIGNALS
**SIGTERM**, **SIGINT**
:   end **bouncefeed run** in order; what is under way is finished or done again at the next start. Others end at once.

# EXIT STATUS
**0** fine. **1** what was asked did not work or is not as it should be; of **status**: a problem. **2** wrong usage; of
**status**: nothing is read, nothing is delivered, or the queue is full. **69** the daemon does not run. **78** the
configuration is wrong.

# ENVIRONMENT
**GOMEMLIMIT**
:   what the daemon's memory is kept below, instead of 48 MiB

**JOURNAL_STREAM**, **NOTIFY_SOCKET**, **WATCHDOG_USEC**, **CREDENTIALS_DIRECTORY**
:   set by systemd: priorities for the journal, readiness and status, the watchdog, secrets
`

// configManual is bouncefeed.yaml(5): the example, its comments as text, its keys as they stand.
func configManual(example string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%% BOUNCEFEED.YAML 5 \"\" \"bouncefeed %s\" \"File formats\"\n\n# NAME\nbouncefeed.yaml - configuration of bouncefeed\n\n"+
		"# DESCRIPTION\n**/etc/bouncefeed/config.yaml** is one YAML document. It is strict at every depth: an unknown key or a wrong unit is a mistake, "+
		"which **bouncefeed check** names with its line and a remedy. Durations are written 250ms, 10s, 5m, 2h or 15d, sizes 64KiB, 10MB or 1GiB. "+
		"A secret never stands in it: KEY_file, KEY_env or KEY_credential names where it is kept.\n\nBelow are all keys. Those set off further may be left out: they are shown with their default or, where there is none, a value as it may look.\n\n# KEYS\n", version)
	code, begun := false, false
	for line := range strings.Lines(example) {
		line = strings.TrimRight(line, "\n")
		text, isText := strings.CutPrefix(line, "# ")
		switch isText = isText && !strings.HasPrefix(line, "#:"); {
		case !begun && (isText || line == "#" || line == ""): // how to use the file
			begun = line == "" && b.Len() > 0
			continue
		case isText:
			if code {
				b.WriteString("```\n\n")
			}
			code = false
			b.WriteString(strings.NewReplacer("*", `\*`, "_", `\_`, "<", `\<`, "`", "").Replace(text) + "\n")
			continue
		case line == "":
			continue
		}
		begun = true
		if !code {
			b.WriteString("\n```\n")
			code = true
		}
		b.WriteString(strings.TrimPrefix(line, "#:") + "\n")
	}
	if code {
		b.WriteString("```\n")
	}
	b.WriteString("\n# FILES\n**/usr/share/bouncefeed/config.example.yaml**, **/usr/share/bouncefeed/schema.json**\n\n# SEE ALSO\n**bouncefeed(8)**, **bouncefeed-check(8)**, **bouncefeed-init(8)**\n")
	return md2man.Render([]byte(b.String()))
}
