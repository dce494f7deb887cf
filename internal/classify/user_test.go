package classify

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"bouncefeed/internal/event"
)

func TestUserRules(t *testing.T) {
	t.Parallel()
	c, err := New([]Rule{
		{Name: "partner-blocks", Remote: []string{"*.Partner.example"}, Code: "5xx", Reason: "policy"},
		{Name: "gone", Text: []string{"left the building*forever"}, Reason: "mailbox_disabled"},
		{Name: "full-is-hard", Status: "5.2.2", Type: "hard"},
		{Name: "range", Status: "4.9.10-12, 5.9.*", Code: "45x,550", Reason: "network", Type: "hard"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		reply Reply
		want  Verdict
	}{
		{Reply{Text: "550 5.1.1 user unknown", Remote: "mx1.partner.example[192.0.2.7]:25"}, Verdict{event.Policy, event.Soft, event.FaultSender, "partner-blocks"}},
		{Reply{Text: "host mx1.partner.example[192.0.2.7] said: 550 5.1.1 user unknown"}, Verdict{event.Policy, event.Soft, event.FaultSender, "partner-blocks"}},
		{Reply{Text: "450 4.1.1 user unknown", Remote: "mx1.partner.example"}, Verdict{event.UserUnknown, event.Soft, event.FaultRecipient, "text/user-unknown/en"}},
		{Reply{Text: "550 Elvis LEFT-the-building " + strings.Repeat("and more ", 50) + "for\u00e9ver"}, Verdict{event.MailboxDisabled, event.Hard, event.FaultRecipient, "gone"}},
		{Reply{Text: "552 5.2.2 mailbox full", NeverHard: true}, Verdict{event.MailboxFull, event.Hard, event.FaultRecipient, "full-is-hard"}},
		{Reply{Code: 451, Status: "4.9.11"}, Verdict{event.Network, event.Hard, event.FaultTransient, "range"}},
		{Reply{Code: 550, Status: "4.9.13"}, Verdict{event.Undetermined, event.Soft, event.FaultUnknown, RuleNone}},
	} {
		if got := c.Classify(test.reply); got != test.want {
			t.Errorf("%+v\n got %+v\nwant %+v", test.reply, got, test.want)
		}
	}
}

func TestUserRuleMistakes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule Rule
		want string // in the error
	}{
		{Rule{Name: "a", Code: "550", Reason: "user_unkown"}, `rule a: unknown reason "user_unkown"; known: user_unknown, domain_unknown`},
		{Rule{Name: "a", Code: "550", Type: "complaint"}, `rule a: unknown type "complaint": write hard or soft`},
		{Rule{Name: "a", Reason: "spam"}, "rule a: needs a condition"},
		{Rule{Name: "a", Code: "550"}, "rule a: needs a reason or a type"},
		{Rule{Name: "a", Code: "5x0", Reason: "spam"}, `rule a: "5x0" is no reply code`},
		{Rule{Name: "a", Code: "650", Reason: "spam"}, `"650" is no reply code`},
		{Rule{Name: "a", Status: "5.1", Reason: "spam"}, `"5.1" is no enhanced status code`},
		{Rule{Name: "a", Status: "5.9-1.1", Reason: "spam"}, `is no enhanced status code`},
		{Rule{Name: "a", Text: []string{"* @ *"}, Reason: "spam"}, `text "* @ *" would match everything`},
		{Rule{Name: "a", Text: []string{"{box full"}, Reason: "spam"}, `text "{box full": a { lacks its }`},
		{Rule{Name: "a", Text: []string{"box} full"}, Reason: "spam"}, `braces stand in pairs`},
		{Rule{Name: "a", Text: []string{strings.Repeat("{a|b}", 30)}, Reason: "spam"}, `stands for more than 1000 phrases`},
		{Rule{Name: "a", Remote: []string{"[a"}, Reason: "spam"}, `remote "[a" is no host name pattern`},
		{Rule{Code: "550", Reason: "spam"}, "rule number 1: lacks its name"},
	} {
		if _, err := New([]Rule{test.rule}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got %v, want %s", test.rule, err, test.want)
		}
	}
	r := Rule{Name: "a", Code: "550", Reason: "spam"}
	if _, err := New([]Rule{r, r}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("a name twice: %v", err)
	}
}

