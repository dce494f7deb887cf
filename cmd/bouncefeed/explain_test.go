package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/event"
)

// postfixLog has a bounce, a deferral, and a bounce whose queue id nobody saw opened.
const postfixLog = `Nov 22 10:00:00 mx1 postfix/smtpd[1]: connect from a.example[192.0.2.1]
Nov 22 10:00:00 mx1 postfix/qmgr[1]: 4F1A01C2D0: from=<b@news.example>, size=1, nrcpt=2 (queue active)
Nov 22 10:00:01 mx1 postfix/smtp[1]: 4F1A01C2D0: to=<jo@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))
Nov 22 10:00:01 mx1 postfix/smtp[1]: 4F1A01C2D0: to=<al@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=4.2.2, status=deferred (host mx.example.org[192.0.2.1] said: 452 4.2.2 full (in reply to RCPT TO command))
Nov 22 10:00:02 mx1 postfix/smtp[1]: 4F1A09C2D9: to=<forged@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=0.1, delays=0/0/0.1/0, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))
`

func TestExplainLog(t *testing.T) {
	t.Parallel()
	log := write(t, "mail.log", postfixLog)
	r := command(t, "", "explain", log)
	r.expect(t, 0, "", log+": read as postfix (guessed; --as says otherwise)\n5 lines: 1 bounce (1 hard, 0 soft), 1 delayed, 1 refused, 2 of no interest\n")
	for _, want := range []string{
		log + ":3: hard bounce: user_unknown (fault: recipient)\n",
		"  recipient   jo@example.org\n", "  queue id    4F1A01C2D0\n", "  sender      b@news.example\n", "  remote MTA  mx.example.org\n",
		"  code        550\n", "  status      5.1.1\n", "  rule        ", "  reported    yes, as hard\n",
		log + ":4: delayed: nothing to report (a deferral",
		log + ":5: refused: unopened_queue_id (a bounce of a message whose beginning",
	} {
		if !strings.Contains(r.out, want) {
			t.Errorf("lacks %q:\n%s", want, r.out)
		}
	}
	if strings.Contains(r.out, "mail.log:1:") {
		t.Errorf("a line of no interest is shown:\n%s", r.out)
	}
	command(t, "", "explain", "--all", "--as", "postfix", log).expect(t, 0, log+":1: other: nothing to report (a line or record about something else)\n", "")
}

func TestExplainAsJSON(t *testing.T) {
	t.Parallel()
	r := command(t, "", "explain", "--json", write(t, "mail.log", postfixLog))
	r.expect(t, 0, "", "")
	var kinds []string
	for line := range strings.Lines(r.out) {
		var x agent.Explanation
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, x.Kind)
		if x.Line != len(kinds) || (x.Kind == "bounce") != (len(x.Events) == 1) {
			t.Errorf("got %+v", x)
		}
	}
	if strings.Join(kinds, " ") != "other other bounce delayed refused" {
		t.Errorf("kinds: %q", kinds)
	}
}

func TestExplainReplies(t *testing.T) {
	t.Parallel()
	replies := write(t, "replies", "550 5.1.1 no such user here\n550 5.7.1 Service unavailable; client host blocked using zen.spamhaus.org\n452 4.2.2 mailbox full\n")
	r := command(t, "", "explain", "--as", "reply", replies)
	r.expect(t, 0, replies+":1: hard bounce: user_unknown (fault: recipient)", "")
	r.expect(t, 0, replies+":2: soft bounce: blocklisted (fault: sender)", "")
	r.expect(t, 0, "  reported    no: the sender's fault says nothing about the subscriber", "")
	r.expect(t, 0, replies+":3: soft bounce: mailbox_full (fault: recipient)", "")

	// An admin's own rules count, too.
	rules := write(t, "c.yaml", "rules: [{name: mine, text: [no such user], reason: policy}]\n")
	command(t, "", "explain", "--as", "reply", "-c", rules, replies).expect(t, 0, replies+":1: soft bounce: policy (fault: sender)", "")
	wrong := write(t, "c.yaml", "rules: [{name: mine, text: [no such user]}]\n")
	command(t, "", "explain", "--as", "reply", "-c", wrong, replies).expect(t, exitConfig, "", wrong+":1:9: rules[0]: needs a reason or a type")
}

func TestExplainMail(t *testing.T) {
	t.Parallel()
	box := write(t, "mbox", "From MAILER-DAEMON Sun Nov 22 10:00:00 2026\n"+bounceMail+"\nFrom jo@example.org Sun Nov 22 10:00:00 2026\nFrom: jo@example.org\nSubject: Lunch\n\nAt noon?\n")
	r := command(t, "", "explain", "--as", "mail", box)
	r.expect(t, 0, box+":1: hard bounce: user_unknown (fault: recipient)\n  recipient   jo@example.org\n", "")
	r.expect(t, 0, ": ordinary: nothing to report (a mail that is no report at all)\n", "")
}

