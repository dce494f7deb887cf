package agent

import (
	"errors"
	"testing"
)

// Each kind of failure is told once until things work again: a refused login must show behind an unreachable server.
func TestConditionTellsKinds(t *testing.T) {
	var c condition
	for i, step := range []struct {
		err  string
		news bool
	}{
		{"dial 192.0.2.1:40001: timeout", true}, {"dial 192.0.2.1:40002: timeout", false}, {"login refused", true},
		{"dial 192.0.2.1:40003: timeout", false}, {"login refused", false}, {"", false}, {"login refused", true},
	} {
		if step.err == "" {
			c.succeed()
		} else if news := c.fail(errors.New(step.err)); news != step.news {
			t.Errorf("step %d, %s: news is %v", i, step.err, news)
		}
	}
}
