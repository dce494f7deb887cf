package text

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCutAndTail(t *testing.T) {
	for _, c := range []struct {
		s         string
		limit     int
		cut, tail string
	}{
		{"abc", 3, "abc", "abc"},
		{"abcd", 3, "abc", "bcd"},
		{"aé", 2, "a", "é"},
		{"日本", 4, "日", "本"},
		{"日本", 2, "", ""},
		{"日本", 0, "", ""},
		{"\x80\x80\x80", 2, "", ""}, // continuation bytes of nothing
	} {
		if got := Cut(c.s, c.limit); got != c.cut {
			t.Errorf("Cut(%q, %d) = %q, expected %q", c.s, c.limit, got, c.cut)
		}
		if got := Tail(c.s, c.limit); got != c.tail {
			t.Errorf("Tail(%q, %d) = %q, expected %q", c.s, c.limit, got, c.tail)
		}
	}
}

func TestTidy(t *testing.T) {
	for s, want := range map[string]string{
		"550 5.1.1 unknown":    "550 5.1.1 unknown",
		"a\r\nb\x00c\x7f":      "a??b?c?",
		"K\xf6ln":              "K?ln",
		"Köln":                 "Köln",
		strings.Repeat("é", 9): strings.Repeat("é", 5),
	} {
		if got := Tidy(s, 22); !strings.HasPrefix(got, want) || len(got) > 22 {
			t.Errorf("Tidy(%q) = %q, expected %q", s, got, want)
		}
	}
}

func TestFold(t *testing.T) {
	for s, want := range map[string]string{
		"Undelivered Mail":             "undelivered mail",
		"Non remis à l’expéditeur":     "non remis a l'expediteur",
		"Straße, ŁÓDŹ, Ødegård, œuvre": "strasse, lodz, odegard, oeuvre",
		"“mailbox” – full":             `"mailbox" - full`,
		"Παράδοσις":                    "παραδοσισ",
		"недоставлено":                 "недоставлено",
		"Zustell\u00adfehler\u00a0da":  "zustellfehler da",
		"e\u0301":                      "e",
		"配信不能":                         "配信不能",
		"\xff":                         "\uFFFD",
	} {
		if got := Fold(s); got != want {
			t.Errorf("Fold(%q) = %q, expected %q", s, got, want)
		}
	}
	for s, want := range map[string]string{" Mail \t\r\n Delivery ": "mail delivery", " É\n\n": "e", "": "", "\n": ""} {
		if got := FoldCollapse(s, ""); got != want {
			t.Errorf("FoldCollapse(%q) = %q, expected %q", s, got, want)
		}
	}
}

func TestPrefixAndIndexFold(t *testing.T) {
	if !HasPrefixFold("MAILTO:jo", "mailto:") || HasPrefixFold("mail", "mailto:") {
		t.Error("HasPrefixFold")
	}
	if IndexFold("see X-Listmonk-Campaign", "x-listmonk-") != 4 || IndexFold("x-listmon", "x-listmonk-") != -1 {
		t.Error("IndexFold")
	}
}

func TestUnescape(t *testing.T) {
	for s, want := range map[string][2]string{
		`550 no`:                 {"550 no", "550 no"},
		`550-no\n550 no\r\t`:     {"550-no 550 no  ", "550-no 550 no  "},
		`Bo\303\256te`:           {"Boîte", "Boîte"},
		`Empf\344nger`:           {"Empf\xe4nger", `Empf\344nger`},
		`\344\303\244`:           {"\xe4ä", `\344\303\244`},
		`a\040b\134n`:            {`a b\n`, `a\040b\134n`},
		`\`:                      {`\`, `\`},
		`\30 \400 \x \\303\\244`: {`\30 \400 \x \` + "\xc3" + `\` + "\xa4", `\30 \400 \x \\303\\244`},
	} {
		if got := [2]string{Unescape(s), UnescapeLetters(s)}; got != want {
			t.Errorf("%s is %q, expected %q", s, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("Ärger – “Köln”\xff\x00", 7, "*ä*")
	f.Add(`550-\n550 \303\244\344\134n\040\\303`, 7, "*")
	f.Fuzz(func(t *testing.T, s string, limit int, pattern string) {
		limit = limit & 0xFF
		if got := Cut(s, limit); len(got) > limit && len(s) > limit || !strings.HasPrefix(s, got) || utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Errorf("Cut(%q, %d) = %q", s, limit, got)
		}
		if got := Tail(s, limit); len(got) > limit && len(s) > limit || utf8.ValidString(s) && (!utf8.ValidString(got) || !strings.HasSuffix(s, got)) {
			t.Errorf("Tail(%q, %d) = %q", s, limit, got)
		}
		if got := Tidy(s, limit); !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7F }) {
			t.Errorf("Tidy(%q, %d) = %q", s, limit, got)
		}
		if folded := FoldCollapse(s, ""); !utf8.ValidString(folded) || folded != Collapse(Fold(s)) && utf8.ValidString(s) {
			t.Errorf("FoldCollapse(%q) = %q, Fold %q", s, folded, Fold(s))
		}
		if letters := UnescapeLetters(s); Unescape(letters) != Unescape(s) || utf8.ValidString(s) && !utf8.ValidString(letters) {
			t.Errorf("UnescapeLetters(%q) = %q", s, letters)
		}
		lower := strings.ToLower // EqualFold knows more pairs
		if !Match("*", s) || !Match(s+"*", s) || strings.Count(pattern, "*") == 0 && Match(pattern, s) != (lower(pattern) == lower(s)) {
			t.Errorf("Match(%q, %q)", pattern, s)
		}
	})
}

func TestIndexFold(t *testing.T) {
	for s, want := range map[string]int{
		"": -1, "x-l": 0, "X-L": 0, "xx-l": 1, "XxX-l": 2, "x X x-": -1, "aX-Lx-l": 1, "x-kx-l": 3, "X-kX-L": 3, "ax": -1, "xXxXx-L": 4,
	} {
		if got := IndexFold(s, "x-l"); got != want {
			t.Errorf("%q: %d, expected %d", s, got, want)
		}
	}
}
