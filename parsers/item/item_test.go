package item

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"bouncefeed/internal/event"
	"bouncefeed/parsers/parsertest"
)

// collect gives the items of body, and what Each says of the rest: the counter word and the part that is meant.
func collect(t testing.TB, body string) (items, words, parts []string) {
	t.Helper()
	err := Each([]byte(body), func(item []byte) error {
		if bytes.Contains(item, []byte(`"refuse"`)) {
			return event.Refuse("by_the_format", "")
		}
		if bytes.Contains(item, []byte(`"fail"`)) {
			return errors.New("some other error")
		}
		items = append(items, string(item))
		return nil
	})
	for _, refused := range refusals(t, err) {
		words, parts = append(words, refused.Why), append(parts, string(refused.Part))
	}
	return items, words, parts
}

// refusals are what an error of Each is made of.
func refusals(t testing.TB, err error) (all []*event.RefusedError) {
	t.Helper()
	ones := []error{err}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		ones = several.Unwrap()
	}
	for _, one := range ones {
		if one == nil {
			continue
		}
		refused, ok := one.(*event.RefusedError)
		if !ok {
			t.Fatalf("not refused, but %v", one)
		}
		all = append(all, refused)
	}
	return all
}

func TestEach(t *testing.T) {
	deep := strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth)
	for _, c := range []struct{ body, items, words, parts string }{
		{`{"a":1}`, `{"a":1}`, "", ""},
		{" \r\n\t{\"a\":1}\n", `{"a":1}`, "", ""},
		{`[{"a":1}, {"b":[{"a":1},{"a":2}]}]`, `{"a":1} {"b":[{"a":1},{"a":2}]}`, "", ""},
		{`[]`, "", "", ""},
		{`{"a":` + deep[1:len(deep)-1] + `}`, `{"a":` + deep[1:len(deep)-1] + `}`, "", ""},

		{``, "", "malformed", ""},
		{`"text"`, "", "malformed", `"text"`},
		{`null`, "", "malformed", `null`},
		{`7`, "", "malformed", `7`},
		{`{"a":1}{"b":2}`, `{"a":1}`, "malformed", ""},
		{`{"a":1`, "", "malformed", `{"a":1`},
		{`[{"a":1}`, `{"a":1}`, "malformed", `[{"a":1}`},
		{`[{"a":1},{"b":no},{"c":3}]`, `{"a":1}`, "malformed", `,{"b":no},{"c":3}]`}, // what follows can't be told apart
		{`[{"a":1},[{"b":2}],"x",{"c":3}]`, `{"a":1} {"c":3}`, "malformed malformed", `[{"b":2}] "x"`},

		{`[{"a":1,"A":2},{"b":{"c":[1,{"d":1,"d":1}]}},{"e":3}]`, `{"e":3}`, "two_readings two_readings", `{"a":1,"A":2} {"b":{"c":[1,{"d":1,"d":1}]}}`},
		{`[{"status":"5.1.1","ſtatus":"2.0.0"},{"e":3}]`, `{"e":3}`, "two_readings", `{"status":"5.1.1","ſtatus":"2.0.0"}`},
		{`[{"a":` + deep + `},{"e":3}]`, `{"e":3}`, "too_deep", `{"a":` + deep + `}`},
		{`[{"refuse":1},{"e":3},{"fail":1}]`, `{"e":3}`, "by_the_format malformed", `{"refuse":1} {"fail":1}`},
	} {
		items, words, parts := collect(t, c.body)
		if got := strings.Join(items, " "); got != c.items {
			t.Errorf("%s: items %s, want %s", c.body, got, c.items)
		}
		if got := strings.Join(words, " "); got != c.words {
			t.Errorf("%s: refused %s, want %s", c.body, got, c.words)
		}
		if got := strings.Join(parts, " "); got != c.parts {
			t.Errorf("%s: the parts %q are meant, want %q", c.body, got, c.parts)
		}
	}
}

