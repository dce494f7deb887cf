package classify

import (
	"os"
	"strings"
	"testing"

	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
)

// Every rule decides each of its samples.
func TestSamples(t *testing.T) {
	t.Parallel()
	c := Default()
	rules, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range rules {
		if seen[r.Name] || r.Name == "" {
			t.Errorf("rule %q stands twice or lacks its name", r.Name)
		}
		seen[r.Name] = true
		if len(r.Sample) == 0 {
			t.Errorf("rule %s has no sample", r.Name)
		}
		for _, s := range r.Sample {
			v := c.Classify(Reply{Text: s})
			if v.Rule != r.Name || string(v.Reason) != r.Reason {
				t.Errorf("%s\n  is decided by %s (%s), not %s (%s)", s, v.Rule, v.Reason, r.Name, r.Reason)
			}
		}
	}
}

// A phrase that an earlier rule for another reason always takes would never decide anything.
func TestPhrasesReachTheirReason(t *testing.T) {
	t.Parallel()
	c := Default()
	rules, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		seen := map[string]bool{}
		for _, phrase := range r.Text {
			phrases := text.Expand(phrase)
			for _, p := range phrases {
				if plain := transcribed.Replace(p); plain != p {
					phrases = append(phrases, plain)
				}
			}
			for _, p := range phrases {
				if seen[p] {
					t.Errorf("%s: %q stands twice", r.Name, p)
				}
				seen[p] = true
				v := c.Classify(exampleReply(r.Rule, p))
				if string(v.Reason) != r.Reason {
					t.Errorf("%s: %q is taken by %s", r.Name, p, v.Rule)
				}
			}
		}
	}
}

// exampleReply holds a phrase of r and meets its other conditions.
func exampleReply(r Rule, phrase string) Reply {
	reply := Reply{Text: strings.ReplaceAll(phrase, "*", " x ")}
	if codes := parseList(&compiler{}, "code", r.Code, parseCode); codes != nil {
		reply.Code = codes[0].from
	}
	first, _, _ := strings.Cut(r.Status, ",")
	first, _, _ = strings.Cut(first, "-")
	reply.Status = strings.ReplaceAll(first, "*", "4")
	if len(r.Remote) > 0 {
		reply.Remote = strings.TrimPrefix(r.Remote[0], "*.")
	}
	return reply
}

// testdata/replies.txt has one reply a line, its reason in front.
func TestReplies(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/replies.txt")
	if err != nil {
		t.Fatal(err)
	}
	c := Default()
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		reason, text, ok := strings.Cut(line, " ")
		if !ok || reason == "#" {
			continue
		}
		if v := c.Classify(Reply{Text: text}); string(v.Reason) != reason {
			t.Errorf("%s\n  is %s (%s), not %s", text, v.Reason, v.Rule, reason)
		}
	}
}

func BenchmarkClassify(b *testing.B) {
	c := Default()
	replies := []Reply{
		{Text: "550 5.1.1 <jo@example.net>: Recipient address rejected: User unknown in virtual mailbox table"},
		{Text: "host mx.example.net[192.0.2.25] said: 550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 double-checking the recipient's email address for typos or 550-5.1.1 unnecessary spaces. Learn more at 550 5.1.1 https://support.google.com/mail/?p=NoSuchUser b3si.3 - gsmtp (in reply to RCPT TO command)"},
		{Status: "5.7.1", Text: "554 5.7.1 Service unavailable; Client host [192.0.2.25] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.25"},
		{Text: "550 Das Postfach des Empfängers existiert nicht"},
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.Classify(replies[i%len(replies)])
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := Rules(); err != nil {
			b.Fatal(err)
		}
		if _, err := New(nil); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzClassify(f *testing.F) {
	for _, s := range []string{
		"550 5.1.1 <jo@example.net>: user unknown", "smtp; 550-5.7.1 a\r\n550 5.7.1 b", "host a[192.0.2.1] said: 452 x", "550 \\303\\244 \xff\xfe @ @@ <@>",
		"5.1.1", "550 5.1.1234 x", "Postfix 3.7.2 4.9.1", "@", "\\", "\\n\\3", "ｆｕｌｌ width 受信者のメールボックスがいっぱいです",
	} {
		f.Add(s, 550, "5.1.1")
	}
	c := Default()
	f.Fuzz(func(t *testing.T, text string, code int, status string) {
		v := c.Classify(Reply{Text: text, Code: code, Status: status})
		typ, fault, ok := v.Reason.Outcome()
		if !ok || v.Fault != fault || v.Type != typ && v.Type != event.Soft || v.Rule == "" {
			t.Fatalf("%+v", v)
		}
	})
}
