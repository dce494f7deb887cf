package classify

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"bouncefeed/internal/event"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"

	"go.yaml.in/yaml/v4"
)

// Rule is an admin's own rule. Every given condition must hold; at least one is needed, and a reason or a type.
type Rule struct {
	Name   string   `yaml:"name"`
	Code   string   `yaml:"code"`   // "550", "5xx"; several with commas between them
	Status string   `yaml:"status"` // "5.7.1", "5.7.*", "5.7.606-649"; several with commas between them
	Text   []string `yaml:"text"`   // any of these phrases, case ignored, * matches anything, {a|b} either
	Remote []string `yaml:"remote"` // any of these host name patterns, "*.example.com"
	Reason string   `yaml:"reason"`
	Type   string   `yaml:"type"` // hard or soft: overrides the reason's type
}

// RuleInfo is a built-in rule as the rule files have it.
type RuleInfo struct {
	Rule   `yaml:",inline"`
	Unless []string `yaml:"unless"` // phrases of which the text has none, as Text
	Sample samples  `yaml:"sample"` // replies that this rule decides
}

// samples is one or a list of them.
type samples []string

// UnmarshalYAML takes one reply without a list around it.
func (s *samples) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*s = samples{n.Value}
		return nil
	}
	return n.Decode((*[]string)(s))
}

//go:embed rules/*.yaml
var ruleFiles embed.FS

// Rules lists the built-in rules in the order in which they are tried.
func Rules() ([]RuleInfo, error) {
	files, err := ruleFiles.ReadDir("rules") // sorted by name: the numbers in front are the order
	if err != nil {
		return nil, err
	}
	var all []RuleInfo
	for _, f := range files {
		data, err := ruleFiles.ReadFile("rules/" + f.Name())
		if err != nil {
			return nil, err
		}
		var some []RuleInfo
		if err := yaml.Load(data, &some, yaml.WithKnownFields()); err != nil {
			return nil, fmt.Errorf("read rules/%s: %w", f.Name(), err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// builtinGap is how many bytes a * of the built-in rules spans: a word or an address, not the next sentence.
const builtinGap = 60

// builtinRules are the built-in rules made ready, their samples, folded, and temporaryWords.
type builtinRules struct {
	rules     []rule
	samples   []string
	temporary []text.Phrase
}

var builtin = sync.OnceValues(func() (b builtinRules, err error) {
	all, err := Rules()
	if err != nil {
		return b, err
	}
	for _, info := range all {
		c := compiler{gap: builtinGap, name: info.Name}
		r := c.compile(info.Rule)
		r.unless = c.phrases(info.Unless)
		b.rules = append(b.rules, r)
		if len(c.mistakes) > 0 {
			return b, c.mistakes
		}
		for _, sample := range info.Sample {
			b.samples = append(b.samples, foldPhrase(sample))
		}
	}
	for _, word := range temporaryWords {
		phrases, err := text.ParsePhrase(word, 0, func(s string) []string { return []string{foldPhrase(s)} })
		if err != nil {
			return b, err
		}
		b.temporary = append(b.temporary, phrases...)
	}
	return b, nil
})

// rule is a Rule made ready. No condition of a kind: it holds.
type rule struct {
	name     string
	codes    []codePattern
	statuses []statusPattern
	phrases  []text.Phrase
	unless   []text.Phrase
	excluded int // the group of unless; 0: there is none
	remotes  []string
	reason   event.Reason
	typ      event.Type
}

// holds says whether every condition of r is met, besides that it has one of its words.
func (r *rule) holds(s *scratch) bool {
	return (r.excluded == 0 || !s.has(r.excluded)) && r.codeHolds(s.code) && r.statusHolds(s.status) && r.remoteHolds(s.remote)
}

func (r *rule) codeHolds(code int) bool {
	for _, c := range r.codes {
		if code >= c.from && code <= c.to {
			return true
		}
	}
	return r.codes == nil
}

func (r *rule) statusHolds(st smtp.Status) bool {
	for _, p := range r.statuses {
		if p.holds(st) {
			return true
		}
	}
	return r.statuses == nil
}

func (r *rule) remoteHolds(host string) bool {
	for _, p := range r.remotes {
		if host != "" && text.Match(p, host) {
			return true
		}
	}
	return r.remotes == nil
}

// codePattern is "550" or "5xx".
type codePattern struct{ from, to int }

func parseCode(s string) (codePattern, error) {
	low := strings.ToLower(s)
	from, err := strconv.Atoi(strings.ReplaceAll(low, "x", "0"))
	wild := len(low) - len(strings.TrimRight(low, "x"))
	if err != nil || len(s) != 3 || from < 200 || from > 599 || strings.Count(low, "x") != wild {
		return codePattern{}, fmt.Errorf("%q is no reply code: write 550 or 5xx", s)
	}
	return codePattern{from, from + [...]int{0, 9, 99}[wild]}, nil
}

// statusPattern is "5.7.1", "5.7.*", "*.2.2" or "5.7.606-649".
type statusPattern struct{ from, to smtp.Status }

func parseStatusPattern(s string) (p statusPattern, err error) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return p, fmt.Errorf("%q is no enhanced status code: write 5.7.1, 5.7.* or 5.7.606-649", s)
	}
	for i, part := range parts {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		if part == "*" {
			from, to = "0", "999"
		}
		a, errA := strconv.ParseUint(from, 10, 10)
		b, errB := strconv.ParseUint(to, 10, 10)
		if errA != nil || errB != nil || a > b {
			return p, fmt.Errorf("%q is no enhanced status code: write 5.7.1, 5.7.* or 5.7.606-649", s)
		}
		p.from[i], p.to[i] = int(a), int(b)
	}
	return p, nil
}

func (p statusPattern) holds(st smtp.Status) bool {
	for i := range st {
		if st[i] < p.from[i] || st[i] > p.to[i] {
			return false
		}
	}
	return st.Known()
}
