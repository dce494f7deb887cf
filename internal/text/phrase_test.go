package text

import (
	"slices"
	"strings"
	"testing"
)

func same(s string) []string { return []string{strings.ToLower(s)} }

func mustParse(t testing.TB, gap int, phrases ...string) (all []Phrase) {
	t.Helper()
	for _, phrase := range phrases {
		some, err := ParsePhrase(phrase, gap, same)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	return all
}

func TestPhrases(t *testing.T) {
	for _, c := range []struct {
		phrase string
		in     []string
		not    []string
	}{
		{"user unknown", []string{"user unknown", "a user unknown here"}, []string{"user  unknown", "user", "unknown user"}},
		{"mailbox * full", []string{"mailbox full", "mailbox is full", "the mailbox of jo is full."}, []string{"mailboxes full", "full mailbox", "mailbox 0123456789012345678901 full"}},
		{"a*b", []string{"ab", "a b", "aab"}, []string{"ba", "a 0123456789012345678901 b"}},
		{"{mailbox|account} * {closed|locked}", []string{"account closed", "mailbox is now locked"}, []string{"mailbox open", "closed account"}},
		{"mail{box|} {is|was} full", []string{"mail is full", "mailbox was full"}, []string{"mailbag is full"}},
		{"not * {very |}* good", []string{"not very good", "not good", "not so very good"}, []string{"good not"}},
		{"{gibt es * nicht|unbekannt}", []string{"gibt es hier nicht", "unbekannt"}, []string{"gibt es hier"}},
		{"one*two*three", []string{"one two three", "onetwothree", "one one two two three"}, []string{"one three two", "two three one"}},
		{"{不*在|没有}", []string{"不存在", "没有"}, []string{"在不"}},
		{"不*在", []string{"不存在"}, []string{"不"}},
		{"ok", []string{"it is ok", "ok"}, []string{"o k"}},
	} {
		x := NewIndex(mustParse(t, 20, c.phrase))
		for _, s := range c.in {
			if !x.In(s) {
				t.Errorf("%q is not found in %q", c.phrase, s)
			}
		}
		for _, s := range c.not {
			if x.In(s) {
				t.Errorf("%q is found in %q", c.phrase, s)
			}
		}
	}
}

func TestPhrasesThatAreNone(t *testing.T) {
	for _, phrase := range []string{"", "*", " * ", "@", "{a", "a}", "{a|{b}}", "{a}}", strings.Repeat("{a|b}", 10) + "c", "{|}*"} {
		if _, err := ParsePhrase(phrase, 20, same); err == nil || !strings.Contains(err.Error(), "text ") {
			t.Errorf("%q: %v", phrase, err)
		}
	}
}

func TestExpand(t *testing.T) {
	got := Expand("{a|b} * {c|} d")
	if want := []string{"a * c d", "b * c d", "a *  d", "b *  d"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestFirst(t *testing.T) {
	x := NewIndex(mustParse(t, 0, "delivery failed", "failed", "delivery", "no"))
	for s, want := range map[string]string{
		"the delivery failed": "delivery failed", "failed delivery": "failed", "no delivery": "no", "nothing": "no", "": "",
	} {
		at, n := x.First(s)
		if at < 0 && want != "" || at >= 0 && (s[at:at+n] != want || strings.Index(s, want) != at) {
			t.Errorf("%q: %d, %d", s, at, n)
		}
	}
}

// Each phrase is told with every place where it stands, whatever else the index has.
func TestEach(t *testing.T) {
	x := NewIndex(mustParse(t, 5, "abcd", "bcd", "ab*ef"))
	var found []int
	x.Each("abcd abcd ef", func(phrase, at, _ int) bool {
		found = append(found, 100*phrase+at)
		return true
	})
	slices.Sort(found)
	if !slices.Equal(found, []int{0, 5, 101, 106, 205}) {
		t.Errorf("%v", found)
	}
}

// A group is marked for any of its phrases, however short they are and wherever they stand.
func TestMark(t *testing.T) {
	groups := make([][]Phrase, 70)
	groups[1] = mustParse(t, 5, "spf", "abcd")
	groups[2] = mustParse(t, 5, "{no|kein} * ptr")
	groups[3] = mustParse(t, 5, "ab", "ab*cd")
	groups[69] = mustParse(t, 5, "a*longer words", "\x00")
	x := NewGroups(groups)
	for s, want := range map[string][]int{
		"spf": {1}, "no spf": {1}, "spf no": {1}, "ab": {3}, "abc": {3}, "abcd": {1, 3}, "no a ptr": {2}, "keinptr": nil, "kein ptr": {2},
		"ptr no": nil, "a longer words": {69}, "longer words": nil, "sp\x00": {69}, "": nil, "f": nil, "sp": nil, "spf\x00": {1, 69},
	} {
		found := make([]uint64, 2)
		x.Mark(s, found)
		for group := range groups {
			if got := found[group>>6]&(1<<(group&63)) != 0; got != slices.Contains(want, group) {
				t.Errorf("%q: group %d is marked: %v", s, group, got)
			}
		}
	}
}

// FuzzPhrases holds the index to what looking for every spelling would find.
func FuzzPhrases(f *testing.F) {
	f.Add("the mailbox of jo is full", "mailbox", "full", "{user|jo}")
	f.Add("ab\xffab cdcd", "ab", "cd", "{a|}b")
	f.Fuzz(func(t *testing.T, s, first, second, third string) {
		const gap = 7
		s = strings.ToLower(s)
		for _, phrase := range []string{first, first + "*" + second, third, third + "*" + first} {
			parsed, err := ParsePhrase(phrase, gap, same)
			if err != nil {
				continue
			}
			x := NewIndex(append(parsed, mustParse(t, gap, "some * other", "words")...))
			got := false
			x.Each(s, func(i, at, n int) bool {
				if at < 0 || at+n > len(s) {
					t.Fatalf("%q in %q: %d, %d", phrase, s, at, n)
				}
				got = got || i < len(parsed)
				return !got
			})
			found := make([]uint64, 1)
			if NewGroups([][]Phrase{nil, mustParse(t, gap, "no"), parsed}).Mark(s, found); got != (found[0]&4 != 0) {
				t.Errorf("%q in %q: %v, marked %b", phrase, s, got, found)
			}
			if want := slices.ContainsFunc(parsed, func(p Phrase) bool { return standsIn(p, s) }); len(parsed[0].pieces) <= 2 && got != want {
				t.Errorf("%q in %q: %v, expected %v", phrase, s, got, want)
			}
		}
	})
}

// standsIn looks for a phrase of at most two pieces the long way.
func standsIn(p Phrase, s string) bool {
	for start := range len(s) + 1 {
		for _, word := range p.pieces[0] {
			if !strings.HasPrefix(s[start:], word) {
				continue
			}
			if len(p.pieces) == 1 {
				return true
			}
			rest := s[start+len(word):]
			for skip := range min(p.gap, len(rest)) + 1 {
				if slices.ContainsFunc(p.pieces[1], func(next string) bool { return strings.HasPrefix(rest[skip:], next) }) {
					return true
				}
			}
		}
	}
	return false
}
