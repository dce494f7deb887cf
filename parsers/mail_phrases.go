package parsers

import (
	"bouncefeed/internal/text"
	_ "embed"
	"fmt"
	"math/bits"
	"strings"
)

// The words by which mails that no standard marks are told apart, in the languages of the world's mail servers.
//
//go:embed mail_phrases.txt
var mailPhrases string

var (
	failureSubjects   = phraseSection("failureSubjects", "reportSubjects")
	undelivered       = phraseSection("failureSubjects")
	failureTexts      = phraseSection("failureTexts", "failureSubjects", "reportSubjects")
	failureWords      = phraseSection("failureTexts", "failureSubjects")
	undeliveredTexts  = pairSection("undeliveredTexts")
	mailboxTexts      = pairSection("mailboxTexts")
	delayPairs        = pairSection("delayPairs")
	incomingTexts     = phraseSection("incomingTexts")
	listTexts         = phraseSection("listTexts")
	negations         = phraseSection("negations")
	robotNames        = foldedLines("robotNames")
	delaySubjects     = phraseSection("delaySubjects")
	delayTexts        = phraseSection("delayTexts")
	delaySpans        = phraseSection("delaySpans")
	yourMessage       = phraseSection("yourMessage")
	finalTexts        = phraseSection("finalTexts")
	expiredTexts      = phraseSection("expiredTexts")
	autoreplySubjects = phraseSection("autoreplySubjects")
	autoreplyTexts    = phraseSection("autoreplyTexts")
	challengeTexts    = phraseSection("challengeTexts")
	listSubjects      = phraseSection("listSubjects")
	postmasterTexts   = phraseSection("postmasterTexts")
	daemonNames       = phraseSection("daemonNames")
	successSubjects   = phraseSection("successSubjects")
	successTexts      = phraseSection("successTexts")
	adviceWords       = phraseSection("adviceWords")
	copyMarks         = phraseSection("copyMarks")
	senderWords       = phraseSection("senderWords")
	senderVerdicts    = phraseSection("senderVerdicts")
	recipientWords    = phraseSection("recipientWords")
	elsewhereWords    = phraseSection("elsewhereWords")
	deliveredWords    = foldedLines("deliveredWords")
	reasonLabels      = newPhraseSet(phraseLines("reasonLabels")) // not folded: their places in a line matter
)

// phraseSection reads the named sections of mail_phrases.txt.
func phraseSection(names ...string) *phraseSet { return newPhraseSet(foldedLines(names...)) }

func foldedLines(names ...string) []string {
	lines := phraseLines(names...)
	for i, line := range lines {
		lines[i] = text.Fold(line)
	}
	return lines
}

func phraseLines(names ...string) []string {
	var all []string
	for _, name := range names {
		_, after, found := strings.Cut(mailPhrases, "\n["+name+"]\n")
		if !found {
			panic("mail_phrases.txt has no section " + name)
		}
		section, _, _ := strings.Cut(after, "\n\n")
		all = append(all, strings.Split(strings.TrimSpace(section), "\n")...)
	}
	return all
}

const phraseKey = 3 // bytes by which a phrase is found; none is shorter

// A phraseSet finds any of its phrases in one pass over a folded text, however many they are.
type phraseSet struct {
	maybe   []uint64 // bit set of the keys' hashes, as long as a power of 2
	phrases map[string][]string
}

func newPhraseSet(list []string) *phraseSet {
	p := &phraseSet{phrases: make(map[string][]string, len(list)), maybe: make([]uint64, 1<<bits.Len(uint(len(list)/4)))}
	for _, phrase := range list {
		if len(phrase) < phraseKey {
			panic(fmt.Sprintf("phrase %q is too short", phrase))
		}
		h := hashKey(phrase)
		p.maybe[int(h>>6)&(len(p.maybe)-1)] |= 1 << (h & 63)
		p.phrases[phrase[:phraseKey]] = append(p.phrases[phrase[:phraseKey]], phrase)
	}
	return p
}

func hashKey(s string) uint16 {
	return uint16((uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16) * 2654435761 >> 16)
}

// in says whether one of the phrases stands in s.
func (p *phraseSet) in(s string) bool {
	at, _ := p.find(s)
	return at >= 0
}

// find gives the place and the words of the first of the phrases in s; the place is -1 if there is none.
func (p *phraseSet) find(s string) (at int, phrase string) {
	at = -1
	p.each(s, func(i int, found string) bool {
		at, phrase = i, found
		return false
	})
	return at, phrase
}

// each calls f with every phrase in s until it returns false.
func (p *phraseSet) each(s string, f func(at int, phrase string) bool) {
	for i := 0; i+phraseKey <= len(s); i++ {
		h := hashKey(s[i:])
		if p.maybe[int(h>>6)&(len(p.maybe)-1)]&(1<<(h&63)) == 0 {
			continue
		}
		for _, phrase := range p.phrases[s[i:i+phraseKey]] {
			if strings.HasPrefix(s[i:], phrase) && !f(i, phrase) {
				return
			}
		}
	}
}

// A phrasePairs finds two phrases near each other, as "could not" and "deliver": what a language says in a hundred ways.
type phrasePairs struct {
	first  *phraseSet
	second map[string][]*phraseSet // what may follow a first phrase
}

const (
	pairGap  = 72       // bytes between the two: a clause
	pairText = 16 << 10 // bytes of a text that are searched for pairs
)

// pairSection reads lines of the form "a|b * c|d".
func pairSection(name string) *phrasePairs {
	p := &phrasePairs{second: map[string][]*phraseSet{}}
	var firsts []string
	for _, line := range phraseLines(name) {
		before, after, found := strings.Cut(text.Fold(line), " * ")
		if !found {
			panic(fmt.Sprintf("%q in section %s is no pair", line, name))
		}
		follow := newPhraseSet(strings.Split(after, "|"))
		for _, phrase := range strings.Split(before, "|") {
			if p.second[phrase] == nil {
				firsts = append(firsts, phrase)
			}
			p.second[phrase] = append(p.second[phrase], follow)
		}
	}
	p.first = newPhraseSet(firsts)
	return p
}

// in says whether one of the pairs stands in the beginning of s.
func (p *phrasePairs) in(s string) bool {
	s = text.Cut(s, pairText)
	met := false
	p.first.each(s, func(at int, phrase string) bool {
		rest := s[at+len(phrase):]
		for _, follow := range p.second[phrase] {
			near, _ := follow.find(rest[:min(len(rest), pairGap+24)])
			met = met || near >= 0 && near <= pairGap
		}
		return !met
	})
	return met
}
