package provider

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"bouncefeed/internal/event"
)

func TestForm(t *testing.T) {
	t.Parallel()
	f, err := readForm([]byte("type=bounce&recipient=jo%2Bx%40example.org&time=&parameters[campaign_uuid]=c&parameters%5Bsubscriber_uuid%5D=s&twice=1&twice=1"))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := f.each("type", "recipient", "time", "missing"); err != nil || !slices.Equal(v, []string{"bounce", "jo+x@example.org", "", ""}) {
		t.Errorf("%q, %v", v, err)
	}
	if f.entry("parameters", "campaign_uuid") != "c" || f.entry("parameters", "subscriber_uuid") != "s" || f.entry("parameters", "x") != "" {
		t.Errorf("the entries of a map: %v", f)
	}
	refused := func(err error) string {
		r, _ := errors.AsType[*event.RefusedError](err)
		if r == nil {
			return ""
		}
		return r.Why
	}
	if _, err := f.each("type", "twice"); refused(err) != event.WhyTwoReadings {
		t.Errorf("a name twice: %v", err)
	}
	for body, why := range map[string]string{
		"a=%zz": event.WhyMalformed,
		"a=1;b": event.WhyMalformed,
		strings.Repeat("a=1&", formMaxFields-1) + "a=1": "",
		strings.Repeat("a=1&", formMaxFields) + "a=1":   event.WhyTooMany,
	} {
		if _, err := readForm([]byte(body)); refused(err) != why {
			t.Errorf("%.20s…: %v, want %q", body, err, why)
		}
	}
}