func TestBodiesAreBounded(t *testing.T) {
	for what, c := range map[string]struct {
		body  string
		items int
		words []string
	}{
		"as many as allowed": {"[" + strings.Repeat(`{"a":1},`, maxItems-1) + `{}]`, maxItems, nil},
		"one more":           {"[" + strings.Repeat(`{"a":1},`, maxItems) + `{}]`, maxItems, []string{"too_many"}},
		"many":               {"[" + strings.Repeat(`{},`, 1<<18) + `{}]`, maxItems, []string{"too_many"}},
		"many faults":        {"[" + strings.Repeat(`1,`, 1<<18) + `1]`, 0, append(slices.Repeat([]string{"malformed"}, maxFaults), "too_many")},
		"deep":               {strings.Repeat("[", 5<<20), 0, []string{"malformed"}},
		"deeper":             {strings.Repeat(`{"a":`, 2<<20), 0, []string{"malformed"}},
		"one text":           {`"` + strings.Repeat("x", 10<<20) + `"`, 0, []string{"malformed"}},
		"many keys":          {`{"a":1` + strings.Repeat(`,"a":1`, 1<<20) + `}`, 0, []string{"two_readings"}},
		"white space":        {strings.Repeat(" ", 1<<20), 0, []string{"malformed"}},
	} {
		if items, words, _ := collect(t, c.body); len(items) != c.items || !slices.Equal(words, c.words) {
			t.Errorf("%s: %d items, %d refusals: %.3q", what, len(items), len(words), words)
		}
	}
}

func TestRead(t *testing.T) {
	var v struct {
		Name  string
		Code  Loose
		Codes []Loose `json:"codes"`
	}
	if err := Read([]byte(`{"name":"x","code":550,"codes":["5.1.1",true,null,1.50]}`), &v); err != nil {
		t.Fatal(err)
	}
	if v.Name != "x" || v.Code != "550" || v.Code.Reply() != 550 || !slices.Equal(v.Codes, []Loose{"5.1.1", "true", "", "1.50"}) {
		t.Errorf("%+v", v)
	}
	for _, wrong := range []string{`{"name":{"secret":1}}`, `{"name":4711}`, `{"code":{"secret":1}}`, `{"code":["secret"]}`} {
		err := Read([]byte(wrong), &v)
		if !errors.Is(err, event.ErrRefused) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "4711") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	if Loose("605").Reply() != 0 || Loose("").Reply() != 0 {
		t.Error("codes that are no SMTP reply's")
	}
}

// FuzzEach holds that items are objects of the body, in order and whole, without a key that encoding/json would take for
// another; and that only refusals come back.
func FuzzEach(f *testing.F) {
	var seeds [][]byte
	for _, s := range []string{`[{"a":1},{"b":{"c":["d",null,true,1e3]}}]`, ` {"event":"bounce","smtp-id":"<\u0061@b>"} `, `[{"a":1,"A":2},"x"]`, `{"K":1,"\u212A":2}`} {
		seeds = append(seeds, []byte(s))
	}
	parsertest.FuzzSeeds(f, seeds, func(testing.TB) parsertest.Check { return checkEach })
}

func checkEach(t testing.TB, body []byte) {
	kept, at, items := bytes.Clone(body), 0, 0
	err := Each(body, func(item []byte) error {
		items++
		where := bytes.Index(body[at:], item)
		if where < 0 {
			t.Fatalf("%q does not follow", item)
		}
		at += where + len(item)
		checkKeys(t, item)
		return nil
	})
	refusals(t, err)
	if !bytes.Equal(body, kept) || items > maxItems {
		t.Errorf("%d items, body changed %v", items, !bytes.Equal(body, kept))
	}
}

func checkKeys(t testing.TB, item []byte) {
	var object map[string]json.RawMessage
	if err := Read(item, &object); err != nil || object == nil {
		t.Fatalf("%q is no object: %v", item, err)
	}
	var keys []string
	for key := range object {
		if slices.ContainsFunc(keys, func(other string) bool { return strings.EqualFold(key, other) }) {
			t.Errorf("%q stands twice in %q", key, item)
		}
		if keys = append(keys, key); len(keys) > 100 { // a matter of time
			return
		}
	}
}
