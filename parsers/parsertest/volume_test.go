package parsertest

import "testing"

// A check that fails, panics or gives up is seen, its input kept whole; one that is content is not.
func TestRunCheck(t *testing.T) {
	for what, c := range map[string]struct {
		check Check
		fails bool
	}{
		"content": {func(testing.TB, []byte) {}, false},
		"error":   {func(t testing.TB, _ []byte) { t.Error("no") }, true},
		"fatal":   {func(t testing.TB, _ []byte) { t.Fatalf("%d", 1) }, true},
		"panic":   {func(_ testing.TB, input []byte) { _ = input[len(input)] }, true},
	} {
		if got := runCheck(t, c.check, []byte("x")); (got.text != "") != c.fails || (got.sort != "") != c.fails {
			t.Errorf("%s: %q", what, got.text)
		}
	}
	input := []byte("a\x00\"`\n\xff\u2028 ä")
	if got, ok := readCorpusFile(writeCorpusFile(input)); !ok || string(got) != string(input) {
		t.Errorf("%q", got)
	}
}
