package config

import "testing"

func TestRegisterTwice(t *testing.T) {
	var r Registry[int]
	build := func(Env, Section, *struct{}) (int, error) { return 1, nil }
	Register(&r, "one", struct{}{}, build)
	Register(&r, "two", struct{}{}, build)
	defer func() {
		if recover() == nil {
			t.Error("a kind was registered twice, and the first is lost")
		}
	}()
	Register(&r, "one", struct{}{}, build)
}
