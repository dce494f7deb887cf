package classify

import (
	"fmt"
	"strings"

	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
)

// Mistake is one thing that is wrong with a rule.
type Mistake struct {
	Rule    int    // which, from 0
	Name    string // its name, or "number 1" if it has none
	Key     string // what of it: "reason", "text[2]"; "" for the whole
	Message string // with the remedy
}

// Mistakes are all that is wrong with an admin's rules, in their order.
type Mistakes []Mistake

func (all Mistakes) Error() string {
	lines := make([]string, len(all))
	for i, m := range all {
		lines[i] = "rule " + m.Name + ": " + m.Message
	}
	return strings.Join(lines, "\n")
}

// compiler makes rules ready, one after the other, and notes what is wrong with them.
type compiler struct {
	gap      int // bytes that a * spans
	rule     int // the number of the one at hand
	name     string
	mistakes Mistakes
}

// compileUser makes an admin's rules ready. The error is Mistakes.
func compileUser(user []Rule) ([]rule, error) {
	c := compiler{gap: maxText}
	var rules []rule
	names := map[string]bool{}
	for i, u := range user {
		c.rule, c.name = i, u.Name
		if u.Name == "" {
			c.name = fmt.Sprintf("number %d", i+1)
			c.fail("", "lacks its name")
		} else if names[u.Name] {
			c.fail("name", "the name stands twice")
		}
		names[u.Name] = true
		rules = append(rules, c.compile(u))
	}
	if len(c.mistakes) > 0 {
		return nil, c.mistakes
	}
	return rules, nil
}

func (c *compiler) fail(key, format string, args ...any) {
	c.mistakes = append(c.mistakes, Mistake{c.rule, c.name, key, fmt.Sprintf(format, args...)})
}

func (c *compiler) compile(u Rule) rule {
	if u.Code == "" && u.Status == "" && len(u.Text) == 0 && len(u.Remote) == 0 {
		c.fail("", "needs a condition: code, status, text or remote")
	}
	r := rule{
		name: u.Name, reason: event.Reason(u.Reason), typ: event.Type(u.Type),
		codes:    parseList(c, "code", u.Code, parseCode),
		statuses: parseList(c, "status", u.Status, parseStatusPattern),
		phrases:  c.phrases(u.Text),
		remotes:  c.remotes(u.Remote),
	}
	if _, _, known := r.reason.Outcome(); u.Reason != "" && !known {
		words := make([]string, 0, 32)
		for _, r := range event.Reasons() {
			words = append(words, string(r))
		}
		c.fail("reason", "unknown reason %q; known: %s", u.Reason, strings.Join(words, ", "))
	}
	switch {
	case u.Reason == "" && u.Type == "":
		c.fail("", "needs a reason or a type")
	case u.Type != "" && r.typ != event.Hard && r.typ != event.Soft:
		c.fail("type", "unknown type %q: write hard or soft", u.Type)
	}
	return r
}

// parseList reads values with commas between them.
func parseList[T any](c *compiler, key, list string, parse func(string) (T, error)) (out []T) {
	if list == "" {
		return nil
	}
	for s := range strings.SplitSeq(list, ",") {
		v, err := parse(strings.TrimSpace(s))
		if err != nil {
			c.fail(key, "%v", err)
		}
		out = append(out, v)
	}
	return out
}

func (c *compiler) phrases(texts []string) (out []text.Phrase) {
	for i, t := range texts {
		some, err := text.ParsePhrase(t, c.gap, spellings)
		if err != nil {
			c.fail(fmt.Sprintf("text[%d]", i), "%v", err)
		}
		out = append(out, some...)
	}
	return out
}

// transcribed is how German is written where umlauts are not to be had.
var transcribed = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue")

// spellings are how a piece of a phrase stands in a folded reply. Words with umlauts have their transcription too: without
// an accent they are folded anyway.
func spellings(piece string) []string {
	if strings.ContainsAny(piece, "äöü") {
		return []string{foldPhrase(piece), foldPhrase(transcribed.Replace(piece))}
	}
	return []string{foldPhrase(piece)}
}

func (c *compiler) remotes(patterns []string) (out []string) {
	for i, p := range patterns {
		p = strings.ToLower(strings.TrimSuffix(p, "."))
		if p == "" || strings.ContainsAny(p, " ?[]@") {
			c.fail(fmt.Sprintf("remote[%d]", i), "remote %q is no host name pattern: write mx.example.com or *.example.com", p)
		}
		out = append(out, p)
	}
	return out
}