// bounceMail is a report of RFC 3464.
const bounceMail = `From: MAILER-DAEMON@mx.example.org
Subject: Undelivered Mail Returned to Sender
Date: Sun, 22 Nov 2026 10:00:00 +0000
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; jo@example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 user unknown

--b--
`

func TestExplainRequest(t *testing.T) {
	t.Parallel()
	body := write(t, "body.json", `{"email":"jo@example.org","type":"hard","source":"api"}`)
	command(t, "", "explain", "--as", "native", body).expect(t, 0, body+": hard bounce", "")
	headers := write(t, "headers", "Content-Type: text/html\n")
	command(t, "", "explain", "--as", "native", "--headers", headers, body).expect(t, 0, body+": signature does not hold: ", "")
	fine := write(t, "headers", "POST /webhooks HTTP/1.1\nContent-Type: application/json\n")
	command(t, "", "explain", "--as", "native", "--headers", fine, body).expect(t, 0, body+": signature not checked: no key is configured", "")
	command(t, "", "explain", "--as", "native", "--headers", "/nowhere/headers", body).expect(t, exitFailure, "", "no such file")
}

func TestExplainMistakes(t *testing.T) {
	t.Parallel()
	log := write(t, "mail.log", postfixLog)
	command(t, "", "explain", "--as", "postfx", log).expect(t, exitFailure, "", `unknown format "postfx"`)
	for _, as := range []string{"postfix", "mail", "reply", "native"} {
		command(t, "", "explain", "--as", as, filepath.Join(t.TempDir(), "none")).expect(t, exitFailure, "", "no such file")
	}
	if os.Geteuid() != 0 {
		closed := write(t, "closed", "")
		if err := os.Chmod(closed, 0); err != nil {
			t.Fatal(err)
		}
		command(t, "", "explain", closed).expect(t, exitFailure, "", "permission denied")
	}
}

func TestPrintExplanation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		x    agent.Explanation
		want string
	}{
		{agent.Explanation{File: "f", Kind: "other"}, ""},
		{agent.Explanation{File: "f", Line: 3, Kind: "delivered"}, "f:3: delivered: nothing to report\n"},
		{agent.Explanation{File: "f", Kind: "refused", Why: "malformed"}, "f: refused: malformed\n"},
		{agent.Explanation{File: "f", Kind: "other", Signature: "holds"}, "f: signature holds\n"},
		{agent.Explanation{File: "f", Kind: "complaint", Events: []event.Event{{Type: event.Complaint, Recipient: "a\x1b@b"}}},
			"f: complaint\n  recipient   a?@b\n  reported    yes, as complaint\n"},
		{agent.Explanation{File: "f", Kind: "bounce", Why: "malformed", Events: []event.Event{{Type: event.Soft, Reason: event.Spam, Fault: event.FaultSender, OriginalRecipient: "x@y", Code: 554}}},
			"f: refused: malformed\nf: soft bounce: spam (fault: sender)\n  delivered to x@y\n  code        554\n  reported    no: the sender's fault says nothing about the subscriber (send: [sender_fault] reports it)\n"},
	} {
		var out strings.Builder
		p := explanationPrinter{w: &out, said: map[string]bool{}}
		if err := p.print(c.x); err != nil || out.String() != c.want {
			t.Errorf("%+v\n got %q, %v\nwant %q", c.x, out.String(), err, c.want)
		}
	}
}

// The first thing that anybody types.
func TestExplainGrep(t *testing.T) {
	t.Parallel()
	lines := strings.SplitAfter(postfixLog, "\n")
	r := command(t, lines[2]+lines[4], "explain", "-")
	r.expect(t, 0, "-:1: hard bounce: user_unknown (fault: recipient)\n", "standard input: read as postfix (guessed")
	r.expect(t, 0, "-:2: hard bounce: user_unknown (fault: recipient)\n", "2 lines: 2 bounces (2 hard, 0 soft)\nnote: the lines before of 2 bounces are not among these")
	r.expect(t, 0, "  reported    yes, as hard, if the lines before it are in order (see the note)\n", "")
}

func TestExplainSaysWhatFits(t *testing.T) {
	t.Parallel()
	log := write(t, "mail.log", postfixLog)
	command(t, "", "explain", "--as", "exim", log).expect(t, 0, "", log+": nothing in it is exim's; it looks like postfix's: try --as postfix\n5 lines: 0 bounces, 5 of no interest\n")
	text := write(t, "notes.txt", "buy milk\n")
	command(t, "", "explain", text).expect(t, 0, "", text+": nothing in it looks like a mail server's log, a mail, or a provider's request")
	command(t, "", "explain", write(t, "empty", "")).expect(t, 0, "", "/empty: empty\n")
	command(t, "550 5.1.1 no such user here\n", "explain", "-").expect(t, 0, "-:1: hard bounce: user_unknown", "read as reply (guessed")
	command(t, bounceMail, "explain", "-").expect(t, 0, "  reported    yes, as hard, with trust: any; with trust: proof only if a log shows", "1 message: 1 bounce (1 hard, 0 soft)")
}
