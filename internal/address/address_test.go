package address

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"bouncefeed/internal/event"
)

func TestFind(t *testing.T) {
	for line, want := range map[string][]string{
		"550 5.1.1 <jo@example.org>: unknown":             {"jo@example.org"},
		"jo@example.org, kim@example.net.":                {"jo@example.org", "kim@example.net"},
		`to "jo doe"@example.org`:                         {`"jo doe"@example.org`},
		"jo@[192.0.2.1]":                                  {"jo@[192.0.2.1]"},
		"<jörg@example.org>":                              {"jörg@example.org"},
		"<jo@müller.example>":                             {"jo@müller.example"},
		"收件人jo@example.org不存在":                            {"jo@example.org"},
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

func TestInField(t *testing.T) {
	for field, want := range map[string][]string{
		`"jo@old.example" <jo@example.org>`:      {"jo@example.org"},
		`jo@example.org (Jo), kim@example.net`:   {"jo@example.org", "kim@example.net"},
		`Jo <jo@example.org>, <kim@example.net>`: {"jo@example.org", "kim@example.net"},
		`undisclosed-recipients:;`:               nil,
	} {
		if got := InField(field); !slices.Equal(got, want) {
			t.Errorf("InField(%q) = %q, expected %q", field, got, want)
		}
	}
}

func TestValidAndSame(t *testing.T) {
	for s, want := range map[string]bool{
		"jo@example.org": true, `"a b"@example.org`: true, "jö@example.org": true, "jo@[192.0.2.1]": true,
		"jo": false, "@example.org": false, "jo@": false, "a b@example.org": false, "jo@ex ample": false, "jo@example.org\n": false, "": false,
		"jo@" + strings.Repeat("a", MaxLength): false,
	} {
		if got := Valid(s); got != want {
			t.Errorf("Valid(%q) = %v", s, got)
		}
	}
	if !Same("Jo@Example.ORG.", "jo@example.org") || Same("jo@example.org", "jim@example.org") || !SameDomain("a@X.example", "b@x.example.") {
		t.Error("Same, SameDomain")
	}
}

func TestDecode(t *testing.T) {
	for in, want := range map[string]string{
		"jo+2Bnews@example.org": "jo+news@example.org", "jo+AB@example.org": "jo+AB@example.org", "jo+40example.org": "jo@example.org", "jo+": "jo+",
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
	for in, want := range map[string]struct{ address, rest, why string }{
		"<jo@example.org>, relay=":           {"jo@example.org", ", relay=", ""},
		`<"a>b"@example.org>, x`:             {`"a>b"@example.org`, ", x", ""},
		`<"a>, relay=x"@example.org>, y`:     {"", "", event.WhyTwoReadings},
		`<"a>, x`:                            {"", "", event.WhyTwoReadings},
		"<jo@example.org":                    {"", "", event.WhyMalformed},
		"jo@example.org":                     {"", "", event.WhyMalformed},
		"<a\x01b@example.org>":               {"", "", event.WhyControlChars},
		"<a b@c d@example.org>":              {"", "", event.WhyTwoReadings},
		"<" + strings.Repeat("a", 600) + ">": {"", "", event.WhyTooLong},
		"<>, size":                           {"", ", size", ""},
	} {
		address, rest, err := InAngles([]byte(in))
		var refused *event.RefusedError
		if want.why != "" {
			if !errors.As(err, &refused) || refused.Why != want.why {
				t.Errorf("InAngles(%q): %v, expected %s", in, err, want.why)
			}
		} else if err != nil || string(address) != want.address || string(rest) != want.rest {
			t.Errorf("InAngles(%q) = %q, %q, %v", in, address, rest, err)
		}
	}
	if CheckRecipient([]byte("jo <x> y@example.org")) == nil || CheckRecipient([]byte("jo@example.org")) != nil {
		t.Error("CheckRecipient")
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		`"dan.e"@ex.example`:  "dan.e@ex.example",
		`"dan..e"@ex.example`: `"dan..e"@ex.example`,
		`".dan"@ex.example`:   `".dan"@ex.example`,
		`"d e"@ex.example`:    `"d e"@ex.example`,
		`dan@ex.example`:      "dan@ex.example",
	} {
		if got := Clean(in); got != want {
			t.Errorf("%s cleaned to %s, want %s", in, got, want)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"<jo@example.org>: 550", `"a>b"@c`, "prvs=1=jo@x.example", "SRS0=a=b=c.example=d@e", "j\\x{F6}@x", "jo+2B@x", "é@\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		end := 0
		for _, span := range Find(s) {
			if span.Start < end || span.End <= span.Start || span.End > len(s) || !strings.Contains(s[span.Start:span.End], span.Addr) {
				t.Errorf("Find(%q): %+v", s, span)
			}
			end = span.End
		}
		if clean := Clean(s); len(clean) > len(s)+1 {
			t.Errorf("Clean(%q) = %q", s, clean)
		}
		if Valid(s) && (!utf8.ValidString(s) || len(s) > MaxLength || !Same(s, s) || !SameDomain(s, s)) {
			t.Errorf("Valid(%q)", s)
		}
		if strings.Contains(s, "@") && !strings.Contains(Peel(s), "@") {
			t.Errorf("Peel(%q) = %q", s, Peel(s))
		}
		DecodeXtext(s)
		DecodeUTF8(s)
		if address, rest, err := InAngles([]byte(s)); err == nil && (Check(address) != nil || !bytes.HasSuffix([]byte(s), rest)) {
			t.Errorf("InAngles(%q) = %q, %q", s, address, rest)
		}
	})
}
