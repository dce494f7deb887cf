package parsertest

import (
	"bytes"
	"testing"
)

// The same number gives the same input, whoever makes it; other numbers give others.
func TestMutatorRepeats(t *testing.T) {
	pool := newFuzzPool([][]byte{[]byte("From: <a@b.example>\nTo: jo\n"), []byte(`{"a":[1,"two"]}`), nil}, nil)
	a, b := newMutator(pool, 7), newMutator(pool, 7)
	different := map[string]bool{}
	for n := range int64(5000) {
		input := a.input(n)
		different[string(input)] = true
		if n%7 == 0 && !bytes.Equal(input, b.input(n)) {
			t.Fatalf("input %d: %q and %q", n, input, b.out)
		}
	}
	if len(different) < 2500 {
		t.Errorf("%d different inputs of 5000", len(different))
	}
}
