package maillog

import (
	"testing"

	"bouncefeed/internal/event"
)

// What fails for always_bcc's address is nobody's bounce.
func TestArchivesFailNobody(t *testing.T) {
	p := newTestPostfix(t, func(c *postfixConfig) { c.Archives = []string{"archive@example.com", "*@journal.example.com"} })
	line := stamped(t, p)
	line("smtpd[1]: AAAAAAAAA1: client=localhost[127.0.0.1]")
	line("cleanup[1]: AAAAAAAAA1: message-id=<1@news.example>")
	line("qmgr[1]: AAAAAAAAA1: from=<list@news.example>, size=1, nrcpt=3 (queue active)")
	for to, want := range map[string]event.Type{"Archive@example.com": event.CopyFailed, "jo@journal.example.com": event.CopyFailed, "jo@example.com": ""} {
		if said := line("smtp[1]: AAAAAAAAA1: to=<%s>, %s", to, testBounce); len(said.events) != 1 || said.events[0].Type != want {
			t.Errorf("%s: %+v", to, said)
		}
	}
	line("smtp[1]: AAAAAAAAA1: to=<archive@example.com>, %s", deferral)
	if said := line("qmgr[1]: AAAAAAAAA1: from=<list@news.example>, status=expired, returned to sender"); len(said.events) != 1 || said.events[0].Type != event.CopyFailed {
		t.Errorf("expired: %+v", said)
	}
}

// Notices to the postmaster are the mail system's own, whatever their sender is called.
func TestNoticesAreTheMailSystems(t *testing.T) {
	for name, c := range map[string]struct{ configured, sender, by string }{
		"the usual sender":     {"double-bounce", "double-bounce@mx1.example.com", ""},
		"another, configured":  {"Notices@example.com", "notices@example.com", ""},
		"another, not told":    {"double-bounce", "notices@example.com", "bounce[9]: BBBBBBBBB1: postmaster non-delivery notification: AAAAAAAAA1"},
		"a warning of a delay": {"double-bounce", "notices@example.com", "bounce[9]: BBBBBBBBB1: postmaster delay notification: AAAAAAAAA1"},
	} {
		p := newTestPostfix(t, func(c2 *postfixConfig) { c2.DoubleBounce = c.configured })
		line := stamped(t, p)
		line("cleanup[1]: AAAAAAAAA1: message-id=<1@mx1.example.com>")
		line("qmgr[1]: AAAAAAAAA1: from=<%s>, size=1, nrcpt=1 (queue active)", c.sender)
		if c.by != "" {
			line("%s", c.by)
		}
		if said := line("local[1]: AAAAAAAAA1: to=<postmaster@example.com>, %s", testBounce); len(said.events) > 0 || said.why != "" {
			t.Errorf("%s: %+v", name, said)
		}
	}
}
