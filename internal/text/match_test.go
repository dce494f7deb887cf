package text

import "testing"

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
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
		{"/usr/sbin/*", "/usr/sbin/postfix", true},
		{"b\xff*-\xff", "B\xff\xff-\xff", true}, // no UTF-8
	} {
		if got := Match(c.pattern, c.s); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}
