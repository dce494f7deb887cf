package classify

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"bouncefeed/internal/event"
)

// What an enhanced status code says where nothing else is said, as the README's table of reasons has it (RFC 3463 and its
// registry, and Microsoft's own).
func TestStatusAlone(t *testing.T) {
	t.Parallel()
	c := Default()
	for reason, statuses := range map[event.Reason]string{
		event.UserUnknown:       "5.1.1 4.1.1 5.1.4 5.1.9 5.7.17",
		event.DomainUnknown:     "5.1.2 5.4.4",
		event.NullMX:            "5.1.10",
		event.MailboxDisabled:   "5.2.1 5.7.13",
		event.Moved:             "5.1.6",
		event.BadAddress:        "5.1.3",
		event.MailboxFull:       "5.2.2 4.2.2",
		event.RecipientFiltered: "5.2.0 5.7.129",
		event.MessageTooBig:     "5.2.3 5.3.4",
		event.Blocklisted:       "5.7.606 5.7.649 5.7.708",
		event.AuthFailed:        "5.7.20 5.7.26 5.7.30 5.7.509 5.7.515",
		event.ReverseDNS:        "5.7.25",
		event.SenderRejected:    "5.1.7 5.1.8",
		event.Policy:            "5.7.0 5.7.1 5.7.650",
		event.Protocol:          "5.5.0 5.5.4 5.6.0",
		event.RateLimited:       "4.7.28",
		event.Greylisted:        "4.7.1",
		event.Expired:           "4.4.7 5.4.7",
		event.Network:           "4.4.1 4.4.2 5.4.1",
		event.RoutingLoop:       "5.4.6 5.4.14",
		event.RemoteSystem:      "5.3.0 4.3.1 4.2.1 5.2.4",
		event.TLS:               "4.7.5",
		event.Undetermined:      "5.1.0 5.0.0 4.0.0 5.9.9 2.1.5",
	} {
		for _, status := range strings.Fields(statuses) {
			if v := c.Classify(Reply{Status: status}); v.Reason != reason {
				t.Errorf("%s is %s by %s, not %s", status, v.Reason, v.Rule, reason)
			}
			// The same in the reply's own words, behind its code.
			if v := c.Classify(Reply{Text: status[:1] + "50 " + status}); v.Reason != reason && status[0] != '2' {
				t.Errorf("%q is %s by %s, not %s", status[:1]+"50 "+status, v.Reason, v.Rule, reason)
			}
		}
	}
}

// A bare reply code says little (RFC 5321 §4.2.3): 550 and 554 stand for anything.
func TestCodeAlone(t *testing.T) {
	t.Parallel()
	c := Default()
	for code, reason := range map[int]event.Reason{
		421: event.RemoteSystem, 451: event.RemoteSystem, 452: event.MailboxFull, 552: event.MailboxFull, 551: event.Moved, 556: event.NullMX,
		500: event.Protocol, 503: event.Protocol, 530: event.RelayDenied, 535: event.RelayDenied,
		450: event.Undetermined, 550: event.Undetermined, 553: event.Undetermined, 554: event.Undetermined, 250: event.Undetermined, 0: event.Undetermined, 999: event.Undetermined,
	} {
		if v := c.Classify(Reply{Code: code}); v.Reason != reason {
			t.Errorf("%d is %s by %s, not %s", code, v.Reason, v.Rule, reason)
		}
	}
}

// replies are all samples of the built-in rules.
func replies(t *testing.T) (all []string) {
	t.Helper()
	rules, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		all = append(all, r.Sample...)
	}
	return all
}

// The promises of a verdict, over every sample said in every way.
func TestVerdictPromises(t *testing.T) {
	t.Parallel()
	c := Default()
	for _, text := range replies(t) {
		plain := c.Classify(Reply{Text: text})
		for _, r := range []Reply{
			{Text: text}, {Text: text, NeverHard: true}, {Text: text, Code: 450, Status: "4.0.0"}, {Text: text, Hint: event.UserUnknown},
			{Text: "smtp; " + text}, {Text: text, Remote: "mx.nowhere.example"}, {Text: strings.ToUpper(text)},
		} {
			v := c.Classify(r)
			typ, fault, known := v.Reason.Outcome()
			switch {
			case !known || v.Rule == "" || v.Fault != fault:
				t.Errorf("%+v: %+v is no verdict", r, v)
			case v.Type == event.Hard && (fault != event.FaultRecipient || typ != event.Hard):
				t.Errorf("%+v: %+v makes hard what is not the recipient's fault", r, v)
			case v.Type != event.Hard && v.Type != event.Soft:
				t.Errorf("%+v: type %q", r, v.Type)
			case r.NeverHard && v.Type == event.Hard:
				t.Errorf("%+v: hard", r)
			case r.NeverHard && (v.Reason != plain.Reason || v.Rule != plain.Rule):
				t.Errorf("%+v: the reason is %s, without NeverHard %s", r, v.Reason, plain.Reason)
			case r.Hint != "" && plain.Rule != RuleNone && v != plain:
				t.Errorf("%+v: a hint made %+v of %+v", r, v, plain)
			}
			if again := c.Classify(r); again != v {
				t.Errorf("%+v: %+v, and then %+v", r, v, again)
			}
		}
	}
}

