package main

import (
	"strings"
	"testing"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/event"
)

func TestCompletion(t *testing.T) {
	t.Parallel()
	cfg := write(t, "c.yaml", "inputs: {postfix: {type: logfile, path: /x.log, parser: postfix}}\noutputs: {lists: {type: file, path: /y}}\n")
	socket := daemon(t, answering(agent.Calls.Events, agent.Past{Seq: 9, Event: event.Event{Type: event.Hard, Recipient: "al@example.org"}}), answering(agent.Calls.Held, agent.HeldEvent{Seq: 7, Why: "no proof", Event: event.Event{Recipient: "jo@example.org"}}))
	for line, want := range map[string]string{
		"explain --as ":                           "auto\nazure\n",
		"backfill --as ":                          "auto\nexim\n",
		"backfill --trust ":                       "proof\nany\n",
		"tail --type ":                            "hard\nsoft\ncomplaint\n",
		"tail --reason user":                      "user_unknown\n",
		"tail --input ":                           "postfix\n",
		"dead list --output ":                     "lists\n",
		"log level ":                              "debug\n",
		"held release --socket " + socket + " ":   "7\t7  ",
		"queue drop --socket " + socket + " ":     "9\t9  ",
		"queue list --domain x --output ":         "lists\n",
		"held release --socket " + socket + " 7 ": ":4\n", // no more
	} {
		args := append([]string{"__complete", "-c", cfg}, strings.Split(line, " ")...)
		if r := command(t, "", args...); r.code != 0 || !strings.HasPrefix(r.out, want) {
			t.Errorf("%s:\n got %q\nwant %q", line, r.out, want)
		}
	}
}
