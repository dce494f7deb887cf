package agent

import (
	"reflect"
	"slices"
	"testing"
)

// Whatever can be asked is answered, under a name of its own.
func TestEveryCallIsAnswered(t *testing.T) {
	t.Parallel()
	var asked, answered []string
	for _, call := range reflect.ValueOf(Calls).Fields() {
		asked = append(asked, call.FieldByName("Name").String())
	}
	for _, a := range (&Agent{}).answers() {
		answered = append(answered, a.Name())
	}
	slices.Sort(asked)
	slices.Sort(answered)
	if !slices.Equal(asked, answered) || slices.Contains(asked, "") || len(slices.Compact(slices.Clone(asked))) != len(asked) {
		t.Errorf("asked %q\nanswered %q", asked, answered)
	}
}