// What one reply said is gone when the next is asked for: the scratch they share is cleared.
func TestRepliesDoNotMix(t *testing.T) {
	t.Parallel()
	shared, texts := Default(), replies(t)
	for i, text := range texts {
		shared.Classify(Reply{Text: texts[len(texts)-1-i], Code: 550, Status: "5.1.1", Remote: "mx.outlook.com"})
		if got, want := shared.Classify(Reply{Text: text}), Default().Classify(Reply{Text: text}); i%20 == 0 && got != want {
			t.Errorf("%s\n  is %+v behind another reply, %+v alone", text, got, want)
		}
	}
	if v := shared.Classify(Reply{}); v.Reason != event.Undetermined || v.Rule != RuleNone {
		t.Errorf("of nothing: %+v", v)
	}
}

func TestHint(t *testing.T) {
	t.Parallel()
	c := Default()
	for _, hint := range event.Reasons() {
		typ, fault, _ := hint.Outcome()
		want := Verdict{Reason: hint, Type: typ, Fault: fault, Rule: RuleHint}
		if v := c.Classify(Reply{Text: "something happened", Hint: hint}); v != want {
			t.Errorf("%s: %+v", hint, v)
		}
		if v := c.Classify(Reply{Text: "something happened", Hint: hint, NeverHard: true}); v.Type != event.Soft || v.Reason != hint {
			t.Errorf("%s, never hard: %+v", hint, v)
		}
		if v := c.Classify(Reply{Text: "550 5.2.2 mailbox full", Hint: hint}); v.Reason != event.MailboxFull {
			t.Errorf("%s beside a reply that tells: %+v", hint, v)
		}
	}
	if v := c.Classify(Reply{Hint: "no_such_reason"}); v.Rule != RuleNone || v.Reason != event.Undetermined {
		t.Errorf("a hint that is none: %+v", v)
	}
}

// However a server folds its reply into lines, it says the same.
func TestReplyFolding(t *testing.T) {
	t.Parallel()
	c := Default()
	words := strings.Fields("The email account that you tried to reach is over quota and inactive")
	want := c.Classify(Reply{Text: "452 4.2.2 " + strings.Join(words, " ")})
	if want.Reason != event.MailboxFull {
		t.Fatalf("%+v", want)
	}
	for _, end := range []string{"\r\n", "\n", " ", "\\n"} {
		for per := 1; per <= len(words); per++ {
			var lines []string
			for part := range slices.Chunk(words, per) {
				lines = append(lines, "452-4.2.2 "+strings.Join(part, " "))
			}
			last := len(lines) - 1
			lines[last] = "452 4.2.2" + strings.TrimPrefix(lines[last], "452-4.2.2")
			if text := strings.Join(lines, end); c.Classify(Reply{Text: text}) != want {
				t.Errorf("%q: %+v, want %+v", text, c.Classify(Reply{Text: text}), want)
			}
		}
	}
}

