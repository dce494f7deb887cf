// Package classify decides why a delivery failed: from the reply code, the enhanced status code, the words and the
// server that spoke to a reason, and from the reason to the type and the fault. What it knows stands in rules/*.yaml,
// in order; the first rule whose every condition holds decides. An admin's own rules come before them.
package classify

import (
	"math/bits"
	"slices"
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
	rules    []rule      // the user's first
	users    int         // how many of them are the user's
	expired  []int       // those whose phrases tell of deferrals before the failure
	wordless []uint64    // a bit for each that has no phrases
	phrases  *text.Index // each rule's are a group, behind them temporaryWords and what must not be there
	scratch  sync.Pool   // *scratch
}

// scratch is what one Classify needs; reused, so that a reply costs no allocation.
type scratch struct {
	facts
	worded []uint64 // a bit for each rule whose words the text has, or that asks for none; then one for temporaryWords, and those of what must not be there
}

func (s *scratch) has(group int) bool { return s.worded[group>>6]&(1<<(group&63)) != 0 }

// next is the first of n rules from i on whose words the text has; n: none.
func (s *scratch) next(i, n int) int {
	for at := i >> 6; i < n; at++ {
		if left := s.worded[at] >> (i & 63); left != 0 {
			return min(i+bits.TrailingZeros64(left), n)
		}
		i = (at + 1) << 6
	}
	return n
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
	groups := make([][]text.Phrase, len(c.rules)+1)
	groups[len(c.rules)] = known.temporary
	for i := range c.rules {
		r := &c.rules[i]
		if groups[i] = r.phrases; r.unless != nil {
			r.excluded = len(groups)
			groups = append(groups, r.unless)
		}
	}
	c.wordless = make([]uint64, len(groups)/64+1)
	for i, r := range c.rules {
		switch {
		case r.phrases == nil:
			c.wordless[i>>6] |= 1 << (i & 63)
		case r.reason == event.Expired:
			c.expired = append(c.expired, i)
		}
	}
	c.phrases = text.NewGroups(groups, known.samples...)
	c.scratch.New = func() any { return &scratch{worded: make([]uint64, len(c.wordless))} }
	return c, nil
}

// Classify says what r means. The type follows from the reason with two exceptions: after deferrals (NeverHard, or words
// that say so), or told only by temporary replies (or words that say so), a hard reason is soft. A user's rule may set
// the type itself.
func (c *Classifier) Classify(r Reply) Verdict {
	s := c.scratch.Get().(*scratch)
	defer c.scratch.Put(s)
	s.facts.read(r)
	copy(s.worded, c.wordless)
	c.phrases.Mark(s.text, s.worded)
	rules := c.rules
	if r.OwnWords {
		rules = rules[:c.users]
	}
	v, fixed := decide(rules, s, r.Hint)
	if !fixed && v.Type == event.Hard && (r.NeverHard || !r.OwnWords && (s.temporary() || s.has(len(c.rules)) || c.saysExpired(s))) {
		v.Type = event.Soft
	}
	return v
}

// decide finds the first of rules that holds and gives a reason. A user's rule without a reason leaves it to the rules
// behind it and only fixes the type.
func decide(rules []rule, s *scratch, hint event.Reason) (v Verdict, fixed bool) {
	v = Verdict{Reason: event.Undetermined, Rule: RuleNone}
	var typeRule *rule
	for i := s.next(0, len(rules)); i < len(rules); i = s.next(i+1, len(rules)) {
		r := &rules[i]
		if !r.holds(s) {
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
	return slices.ContainsFunc(c.expired, func(i int) bool { return s.has(i) && c.rules[i].holds(s) })
}
