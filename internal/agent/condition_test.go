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
			if failed, times := c.succeed(); failed <= 0 || times != 5 {
				t.Errorf("failed for %s, %d times", failed, times)
			}
			if failed, times := c.succeed(); failed != 0 || times != 0 {
				t.Errorf("a second success after %s, %d failures", failed, times)
			}
		} else if news := c.fail(errors.New(step.err)); news != step.news {
			t.Errorf("step %d, %s: news is %v", i, step.err, news)
		}
	}
}
