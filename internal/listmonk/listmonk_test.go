package listmonk

import "testing"

const (
	testCampaign   = "0c0c0c0c-1111-4222-8333-444444444444"
	testSubscriber = "5b5b5b5b-1111-4222-8333-555555555555"
)

func TestVERP(t *testing.T) {
	for _, c := range []struct {
		pattern, sender string
		found           bool
	}{
		{"*+UUID@*", "bounce+" + testSubscriber + "@news.example", true},
		{"*+UUID@*", "bounce+5B5B5B5B-1111-4222-8333-555555555555@NEWS.example", true},
		{"*+UUID@*", "+" + testSubscriber + "@", true},
		{"*+UUID@*", "bounce-" + testSubscriber + "@news.example", false},
		{"*+UUID@*", "bounce+" + testSubscriber + "x@news.example", false},
		{"*+UUID@*", "bounce+" + testSubscriber[1:] + "@news.example", false},
		{"*+UUID@*", "", false},
		{"bounce-UUID@news.example", "Bounce-" + testSubscriber + "@news.example", true},
		{"bounce-UUID@news.example", "bounce-" + testSubscriber + "@evil.example", false},
		{"bounce-UUID@*.example", "bounce-" + testSubscriber + "@a.b.example", true},
		{"b*-*-UUID-*@*.example", "bounce-" + testCampaign + "-" + testSubscriber + "-x@a.example", true},
		{"b*-*-UUID-*@*.example", "b\xff\xff-\xff-" + testSubscriber + "-\xff@\xff.example", true}, // no UTF-8
		{"UUID", testSubscriber + "@news.example", true},
		{"", "bounce+" + testSubscriber + "@news.example", false},
	} {
		v, err := NewVERP(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if c.found {
			want = testSubscriber
		}
		if got := v.Subscriber(c.sender); got != want {
			t.Errorf("%q in %q: %q, expected %q", c.pattern, c.sender, got, want)
		}
	}
	for _, pattern := range []string{"*", "bounce+@x", "UUID+UUID@*"} {
		if _, err := NewVERP(pattern); err == nil {
			t.Errorf("%q is no pattern, and was taken", pattern)
		}
	}
}

func TestMessageID(t *testing.T) {
	for _, c := range []struct {
		id    string
		found bool
	}{
		{testCampaign + "." + testSubscriber + "@news.example", true},
		{testCampaign + "." + testSubscriber, false},
		{testCampaign + "-" + testSubscriber + "@news.example", false},
		{testCampaign + "@news.example", false},
		{"x" + testCampaign + "." + testSubscriber + "@news.example", false},
		{"", false},
	} {
		campaign, subscriber := MessageID(c.id)
		if found := campaign == testCampaign && subscriber == testSubscriber; found != c.found || !found && campaign+subscriber != "" {
			t.Errorf("%q: %q, %q", c.id, campaign, subscriber)
		}
	}
}
