package parsers

import (
	_ "embed"
	"fmt"
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
	reasonLabels      = phraseSection("reasonLabels")
)

// phraseSection reads the named sections of mail_phrases.txt.
func phraseSection(names ...string) *phraseSet {
	var all []string
	for _, name := range names {
		_, after, found := strings.Cut(mailPhrases, "\n["+name+"]\n")
		if !found {
			panic("mail_phrases.txt has no section " + name)
		}
		section, _, _ := strings.Cut(after, "\n\n")
		all = append(all, strings.Split(strings.TrimSpace(section), "\n")...)
	}
	return newPhraseSet(all)
}

const phraseKey = 3 // bytes by which a phrase is found; none is shorter

// A phraseSet finds any of its phrases in one pass over a text, however many they are.
type phraseSet struct {
	maybe   [1 << 10]uint64 // bit set of the keys' hashes
	phrases map[string][]string
}

func newPhraseSet(list []string) *phraseSet {
	p := &phraseSet{phrases: make(map[string][]string, len(list))}
	for _, phrase := range list {
		if len(phrase) < phraseKey || phrase != strings.ToLower(phrase) {
			panic(fmt.Sprintf("phrase %q is too short or not in lower case", phrase))
		}
		h := hashKey(phrase)
		p.maybe[h>>6] |= 1 << (h & 63)
		p.phrases[phrase[:phraseKey]] = append(p.phrases[phrase[:phraseKey]], phrase)
	}
	return p
}

func hashKey(s string) uint16 {
	return uint16((uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16) * 2654435761 >> 16)
}

// in says whether one of the phrases stands in s, which is in lower case.
func (p *phraseSet) in(s string) bool {
	at, _ := p.find(s)
	return at >= 0
}

// find gives the place and the words of the first of the phrases in s; the place is -1 if there is none.
func (p *phraseSet) find(s string) (at int, phrase string) {
	for i := 0; i+phraseKey <= len(s); i++ {
		h := hashKey(s[i:])
		if p.maybe[h>>6]&(1<<(h&63)) == 0 {
			continue
		}
		for _, phrase := range p.phrases[s[i:i+phraseKey]] {
			if strings.HasPrefix(s[i:], phrase) {
				return i, phrase
			}
		}
	}
	return -1, ""
}
