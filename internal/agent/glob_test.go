package agent

import "testing"

func TestMatchAddress(t *testing.T) {
	for _, c := range []struct {
		pattern, address string
		want             bool
	}{
		{"*@news.example.com", "Bounces+1@News.Example.Com", true},
		{"*@news.example.com", "a@news.example.com.evil.example", false},
		{"*@news.example.com", "", false},
		{"bounces@news.example.com", "bounces@news.example.com", true},
		{"bounces@news.example.com", "xbounces@news.example.com", false},
		{"b+*@*.example.com", "b+1@a.b.example.com", true},
		{"b+*@*.example.com", "b@a.b.example.com", false},
		{"a*b*a", "aba", true},
		{"a*b*a", "aa", false},
		{"a*a", "a", false},
		{"*", "", true},
	} {
		if got := matchAddress(c.pattern, c.address); got != c.want {
			t.Errorf("matchAddress(%q, %q) = %v", c.pattern, c.address, got)
		}
	}
}
