package agent

import (
	"reflect"
	"slices"
	"testing"

	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
)

// Whatever can be asked is answered, under a name of its own.
func TestEveryCallIsAnswered(t *testing.T) {
	t.Parallel()
	var asked, answered []string
	for _, call := range reflect.ValueOf(Calls).Fields() {
		if name := call.FieldByName("Name").String(); name != Calls.Deliver.Name { // on a socket of its own
			asked = append(asked, name)
		}
	}
	for _, a := range (&Agent{config: &config.Config{}}).answers() {
		answered = append(answered, a.Name())
	}
	slices.Sort(asked)
	slices.Sort(answered)
	if !slices.Equal(asked, answered) || slices.Contains(asked, "") || len(slices.Compact(slices.Clone(asked))) != len(asked) {
		t.Errorf("asked %q\nanswered %q", asked, answered)
	}
}

// Everybody who may open the socket may look. What changes something or reveals a secret is the owner's.
func TestWhoMayAskWhat(t *testing.T) {
	t.Parallel()
	var anyones []string
	for _, call := range reflect.ValueOf(Calls).Fields() {
		if control.Right(call.FieldByName("Right").Int()) == control.Anyone {
			anyones = append(anyones, call.FieldByName("Name").String())
		}
	}
	if want := []string{"status", "metrics", "tail", "deliver", "report", "dead", "held", "refused", "events", "known"}; !slices.Equal(anyones, want) {
		t.Errorf("anybody may ask %q, want %q", anyones, want)
	}
}
