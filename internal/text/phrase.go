package text

import (
	"fmt"
	"slices"
	"strings"
)

// A Phrase is what a text may say in several ways: pieces that follow each other, each in one of several spellings, with at
// most gap bytes between two of them. See ParsePhrase.
type Phrase struct {
	pieces [][]string // spellings, none empty
	gap    int
}

// maxSpellings of one phrase.
const maxSpellings = 1000

// ParsePhrase reads a phrase as rules have it: "{mailbox|account} * {closed|locked}". A * stands for up to gap bytes of
// anything, {a|b} for either. fold makes of each piece's spelling what it is in the texts that are searched, which may be
// several things. Several phrases come of one where a * stands in braces, or a piece may be missing.
func ParsePhrase(phrase string, gap int, fold func(string) []string) ([]Phrase, error) {
	if err := checkBraces(phrase); err != nil {
		return nil, err
	}
	var all []Phrase
	for _, variant := range starsOutside(phrase) {
		all = append(all, phraseOf(variant, gap, fold)...)
	}
	for _, p := range all {
		if !slices.ContainsFunc(p.pieces, func(spellings []string) bool { return strings.Trim(spellings[0], " @") != "" }) {
			return nil, fmt.Errorf("text %q would match everything", phrase)
		}
	}
	return all, nil
}

// phraseOf reads a phrase whose every * stands outside of braces.
func phraseOf(phrase string, gap int, fold func(string) []string) []Phrase {
	variants := []Phrase{{gap: gap}}
	for _, piece := range strings.Split(phrase, "*") {
		var longer []Phrase
		for _, v := range variants {
			spellings, optional := spellPiece(piece, fold, v.endsInBlank())
			if optional {
				longer = append(longer, v)
			}
			if len(spellings) > 0 {
				longer = append(longer, Phrase{append(slices.Clip(v.pieces), spellings), gap})
			}
		}
		variants = longer
	}
	return variants
}

// endsInBlank says whether every spelling of the last piece does.
func (p Phrase) endsInBlank() bool {
	return len(p.pieces) > 0 && !slices.ContainsFunc(p.pieces[len(p.pieces)-1], func(s string) bool { return !strings.HasSuffix(s, " ") })
}

// spellPiece lists the spellings of a piece; optional says that it may be missing. "mailbox * full" is also "mailbox full":
// behind a blank a piece needs none.
func spellPiece(piece string, fold func(string) []string, behindBlank bool) (spellings []string, optional bool) {
	for _, spelling := range Expand(piece) {
		for _, s := range fold(spelling) {
			if behindBlank {
				s = strings.TrimPrefix(s, " ")
			}
			if s == "" {
				optional = true
			} else if !slices.Contains(spellings, s) {
				spellings = append(spellings, s)
			}
		}
	}
	return spellings, optional
}

// checkBraces says what is wrong with a phrase's {a|b}.
func checkBraces(phrase string) error {
	n, open := 1, -1
	for i, c := range phrase {
		switch {
		case c == '{' && open < 0:
			open = i
		case c == '}' && open >= 0:
			n *= strings.Count(phrase[open:i], "|") + 1
			open = -1
		case c == '{' || c == '}':
			return fmt.Errorf("text %q: braces stand in pairs, {like|this}, and not inside each other", phrase)
		}
		if n > maxSpellings {
			return fmt.Errorf("text %q stands for more than %d phrases", phrase, maxSpellings)
		}
	}
	if open >= 0 {
		return fmt.Errorf("text %q: a { lacks its }", phrase)
	}
	return nil
}

// Expand lists what "mail{box|} {closed|locked}" stands for.
func Expand(phrase string) []string {
	before, rest, found := strings.Cut(phrase, "{")
	if !found {
		return []string{phrase}
	}
	group, after, _ := strings.Cut(rest, "}")
	var all []string
	for _, end := range Expand(after) {
		for word := range strings.SplitSeq(group, "|") {
			all = append(all, before+word+end)
		}
	}
	return all
}

// starsOutside expands the groups of a phrase that have a * in them, and leaves the others.
func starsOutside(phrase string) []string {
	before, rest, found := strings.Cut(phrase, "{")
	if !found {
		return []string{phrase}
	}
	group, after, _ := strings.Cut(rest, "}")
	words := []string{"{" + group + "}"}
	if strings.Contains(group, "*") {
		words = strings.Split(group, "|")
	}
	var all []string
	for _, end := range starsOutside(after) {
		for _, word := range words {
			all = append(all, before+word+end)
		}
	}
	return all
}

// surrounds says whether p stands in s with the given piece from start to end: the others before and behind it, each as near
// as can be.
func (p *Phrase) surrounds(s string, piece, start, end int) bool {
	return p.follows(s[end:], piece+1) && p.precedes(s[:start], piece-1)
}

// follows says whether the pieces from the given one on stand at the beginning of s, with gaps.
func (p *Phrase) follows(s string, piece int) bool {
	for ; piece < len(p.pieces); piece++ {
		next := -1
		for _, word := range p.pieces[piece] {
			if i := indexNear(s[:min(len(s), p.gap+len(word))], word); i >= 0 && (next < 0 || i+len(word) < next) {
				next = i + len(word)
			}
		}
		if next < 0 {
			return false
		}
		s = s[next:]
	}
	return true
}

// precedes says whether the pieces up to the given one stand at the end of s, with gaps.
func (p *Phrase) precedes(s string, piece int) bool {
	for ; piece >= 0; piece-- {
		last := -1
		for _, word := range p.pieces[piece] {
			from := max(0, len(s)-p.gap-len(word), last+1)
			if indexNear(s[from:], word) >= 0 { // which is faster than to look from behind
				last = from + strings.LastIndex(s[from:], word)
			}
		}
		if last < 0 {
			return false
		}
		s = s[:last]
	}
	return true
}

// indexNear is strings.Index for a clause: up to near bytes that looks at all of them at once, beyond from letter to letter.
func indexNear(s, word string) int {
	if len(s) <= near || len(s) > 2*near-len(word) {
		return strings.Index(s, word)
	}
	if i := strings.Index(s[:near], word); i >= 0 {
		return i
	}
	from := near - len(word) + 1
	if i := strings.Index(s[from:], word); i >= 0 {
		return from + i
	}
	return -1
}

const near = 64
