// Package classify decides why a delivery failed: from the reply code, the enhanced status code, the words and the
// server that spoke to a reason, and from the reason to the type and the fault. What it knows stands in rules/*.yaml,
// in order; the first rule whose every condition holds decides. An admin's own rules come before them.
package classify

import (
	"sync"

	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
)

// Reply is what a server said of one recipient.
type Reply struct {
	Code      int          // SMTP reply code, 0 unknown (then found at the head of Text if it stands there)
	Status    string       // enhanced status code as the source gives it ("5.1.1"), "" unknown; also taken from Text when absent or x.0.0
	Text      string       // diagnostic text
	Remote    string       // host name of the server that spoke, may be "" (then found in Text if it stands there)
	NeverHard bool         // whatever the reason, the type is soft: given up after deferrals, or blocked in the source's own words
	Hint      event.Reason // a provider's own category; used only when nothing else matched
	OwnWords  bool         // no server's reply: Code, Status and Text are the source's own, which only a user's rules look at
}

// Verdict is what a Reply means. Rule names the rule that decided: a user's or a built-in one, RuleHint or RuleNone.
type Verdict struct {
	Reason event.Reason
	Type   event.Type // hard or soft
	Fault  event.Fault
	Rule   string
}

// Rule words of a Verdict that no rule decided.
const (
	RuleHint = "provider-hint" // Reply.Hint
	RuleNone = "none"          // reason undetermined
)

// A Classifier holds compiled rules. It is safe for concurrent use.
type Classifier struct {
	rules   []rule // the user's first
	users   int    // how many of them are the user's
	phrases *text.Index
	rulesOf []int     // the rule of each phrase
	scratch sync.Pool // *scratch
}

// scratch is what one Classify needs; reused, so that a reply costs no allocation.
type scratch struct {
	facts
	marks
}

// Default has the built-in rules only.
func Default() *Classifier {
	c, err := New(nil)
	if err != nil {
		panic("classify: " + err.Error()) // the built-in rules are part of the program and tested with it
	}
	return c
}

// New puts user's rules, in their order, before the built-in ones. The error is Mistakes.
func New(user []Rule) (*Classifier, error) {
	own, err := compileUser(user)
	if err != nil {
		return nil, err
	}
	known, err := builtin()
	if err != nil {
		return nil, err
	}
	c := &Classifier{rules: append(own, known.rules...), users: len(own)}
	var phrases []text.Phrase
	for i, r := range c.rules {
		for _, p := range r.phrases {
			phrases, c.rulesOf = append(phrases, p), append(c.rulesOf, i)
		}
	}
	c.phrases = text.NewIndex(phrases, known.samples...)
	c.scratch.New = func() any { return &scratch{marks: marks{rules: make([]uint32, len(c.rules))}} }
	return c, nil
}

// Classify says what r means. The type follows from the reason with two exceptions: after deferrals (NeverHard, or words
// that say so), or told only by temporary replies (or words that say so), a hard reason is soft. A user's rule may set
// the type itself.
func (c *Classifier) Classify(r Reply) Verdict {
	s := c.scratch.Get().(*scratch)
	defer c.scratch.Put(s)
	s.facts.read(r)
	s.marks.next()
	c.phrases.Each(s.text, func(phrase, _, _ int) bool {
		s.hit(c.rulesOf[phrase])
		return true
	})
	rules := c.rules
	if r.OwnWords {
		rules = rules[:c.users]
	}
	v, fixed := decide(rules, s, r.Hint)
	if !fixed && v.Type == event.Hard && (r.NeverHard || !r.OwnWords && (s.temporary() || c.saysExpired(s))) {
		v.Type = event.Soft
	}
	return v
}

// decide finds the first of rules that holds and gives a reason. A user's rule without a reason leaves it to the rules
// behind it and only fixes the type.
func decide(rules []rule, s *scratch, hint event.Reason) (v Verdict, fixed bool) {
	v = Verdict{Reason: event.Undetermined, Rule: RuleNone}
	var typeRule *rule
	for i := range rules {
		r := &rules[i]
		if !r.holds(i, s) {
			continue
		}
		if typeRule == nil && r.typ != "" {
			typeRule = r
		}
		if r.reason != "" {
			v.Reason, v.Rule = r.reason, r.name
			break
		}
	}
	if v.Rule == RuleNone && hint != "" {
		if _, _, known := hint.Outcome(); known {
			v.Reason, v.Rule = hint, RuleHint
		}
	}
	v.Type, v.Fault, _ = v.Reason.Outcome()
	if typeRule != nil {
		v.Type, v.Rule = typeRule.typ, typeRule.name
	}
	return v, typeRule != nil
}

// saysExpired looks for words that tell of deferrals before the failure ("retry timeout exceeded"), whatever rule decided.
func (c *Classifier) saysExpired(s *scratch) bool {
	for i := range c.rules {
		if r := &c.rules[i]; r.reason == event.Expired && r.phrases != nil && r.holds(i, s) {
			return true
		}
	}
	return false
}

// marks remembers, for one text, which rules have a phrase in it; a new text begins a new round instead of clearing them.
type marks struct {
	round uint32
	rules []uint32
}

func (m *marks) next() {
	if m.round++; m.round == 0 { // 2^32 texts later
		clear(m.rules)
		m.round = 1
	}
}

func (m *marks) hit(rule int)      { m.rules[rule] = m.round }
func (m *marks) has(rule int) bool { return m.rules[rule] == m.round }
