package classify

import (
	"bouncefeed/internal/smtp"
	"strings"
	"testing"
)

func TestFacts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		reply  Reply
		code   int
		status smtp.Status
		remote string
		text   string
	}{
		{Reply{Text: "550 5.1.1 <jo@example.net>: User unknown"}, 550, smtp.Status{5, 1, 1}, "", " 550 5.1.1 @: user unknown "},
		{Reply{Text: "smtp; 550-5.1.1 a\r\n550-5.1.1  b\r\n550 5.1.1 c"}, 550, smtp.Status{5, 1, 1}, "", " 550 5.1.1 a b c "},
		{Reply{Text: "host MX.example.net[192.0.2.7] said: 452 full (in reply to RCPT TO command)"}, 452, smtp.Status{}, "mx.example.net",
			" host [192.0.2.7] said: 452 full (in reply to rcpt to command) "},
		{Reply{Text: "SMTP error from remote mail server after RCPT TO:<jo@example.net>: host spam.example.net [192.0.2.7]: 550 no"}, 550, smtp.Status{},
			"spam.example.net", " smtp error from remote mail server after rcpt to:@: host [192.0.2.7]: 550 no "},
		{Reply{Text: "SMTP error from remote mail server after RCPT TO:<jo@example.net>: 550-Verification\\n550 failed"}, 550, smtp.Status{}, "",
			" smtp error from remote mail server after rcpt to:@: 550 verification failed "},
		{Reply{Text: "5.1.0 - Unknown address error 550-'5.7.1 Access denied' (delivery attempts: 0)"}, 550, smtp.Status{5, 7, 1}, "",
			" 550 5.7.1 access denied (delivery attempts: 0) "},
		{Reply{Text: "Sorry, no mailbox here by that name. (#5.1.1)", Status: "5.0.0"}, 0, smtp.Status{5, 1, 1}, "", " sorry, no mailbox here by that name. (#5.1.1) "},
		{Reply{Text: "550 5.7.1 no", Status: "5.1.1", Code: 554}, 554, smtp.Status{5, 1, 1}, "", " 550 5.7.1 no "},
		{Reply{Text: "no", Status: "5.1.1 (bad destination mailbox)"}, 0, smtp.Status{5, 1, 1}, "", " no "},
		{Reply{Text: "550 refused by 192.0.2.1 and 5.1.1.1, Postfix 5.7.2, mark5.1.1"}, 550, smtp.Status{}, "",
			" 550 refused by 192.0.2.1 and 5.1.1.1, postfix 5.7.2, mark5.1.1 "},
		{Reply{Text: "550 5.1.1234 no"}, 550, smtp.Status{}, "", " 550 5.1.1234 no "},
		{Reply{Text: "220-mx 421 4.2.1 later"}, 421, smtp.Status{4, 2, 1}, "", " 220 mx 421 4.2.1 later "},
		{Reply{Text: "550 Bo\\303\\256te  Pl\xc3\xa9ine “ici” it's over-quota \xff"}, 550, smtp.Status{}, "", " 550 boite pleine ici its over quota ? "},
		{Reply{Text: "550 \"jo doe\"@example.net (a.b+c=d@xn--e.example) x@y... @ me"}, 550, smtp.Status{}, "", " 550 @ @ @... @ me "},
		{Reply{Text: "Name service error for name=spam.example type=MX: Host not found"}, 0, smtp.Status{}, "", " name service error for name= type=mx: host not found "},
		{Reply{}, 0, smtp.Status{}, "", "  "},
	} {
		var f facts
		f.read(test.reply)
		if f.code != test.code || f.status != test.status || f.remote != test.remote || f.text != test.text {
			t.Errorf("%q\n got %d %v %q %q\nwant %d %v %q %q", test.reply.Text, f.code, f.status, f.remote, f.text, test.code, test.status, test.remote, test.text)
		}
	}
}

func TestLongTextIsCut(t *testing.T) {
	t.Parallel()
	var f facts
	f.read(Reply{Text: "550 " + strings.Repeat("é", 1<<20)})
	if len(f.text) > maxText+2 {
		t.Errorf("%d bytes kept", len(f.text))
	}
}
