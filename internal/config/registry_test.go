package config

import (
	"regexp"
	"strings"
	"testing"
)

func TestRegisterTwice(t *testing.T) {
	var r Registry[int]
	build := func(Env, Section, *struct{}) (int, error) { return 1, nil }
	Register(&r, "one", struct{}{}, build)
	Register(&r, "two", struct{}{}, build)
	defer func() {
		said, _ := recover().(string)
		places := regexp.MustCompile(`registry_test\.go:\d+`).FindAllString(said, -1)
		if len(places) != 2 || places[0] == places[1] || !strings.Contains(said, `"one"`) {
			t.Errorf("a kind was registered twice: %q, with both places, please", said)
		}
	}()
	registerAgain := func() { Register(&r, "one", struct{}{}, build) }
	registerAgain()
}