// Everything is soft that is told only by temporary replies or after deferrals; a hint serves where nothing else does.
func TestTypeAndHint(t *testing.T) {
	t.Parallel()
	c := Default()
	for _, test := range []struct {
		reply  Reply
		typ    event.Type
		reason event.Reason
	}{
		{Reply{Text: "550 5.1.1 User unknown"}, event.Hard, event.UserUnknown},
		{Reply{Text: "User unknown"}, event.Hard, event.UserUnknown},
		{Reply{Text: "550 5.1.1 User unknown", NeverHard: true}, event.Soft, event.UserUnknown},
		{Reply{Text: "450 4.1.1 User unknown"}, event.Soft, event.UserUnknown},
		{Reply{Text: "450 User unknown"}, event.Soft, event.UserUnknown},
		{Reply{Text: "User unknown", Status: "4.1.1"}, event.Soft, event.UserUnknown},
		{Reply{Text: "smtp; 450 User unknown", Status: "5.0.0"}, event.Soft, event.UserUnknown},
		{Reply{Text: "550 User unknown", Status: "4.0.0"}, event.Hard, event.UserUnknown},
		{Reply{Text: "550 5.2.1 account temporarily suspended"}, event.Soft, event.MailboxDisabled},
		{Reply{Text: "all relevant MX records point to non-existent hosts: retry timeout exceeded"}, event.Soft, event.DomainUnknown},
		{Reply{Hint: event.UserUnknown}, event.Hard, event.UserUnknown},
		{Reply{Text: "552 5.2.2 mailbox full", Hint: event.UserUnknown}, event.Soft, event.MailboxFull},
		{Reply{Code: 450, Hint: event.UserUnknown}, event.Soft, event.UserUnknown},
		{Reply{Hint: "nonsense"}, event.Soft, event.Undetermined},
	} {
		if v := c.Classify(test.reply); v.Type != test.typ || v.Reason != test.reason {
			t.Errorf("%+v: got %+v, want %s %s", test.reply, v, test.typ, test.reason)
		}
	}
}

// A name that is nobody's words must not decide: not the recipient's address, not the server's host name.
func TestNamesDecideNothing(t *testing.T) {
	t.Parallel()
	c := Default()
	for _, text := range []string{
		"550 5.1.1 <mailbox.full.spam.spamhaus@quota.example>: Recipient address rejected: User unknown",
		"host blacklist.spamhaus.example[192.0.2.7] said: 550 5.1.1 User unknown (in reply to RCPT TO command)",
		"host quota.example[192.0.2.7] said: 550 User unknown (in reply to RCPT TO command)",
	} {
		if v := c.Classify(Reply{Text: text}); v.Reason != event.UserUnknown {
			t.Errorf("%s: %+v", text, v)
		}
	}
	v := c.Classify(Reply{Text: "550 rejected <user.unknown@example.net> nosuchuser@example.net"})
	if v.Type == event.Hard {
		t.Errorf("an address made it hard: %+v", v)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	c := Default()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if v := c.Classify(Reply{Text: "552 5.2.2 mailbox full"}); v.Reason != event.MailboxFull {
					t.Errorf("got %+v", v)
				}
				if v := c.Classify(Reply{Text: "550 no such user"}); v.Reason != event.UserUnknown {
					t.Errorf("got %+v", v)
				}
			}
		})
	}
	wg.Wait()
}

// All that is wrong with all rules is told at once, each with the key that is meant.
func TestEveryMistakeOfEveryRule(t *testing.T) {
	t.Parallel()
	_, err := New([]Rule{
		{Name: "a", Code: "5x0, 550, 650", Status: "5.1,5.1.1,x", Text: []string{"ok", "* @ *", "{open"}, Remote: []string{"[a", "fine.example"}, Reason: "nothing", Type: "medium"},
		{Name: "b", Code: "550", Reason: "spam"},
		{Name: "b"},
		{Type: "hard"},
	})
	mistakes, ok := err.(Mistakes)
	if !ok {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, m := range mistakes {
		got = append(got, fmt.Sprintf("%d %s %s", m.Rule, m.Name, m.Key))
		if m.Message == "" || strings.Count(err.Error(), "rule "+m.Name+": "+m.Message) == 0 {
			t.Errorf("%+v is not told in\n%v", m, err)
		}
	}
	want := "0 a code|0 a code|0 a status|0 a status|0 a text[1]|0 a text[2]|0 a remote[0]|0 a reason|0 a type|" +
		"2 b name|2 b |2 b |3 number 4 |3 number 4 "
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
}

// What a provider says of its lists or our account is no reply: its category decides, unless an admin's rule knows better.
func TestOwnWords(t *testing.T) {
	c, err := New([]Rule{{Name: "stuck", Text: []string{"stuck in review"}, Reason: "rate_limited"}, {Name: "kind", Text: []string{"be kind"}, Type: "soft"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		reply Reply
		want  Verdict
	}{
		{Reply{Text: "hard bounces harm your reputation as a sender", Hint: event.UserUnknown}, Verdict{event.UserUnknown, event.Hard, event.FaultRecipient, RuleHint}},
		{Reply{Text: "retry timeout exceeded", Code: 450, Status: "4.7.1", Hint: event.UserUnknown}, Verdict{event.UserUnknown, event.Hard, event.FaultRecipient, RuleHint}},
		{Reply{Text: "550 5.1.1 user unknown"}, Verdict{event.Undetermined, event.Soft, event.FaultUnknown, RuleNone}},
		{Reply{Text: "on the suppression list for your account", Hint: event.RecipientFiltered, NeverHard: true}, Verdict{event.RecipientFiltered, event.Soft, event.FaultRecipient, RuleHint}},
		{Reply{Text: "stuck in review", Hint: event.UserUnknown}, Verdict{event.RateLimited, event.Soft, event.FaultTransient, "stuck"}},
		{Reply{Text: "be kind", Hint: event.UserUnknown}, Verdict{event.UserUnknown, event.Soft, event.FaultRecipient, "kind"}},
	} {
		test.reply.OwnWords = true
		if got := c.Classify(test.reply); got != test.want {
			t.Errorf("%+v\n got %+v\nwant %+v", test.reply, got, test.want)
		}
	}
}
