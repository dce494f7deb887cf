package classify

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Texts and phrases are folded the same way, so that a rule finds its words however a server writes them.
func TestFold(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"User Unknown":                 "user unknown",
		"user_unknown":                 "user unknown",
		"over-quota":                   "over quota",
		"tabs\tand\r\n lines":          "tabs and lines",
		"it's `his' \"box\"":           "its his box",
		"Boîte pleine":                 "boite pleine",
		"ＦＵＬＬ":                         "full",
		"“quoted” ’s":                  "quoted s",
		"non\u2011breaking\u00a0space": "non breaking space",
		"<jo@example.org>: no":         "@: no",
		"(a.b+c@xn--e.example)":        "@",
		"[jo@example.org] no":          "@ no",
		"jo@example.org":               "@",
		`"jo doe"@example.org full`:    "@ full",
		"@ alone":                      "@ alone",
		"see https://a.example/x@b":    "see https://a.example/@",
		"jo@müller.example voll":       "@ voll",
		"受信者":                          "受信者",
		"zero\u200bwidth":              "zerowidth",
		"bad \xff\xfe":                 "bad ??",
		"":                             "",
		"nul\x00byte":                  "nulbyte",
		"under_score-and - hyphen":     "under score and hyphen",
	} {
		if got := string(fold(nil, in, 0)); got != want {
			t.Errorf("%q is folded to %q, want %q", in, got, want)
		}
	}
}

// Of a further line only the code of the same reply is taken off, and only where a line may begin.
func TestFoldTakesRepeatedHeads(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		code int
		want string
	}{
		{"a\r\n550-5.1.1 b\r\n550 c", 550, "a b c"},
		{"a 550-b", 550, "a b"},
		{"a 550 5.1.1 b", 550, "a b"},
		{"a 551-b", 550, "a 551 b"},
		{"a 550-b", 0, "a 550 b"},
		{"a550-b", 550, "a550 b"},
		{"a 5501 b", 550, "a 5501 b"},
		{"a 550", 550, "a 550"},
	} {
		if got := string(fold(nil, c.in, c.code)); strings.TrimSpace(strings.Join(strings.Fields(got), " ")) != c.want {
			t.Errorf("%q of code %d is folded to %q, want %q", c.in, c.code, got, c.want)
		}
	}
}

// What is folded once stays as it is, and is never longer than the text it comes of by more than its letters' spellings.
func FuzzFold(f *testing.F) {
	for _, s := range []string{"User Unknown", "<jo@example.org>", "Größe ß ŋ ㎏ ﷺ", "\"a b\"@c", "\xff\xc3", "a\r\n550-b", "@@a@", "''``\"\"", "ä\u0308\u0308"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := string(fold(nil, s, 550))
		if !utf8.ValidString(once) {
			t.Fatalf("%q is folded to %q, which is no UTF-8", s, once)
		}
		if strings.ContainsAny(once, "\r\n\t_-'`\x00") || strings.Contains(once, "  ") && !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) {
			t.Fatalf("%q is folded to %q", s, once)
		}
		if len(once) > 64*len(s)+16 {
			t.Fatalf("%d bytes became %d", len(s), len(once))
		}
	})
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]codePattern{"550": {550, 550}, "55x": {550, 559}, "5XX": {500, 599}, "200": {200, 200}, "421": {421, 421}} {
		if got, err := parseCode(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "5x5", "x50", "xxx", "199", "600", "6xx", "5500", "+50", "55é"} {
		if got, err := parseCode(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
	for _, c := range []struct {
		pattern string
		holds   string
		not     string
	}{
		{"5.7.1", "5.7.1", "5.7.10 4.7.1 5.1.7"},
		{"5.7.*", "5.7.0 5.7.1 5.7.999", "5.6.1 4.7.1"},
		{"*.2.2", "5.2.2 4.2.2", "5.2.3"},
		{"5.7.606-649", "5.7.606 5.7.630 5.7.649", "5.7.605 5.7.650"},
		{"4-5.1.1", "4.1.1 5.1.1", "5.1.2"},
	} {
		p, err := parseStatusPattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
		}
		for _, s := range strings.Fields(c.holds) {
			if !p.holds(parseStatus(s)) {
				t.Errorf("%s does not take %s", c.pattern, s)
			}
		}
		for _, s := range append(strings.Fields(c.not), "", "no") {
			if p.holds(parseStatus(s)) {
				t.Errorf("%s takes %q", c.pattern, s)
			}
		}
	}
	for _, text := range []string{"", "5", "5.1", "5.1.1.1", "a.b.c", "5.1.9-1", "5.1.-1", "5.1.9999", "5.1.x", "5..1"} {
		if p, err := parseStatusPattern(text); err == nil {
			t.Errorf("%q is taken for %v", text, p)
		}
	}
}

// A phrase that needs no folding is what folding would make of it.
func TestFoldPhrase(t *testing.T) {
	for _, s := range []string{"", " ", "user unknown", " a ", "a  b", "User", "e-mail", "e_mail", "@", "jo@example.org", "<jo@example.org>", "(sender)", "don't", "a/b:c", "[x", "größe", "\x00", "a\tb", "5.7.1", "#%&", `"quoted" x`} {
		if got, want := foldPhrase(s), string(fold(nil, s, 0)); got != want {
			t.Errorf("%q: %q, expected %q", s, got, want)
		}
	}
}
