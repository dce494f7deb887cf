package address

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// mailboxes are all read whole: as shown, and as compared.
var mailboxes = []struct{ written, shown, key string }{
	{"jo@example.org", "jo@example.org", "jo@example.org"},
	{"Jo@Example.ORG", "Jo@Example.ORG", "jo@example.org"},
	{"jo@example.org.", "jo@example.org", "jo@example.org"},
	{"'jo@example.org", "'jo@example.org", "'jo@example.org"},
	{"|jo@example.org", "|jo@example.org", "|jo@example.org"},
	{"/jo@example.org", "/jo@example.org", "/jo@example.org"},
	{"{jo}@example.org", "{jo}@example.org", "{jo}@example.org"},
	{"*jo*@example.org", "*jo*@example.org", "*jo*@example.org"},
	{"`jo`@example.org", "`jo`@example.org", "`jo`@example.org"},
	{"jo+2Bx@example.org", "jo+2Bx@example.org", "jo+2bx@example.org"},
	{"=?utf-8?q?jo?=@example.org", "=?utf-8?q?jo?=@example.org", "=?utf-8?q?jo?=@example.org"},
	{"a!b%c@example.org", "a!b%c@example.org", "a!b%c@example.org"},
	{`"jo"@example.org`, "jo@example.org", "jo@example.org"},
	{`"jo.e"@example.org`, "jo.e@example.org", "jo.e@example.org"},
	{`"j\o"@example.org`, "jo@example.org", "jo@example.org"},
	{`"jo doe"@example.org`, `"jo doe"@example.org`, `"jo doe"@example.org`},
	{`"a@b"@example.org`, `"a@b"@example.org`, `"a@b"@example.org`},
	{`"to=<v@i>, x"@example.org`, `"to=<v@i>, x"@example.org`, `"to=<v@i>, x"@example.org`},
	{`"a\"b\\c"@example.org`, `"a\"b\\c"@example.org`, `"a\"b\\c"@example.org`},
	{`""@example.org`, `""@example.org`, `""@example.org`},
	{"jo..e@example.org", "jo..e@example.org", "jo..e@example.org"},
	{`".jo"@example.org`, `".jo"@example.org`, ".jo@example.org"},
	{`"jo..e"@example.org`, `"jo..e"@example.org`, "jo..e@example.org"},
	{"jo@#example.org", "jo@#example.org", "jo@#example.org"},
	{".jo@example.org", ".jo@example.org", ".jo@example.org"},
	{"jo@localhost", "jo@localhost", "jo@localhost"},
	{"jo@a_b.example", "jo@a_b.example", "jo@a_b.example"},
	{"jo@[192.0.2.1]", "jo@[192.0.2.1]", "jo@[192.0.2.1]"},
	{"jo@[IPv6:2001:DB8::1]", "jo@[IPv6:2001:DB8::1]", "jo@[ipv6:2001:db8::1]"},
	{"jörg@example.org", "jörg@example.org", "jörg@example.org"},
	{"jo@müller.example", "jo@müller.example", "jo@xn--mller-kva.example"},
	{"jo@MÜLLER.example", "jo@MÜLLER.example", "jo@xn--mller-kva.example"},
	{"jo@xn--mller-kva.example", "jo@xn--mller-kva.example", "jo@xn--mller-kva.example"},
	{"victim@innocent.exampleé.evil.test", "victim@innocent.exampleé.evil.test", "victim@innocent.xn--example-hya.evil.test"},
	{"用户@例子.example", "用户@例子.example", "用户@xn--fsqu00a.example"},
}

