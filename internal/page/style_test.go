package page

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var colour = regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`)

// TestContrast computes from the style sheet what WCAG 2.2 asks for: text 4.5 (1.4.3), parts of pictures 3 (1.4.11).
func TestContrast(t *testing.T) {
	t.Parallel()
	light, dark, found := strings.Cut(string(style), "prefers-color-scheme: dark")
	if !found {
		t.Fatal("the style sheet has no dark colours")
	}
	dark, _, _ = strings.Cut(dark, "\n\t}\n")
	for name, sheet := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]string{}
		for _, m := range colour.FindAllStringSubmatch(sheet, -1) {
			colours[m[1]] = m[2]
		}
		if len(colours) != 17 {
			t.Errorf("%s: %d colours", name, len(colours))
		}
		for _, c := range []struct {
			on, ink string
			least   float64
		}{
			{"bg", "text", 7}, {"bg", "muted", 4.5}, {"bg", "link", 4.5}, {"soft-bg", "text", 7}, {"soft-bg", "muted", 4.5}, {"critical", "bg", 4.5},
			{"bg", "critical", 4.5}, {"bg", "warning", 4.5}, {"bg", "info", 4.5}, {"bg", "ok", 4.5}, {"soft-bg", "link", 4.5},
			{"bg", "accepted", 3}, {"bg", "late", 3}, {"bg", "soft", 3}, {"bg", "gaveup", 3}, {"bg", "hard", 3}, {"bg", "ours", 3},
		} {
			if got := contrast(t, colours[c.on], colours[c.ink]); got < c.least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, less than %v", name, c.ink, c.on, got, c.least)
			}
		}
	}
}

func contrast(t *testing.T, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(t *testing.T, hex string) (sum float64) {
	t.Helper()
	for i, part := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += part * c
	}
	return sum
}

// TestStyle: nothing is fetched from anywhere.
func TestStyle(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"url(", "@import", "http", "expression", "</"} {
		if strings.Contains(string(style), word) {
			t.Errorf("the style sheet has %q", word)
		}
	}
}