// A user's rules come first, in their order; one that gives no reason leaves that to those behind it.
func TestOrderOfRules(t *testing.T) {
	t.Parallel()
	const text = "550 5.1.1 mailbox unavailable: user unknown"
	rule := func(name, reason, typ string) Rule {
		return Rule{Name: name, Text: []string{"user unknown"}, Reason: reason, Type: typ}
	}
	other := Rule{Name: "other", Text: []string{"never said"}, Reason: "spam"}
	for name, c := range map[string]struct {
		rules []Rule
		want  Verdict
	}{
		"none":                  {nil, Verdict{event.UserUnknown, event.Hard, event.FaultRecipient, "text/user-unknown/en"}},
		"one that fits not":     {[]Rule{other}, Verdict{event.UserUnknown, event.Hard, event.FaultRecipient, "text/user-unknown/en"}},
		"the first that fits":   {[]Rule{other, rule("a", "policy", ""), rule("b", "spam", "")}, Verdict{event.Policy, event.Soft, event.FaultSender, "a"}},
		"a type alone":          {[]Rule{rule("a", "", "soft")}, Verdict{event.UserUnknown, event.Soft, event.FaultRecipient, "a"}},
		"a type, then a reason": {[]Rule{rule("a", "", "hard"), rule("b", "policy", "")}, Verdict{event.Policy, event.Hard, event.FaultSender, "a"}},
		"two types":             {[]Rule{rule("a", "", "soft"), rule("b", "", "hard")}, Verdict{event.UserUnknown, event.Soft, event.FaultRecipient, "a"}},
		"both":                  {[]Rule{rule("a", "mailbox_disabled", "soft")}, Verdict{event.MailboxDisabled, event.Soft, event.FaultRecipient, "a"}},
	} {
		classifier, err := New(c.rules)
		if err != nil {
			t.Fatal(err)
		}
		if got := classifier.Classify(Reply{Text: text}); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	// What an admin calls hard stays hard, whoever gave up on it.
	c, err := New([]Rule{rule("mine", "user_unknown", "hard")})
	if err != nil {
		t.Fatal(err)
	}
	if v := c.Classify(Reply{Text: "450 4.1.1 user unknown", NeverHard: true}); v.Type != event.Hard || v.Rule != "mine" {
		t.Errorf("%+v", v)
	}
}

// Every condition of a rule must hold; of several values of one, any.
func TestConditions(t *testing.T) {
	t.Parallel()
	c, err := New([]Rule{{Name: "mine", Code: "550, 45x", Status: "5.7.*,4.7.10-20", Text: []string{"go {away|home}", "not * you"}, Remote: []string{"*.example.net", "mx.example.org"}, Reason: "relay_denied"}})
	if err != nil {
		t.Fatal(err)
	}
	holds := Reply{Code: 550, Status: "5.7.3", Text: "please go home", Remote: "a.example.net"}
	for i, change := range []struct {
		with func(*Reply)
		want bool
	}{
		{func(*Reply) {}, true},
		{func(r *Reply) { r.Code = 451 }, true},
		{func(r *Reply) { r.Code = 460 }, false},
		{func(r *Reply) { r.Code = 0 }, false},
		{func(r *Reply) { r.Status = "4.7.10" }, true},
		{func(r *Reply) { r.Status = "4.7.20" }, true},
		{func(r *Reply) { r.Status = "4.7.21" }, false},
		{func(r *Reply) { r.Status = "" }, false},
		{func(r *Reply) { r.Text = "GO\u00a0AWAY!" }, true},
		{func(r *Reply) { r.Text = "it is not I, they tell you" }, true},
		{func(r *Reply) { r.Text = "going away" }, false},
		{func(r *Reply) { r.Remote = "A.B.Example.NET." }, true},
		{func(r *Reply) { r.Remote = "mx.example.org[192.0.2.1]:25" }, true},
		{func(r *Reply) { r.Remote = "example.net" }, false},
		{func(r *Reply) { r.Remote = "mx.example.org.evil.example" }, false},
		{func(r *Reply) { r.Remote = "" }, false},
	} {
		r := holds
		change.with(&r)
		if v := c.Classify(r); (v.Rule == "mine") != change.want {
			t.Errorf("%d: %+v is decided by %s", i, r, v.Rule)
		}
	}
}

// Words for a time that passes make a hard reason soft, in every language they are known in, and never the other way.
func TestTemporaryWords(t *testing.T) {
	t.Parallel()
	c := Default()
	for _, word := range temporaryWords {
		for _, text := range []string{"550 5.1.1 user unknown (%s)", "550 5.2.1 mailbox disabled, %s"} {
			if v := c.Classify(Reply{Text: fmt.Sprintf(text, word)}); v.Type != event.Soft {
				t.Errorf("%q: %+v", fmt.Sprintf(text, word), v)
			}
		}
	}
	if len(temporaryWords) < 20 || slices.Contains(temporaryWords, "") {
		t.Errorf("words: %q", temporaryWords)
	}
}

// The rules are tried in the order of their files and in each from the top: provider's words, senders' faults, the
// recipient's, and bare codes last.
func TestRulesInOrder(t *testing.T) {
	t.Parallel()
	rules, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for i, r := range rules {
		at[r.Name] = i
		if _, _, known := event.Reason(r.Reason).Outcome(); !known || r.Type != "" {
			t.Errorf("%s: reason %q, type %q: a built-in rule's type is its reason's", r.Name, r.Reason, r.Type)
		}
	}
	order := []string{"text/user-unknown/en", "doubt/blocked", "enhanced-status/5.1.1", "enhanced-subject/5.7", "reply-code/552"}
	for i, name := range order {
		if at[name] == 0 {
			t.Fatalf("there is no rule %s", name)
		}
		if i > 0 && at[name] < at[order[i-1]] {
			t.Errorf("%s stands before %s", name, order[i-1])
		}
	}
	if len(Default().rules) != len(rules) {
		t.Errorf("%d rules are compiled of %d", len(Default().rules), len(rules))
	}
}