func TestParse(t *testing.T) {
	for _, c := range mailboxes {
		m, err := Parse(c.written)
		if err != nil || m.String() != c.shown || Key(c.written) != c.key || m.Key() != c.key || Key(c.shown) != c.key {
			t.Errorf("%s: %s, %s, %v", c.written, m, Key(c.written), err)
		}
		if again, err := Parse(m.String()); err == nil && again.Local != m.Local {
			t.Errorf("%s is read again as %s", m, again)
		}
		if !Same(c.written, c.shown) || !Same(c.written, c.key) || Same(c.written, "x"+c.written) {
			t.Errorf("%s: Same", c.written)
		}
		for _, other := range mailboxes {
			if Same(c.written, other.written) != (c.key == other.key) {
				t.Errorf("%s and %s", c.written, other.written)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for s, want := range map[string]error{
		"": ErrLocal, "jo": ErrLocal, "@example.org": ErrLocal, "jo doe@example.org": ErrLocal, "<jo@example.org>": ErrLocal, "jo,e@example.org": ErrLocal,
		`"jo@example.org`: ErrLocal, `"jo"x@example.org`: ErrLocal, `jo"x"@example.org`: ErrLocal, "mailto:jo@example.org": ErrLocal,
		"jo@": ErrDomain, "jo@example.org,": ErrDomain, "jo@ex ample": ErrDomain, "jo@example..org": ErrDomain, "a@b@example.org": ErrDomain, "jo@[192.0.2]": ErrDomain,
		"jo@[::1]": ErrDomain, "jo@.": ErrDomain, "jo@" + strings.Repeat("a", 64) + ".example": ErrDomain,
		"jo\n@example.org": ErrUnseen, "jo\u200b@example.org": ErrUnseen, "jo@exam\u00adple.org": ErrUnseen, "jo\u202e@example.org": ErrUnseen,
		"jo\xff@example.org": ErrEncoding, strings.Repeat("a", MaxLength) + "@example.org": ErrTooLong,
	} {
		if m, err := Parse(s); !errors.Is(err, want) {
			t.Errorf("%q: %v, %v", s, m, err)
		}
	}
}

// A domain in full-width letters is nobody else's.
func TestLookalikes(t *testing.T) {
	for _, s := range []string{"jo@ｅxample.org", "jo@еxample.org", "jo@example.org\u3002evil.test", "ｊo@example.org"} {
		if Same(s, "jo@example.org") || Key(s) == "jo@example.org.evil.test" {
			t.Errorf("%s is %s", s, Key(s))
		}
	}
}

func TestField(t *testing.T) {
	for value, want := range map[string]string{
		"jo@example.org": "jo@example.org", " <jo@example.org> ": "jo@example.org", "jo@example.org (over quota)": "jo@example.org",
		"<@relay.example,@other.example:jo@example.org>": "jo@example.org", "mailto:jo@example.org": "jo@example.org",
		`<"a>b"@example.org>`: `"a>b"@example.org`, `"a b"@example.org (x)`: `"a b"@example.org`, "'jo@example.org": "'jo@example.org",
		"<jo@example.org> (a (b) c)":      "jo@example.org",
		"jo@example.org, ann@example.org": "", "jo@example.org ann@example.org": "", "<jo@example.org> <ann@example.org>": "", "'jo@example.org'": "",
		"jo@example.org (a) ann@example.org (b)": "", "Jo <jo@example.org>": "jo@example.org", `"victim@x.example" <jo@example.org>`: "jo@example.org", "a <b@x> <jo@example.org>": "", "<jo@example.org": "", "": "", "<>": "", "undisclosed": "",
	} {
		if got := Of(value); got != want {
			t.Errorf("%s: %q, expected %q", value, got, want)
		}
	}
}

func TestList(t *testing.T) {
	for value, want := range map[string][]string{
		`"jo@old.example" <jo@example.org>`:           {"jo@example.org"},
		"jo@example.org (Jo), kim@example.net":        {"jo@example.org", "kim@example.net"},
		"Jo <jo@example.org>, <kim@example.net>,":     {"jo@example.org", "kim@example.net"},
		`"Doe, Jo" <jo@example.org>, ann@example.org`: {"jo@example.org", "ann@example.org"},
		"friends: jo@example.org, ann@example.org;":   {"jo@example.org", "ann@example.org"},
		"undisclosed-recipients:;":                    nil,
		"=?utf-8?q?J=C3=B6?= <jo@example.org>":        {"jo@example.org"},
		`"a<victim@innocent.example>"@example.org`:    {`"a<victim@innocent.example>"@example.org`},
		"jo@example.org\n ann@example.org":            nil,
		`Jo (said \) <x@y.example>) <jo@example.org>`: {"jo@example.org"},
		"jo@[IPv6:2001:db8::1], ann@example.org":      {"jo@[IPv6:2001:db8::1]", "ann@example.org"},
		`"open <jo@example.org>`:                      nil,
		"mailto:jo@example.org":                       {"jo@example.org"},
	} {
		if got := List(value); !slices.Equal(got, want) {
			t.Errorf("%s: %q, expected %q", value, got, want)
		}
	}
}

func TestFind(t *testing.T) {
	for line, want := range map[string][]string{
		"550 5.1.1 <jo@example.org>: unknown":             {"jo@example.org"},
		"jo@example.org, kim@example.net.":                {"jo@example.org", "kim@example.net"},
		`to "jo doe"@example.org`:                         {`"jo doe"@example.org`},
		`<"a<victim@innocent.example>"@x.example>: no`:    {`"a<victim@innocent.example>"@x.example`},
		"<'jo@example.org>: no":                           {"'jo@example.org"},
		"<jo@example.org.>: no":                           {"jo@example.org"},
		"the user 'jo@example.org' is":                    {"jo@example.org"},
		"the user 'jo@example.org is":                     {"'jo@example.org"},
		"*jo@example.org* and *ann*@example.org":          {"jo@example.org", "*ann*@example.org"},
		"jo@[192.0.2.1]":                                  {"jo@[192.0.2.1]"},
		"<jörg@example.org>, jörg@example.org":            {"jörg@example.org", "jörg@example.org"},
		"<jo@müller.example> jo@müller.example":           {"jo@müller.example", "jo@müller.example"},
		"victim@innocent.exampleé.evil.test":              {"victim@innocent.exampleé.evil.test"},
		"収件人jo@example.orgは存在しません":                        {"jo@example.org"},
		"jo@example.org漢.evil.test":                       nil, // it may be either
		"nobody @ home, jo@, @example.org":                nil,
		strings.Repeat("a", 2*MaxLength) + "@example.org": {strings.Repeat("a", MaxLength) + "@example.org"},
	} {
		var got []string
		for _, s := range Find(line) {
			got = append(got, s.Addr)
		}
		if !slices.Equal(got, want) {
			t.Errorf("Find(%q) = %q, expected %q", line, got, want)
		}
	}
}

func TestDecode(t *testing.T) {
	for in, want := range map[string]string{
		"jo+2Bnews@example.org": "jo+news@example.org", "jo+3Dnews@example.org": "jo=news@example.org", "jo+AB@example.org": "jo\xab@example.org",
		"jo+2bnews@example.org": "jo+2bnews@example.org", "jo+41@example.org": "jo+41@example.org", "jo+": "jo+",
	} {
		if got := DecodeXtext(in); got != want {
			t.Errorf("DecodeXtext(%q) = %q, expected %q", in, got, want)
		}
	}
	if got := DecodeUTF8(`j\x{F6}rg@example.org`); got != "jörg@example.org" {
		t.Errorf("DecodeUTF8: %q", got)
	}
}

func TestInAngles(t *testing.T) {
	for in, want := range map[string]struct {
		address, rest string
		err           error
	}{
		"<jo@example.org>, relay=": {"jo@example.org", ", relay=", nil},
		`<"a>b"@example.org>, x`:   {`"a>b"@example.org`, ", x", nil},
		"<root>, x":                {"root", ", x", nil},
		"<>, size":                 {"", ", size", nil},
		"<jo doe@example.org>, x":  {"jo doe@example.org", ", x", nil}, // without the quotes it needs
		`<"see victim@x.example 550"@example.org>, y`: {`"see victim@x.example 550"@example.org`, ", y", ErrTwoReadings},
		`<"a>, relay=x"@example.org>, y`:              {"", "", ErrTwoReadings},
		`<"a>, x`:                                     {"", "", ErrTwoReadings},
		"<jo@example.org":                             {"", "", ErrNoEnd},
		"jo@example.org":                              {"", "", ErrNoAngles},
		"<a\x01b@example.org>":                        {"a\x01b@example.org", "", ErrUnseen},
		"<a b@c d@example.org>":                       {"a b@c d@example.org", "", ErrTwoReadings},
		"<a@b@example.org>":                           {"a@b@example.org", "", ErrTwoReadings},
		"<" + strings.Repeat("a", 600) + "@x>":        {strings.Repeat("a", 600) + "@x", "", ErrTooLong},
	} {
		address, rest, err := InAngles([]byte(in))
		if !errors.Is(err, want.err) || string(address) != want.address || string(rest) != want.rest {
			t.Errorf("InAngles(%q) = %q, %q, %v", in, address, rest, err)
		}
	}
	for s, want := range map[string]string{
		"jo@example.org": "jo@example.org", "jo doe@example.org": `"jo doe"@example.org`, `"jo"@example.org`: "jo@example.org", "root": "root",
		`a"b c@example.org`: `"a\"b c"@example.org`, "": "", "jo@example.org.": "jo@example.org",
	} {
		if got := Logged(s); got != want {
			t.Errorf("Logged(%q) = %q, expected %q", s, got, want)
		}
	}
}

func TestSameDomain(t *testing.T) {
	if !SameDomain("a@X.example", "b@x.example.") || !SameDomain("a@müller.example", `"b c"@xn--mller-kva.example`) || SameDomain("a@x.example", "a@y.example") || SameDomain("a", "a") {
		t.Error("SameDomain")
	}
}

func FuzzAddress(f *testing.F) {
	for _, c := range mailboxes {
		f.Add(c.written)
		f.Add("<" + c.written + ">: 550 no")
		f.Add("Jo <" + c.written + ">, " + c.written + " (x)")
	}
	for _, s := range []string{"prvs=1=jo@x.example", "SRS0=a=b=c.example=d@e", `j\x{F6}@x`, "é@\xff", "jo@\u2000", "jo@>\u0338"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := Parse(s); err == nil {
			again, err := Parse(m.String())
			if err != nil && len(m.String()) <= MaxLength || err == nil && again.Local != m.Local || Key(s) != m.Key() || !Same(s, m.String()) && len(m.String()) <= MaxLength {
				t.Errorf("Parse(%q) = %q, %q; again %v, %v", s, m, Key(s), again, err)
			}
			if !utf8.ValidString(s) || Of(s) != m.String() || Of("<"+s+">") != m.String() || Logged(s) != m.String() {
				t.Errorf("%q: %q, %q, %q", s, Of(s), Of("<"+s+">"), Logged(s))
			}
			if list := List(s + ", " + s); !slices.Equal(list, []string{m.String(), m.String()}) {
				t.Errorf("List of %q twice: %q", s, list)
			}
		}
		end := 0
		for _, span := range Find(s) {
			if span.Start < end || span.End <= span.Start || span.End > len(s) {
				t.Errorf("Find(%q): %+v", s, span)
			}
			end = span.End
		}
		for _, a := range List(s) {
			if !Valid(a) && len(a) <= MaxLength {
				t.Errorf("List(%q): %q", s, a)
			}
		}
		if Valid(s) && !Valid(Peel(s)) {
			t.Errorf("Peel(%q) = %q", s, Peel(s))
		}
		DecodeXtext(s)
		DecodeUTF8(s)
		if address, rest, err := InAngles([]byte(s)); err == nil && (CheckLogged(address) != nil || !bytes.HasSuffix([]byte(s), rest)) {
			t.Errorf("InAngles(%q) = %q, %q", s, address, rest)
		}
	})
}
