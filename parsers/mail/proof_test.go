package mail

import (
	"os"
	"strings"
	"testing"

	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
)

const (
	testCampaign   = "0c0c0c0c-1111-4222-8333-444444444444"
	testSubscriber = "5b5b5b5b-1111-4222-8333-555555555555"
)

// proofSamples are headers of a bounce and of the message it returns, and what they prove.
var proofSamples = []struct {
	name, bounce, returned         string
	subscriber, campaign, evidence string
}{
	{"headers", "", "X-Listmonk-Subscriber: " + testSubscriber + "\nX-Listmonk-Campaign: " + testCampaign, testSubscriber, testCampaign, "uuid"},
	{"headers, odd case, folded", "", "x-LISTMONK-subscriber:\n " + testSubscriber, testSubscriber, "", "uuid"},
	{"headers, encoded", "", "X-Listmonk-Subscriber: =?us-ascii?Q?" + testSubscriber + "?=", testSubscriber, "", "uuid"},
	{"Message-ID", "", "Message-ID: <" + testCampaign + "." + testSubscriber + "@example.com>", testSubscriber, testCampaign, "uuid"},
	{"unsubscribe link", "", "List-Unsubscribe: <mailto:a@b.example>, <https://l.example/subscription/" + testCampaign + "/" + testSubscriber + "?x=1>", testSubscriber, testCampaign, "uuid"},
	{"returned Return-Path", "", "Return-Path: <b+" + testSubscriber + "@example.com>", testSubscriber, "", "verp"},
	{"VERP in Delivered-To", "Delivered-To: b+" + testSubscriber + "@example.com", "", testSubscriber, "", "verp"},
	{"VERP with campaign", "X-Original-To: b+" + testCampaign + "." + testSubscriber + "@example.com", "", testSubscriber, testCampaign, "verp"},
	{"VERP, upper case", "Envelope-To: " + strings.ToUpper("b+"+testSubscriber) + "@example.com", "", testSubscriber, "", "verp"},
	{"listmonk's dummy", "", "X-Listmonk-Subscriber: 00000000-0000-0000-0000-000000000000\nX-Listmonk-Campaign: " + testCampaign, "", "", ""},
	{"two subscribers", "Delivered-To: b+11111111-2222-4333-8444-555555555555@example.com", "X-Listmonk-Subscriber: " + testSubscriber, "", "", ""},
	{"no UUID", "", "X-Listmonk-Subscriber: jo@example.org", "", "", ""},
	{"in the bounce's own header", "X-Listmonk-Subscriber: " + testSubscriber, "", "", "", ""},
	{"classic VERP names, but proves nothing", "Delivered-To: b+jo=example.org@example.com", "", "", "", ""},
}

func TestProofs(t *testing.T) {
	for _, p := range proofSamples {
		t.Run(p.name, func(t *testing.T) {
			e := parseMail(t, "From: MAILER-DAEMON@mx.example\nSubject: Undelivered Mail Returned to Sender\n"+p.bounce+"\n"[:min(len(p.bounce), 1)]+
				"Content-Type: multipart/report; boundary=b; report-type=delivery-status\n\n--b\nContent-Type: message/delivery-status\n\n"+
				"Final-Recipient: rfc822; jo@example.org\nAction: failed\nStatus: 5.1.1\n\n--b\nContent-Type: text/rfc822-headers\n\n"+
				"To: jo@example.org\n"+p.returned+"\n\n--b--\n")[0]
			if e.SubscriberUUID != p.subscriber || e.CampaignUUID != p.campaign || e.Evidence != p.evidence {
				t.Errorf("subscriber %q campaign %q evidence %q", e.SubscriberUUID, e.CampaignUUID, e.Evidence)
			}
			if e.Recipient != "jo@example.org" {
				t.Errorf("recipient %q", e.Recipient)
			}
		})
	}
}

// The proof of one recipient is not another's: a stranger who got our mail could else report whom he likes.
func TestProofIsNotAnothers(t *testing.T) {
	events := parseMail(t, "From: MAILER-DAEMON@mx.example\nSubject: failed\n"+
		"Content-Type: multipart/report; boundary=b; report-type=delivery-status\n\n--b\nContent-Type: message/delivery-status\n\n"+
		"Final-Recipient: rfc822; mallory@example.org\nAction: failed\nStatus: 5.1.1\n\n"+
		"Final-Recipient: rfc822; victim@example.com\nAction: failed\nStatus: 5.1.1\n\n"+
		"--b\nContent-Type: text/rfc822-headers\n\nTo: mallory@example.org\nX-Listmonk-Subscriber: "+testSubscriber+"\n\n--b--\n")
	if len(events) != 2 || events[0].Evidence != "uuid" || events[1].Evidence != "" || events[1].SubscriberUUID != "" {
		t.Errorf("%+v", events)
	}
}

func BenchmarkMail(b *testing.B) {
	for _, name := range []string{"01-postfix", "02-exim", "05-qmail", "07-m365-base64-status", "16-vacation-en"} {
		body, err := os.ReadFile("../testdata/mail/" + name + ".in")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := (parser{}).Parse(event.Record{Body: body}, func(event.Event) {}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A bounce may quote the returned header in its text, where nothing marks it as a header.
func TestProofInText(t *testing.T) {
	e := parseMail(t, "From: MAILER-DAEMON@mx.example\nSubject: failed\n\n<jo@example.org>: user unknown\n\n"+
		"> Subject: news\n> X-Listmonk-Subscriber: 00000000-0000-0000-0000-000000000000\n> x-listmonk-campaign: "+testCampaign+
		"\n> X-Listmonk-Subscriber: "+testSubscriber+"\n")[0]
	if e.SubscriberUUID != testSubscriber || e.CampaignUUID != testCampaign || e.Evidence != listmonk.EvidenceUUID {
		t.Errorf("subscriber %q campaign %q evidence %q", e.SubscriberUUID, e.CampaignUUID, e.Evidence)
	}
}

// What a report's text shows of the returned header counts whether or not the text was asked for the diagnostic of a
// recipient. A message has one subscriber: his UUID is with one of the failures.
func TestProofInReportsText(t *testing.T) {
	for name, diagnostic := range map[string]string{"said in the status": "Diagnostic-Code: smtp; 550 5.1.1 no such user here\n", "said in the text": ""} {
		t.Run(name, func(t *testing.T) {
			group := func(addr string) string {
				return "Final-Recipient: rfc822; " + addr + "\nAction: failed\nStatus: 5.1.1\n" + diagnostic + "\n"
			}
			events := parseMail(t, bombReport+"\n<jo@example.org>: user unknown\n<max@example.org>: user unknown\n\n"+
				"------ This is a copy of the message's header. ------\n\nReceived: from lists.example.com by mx.example\n"+
				"Message-ID: <news@lists.example.com>\nSubject: news\nTo: jo@example.org, max@example.org\nX-Listmonk-Subscriber: "+testSubscriber+
				"\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n"+group("jo@example.org")+group("max@example.org")+"--b--\n")
			if len(events) != 2 {
				t.Fatalf("%+v", events)
			}
			for i, want := range []string{testSubscriber, ""} {
				if e := events[i]; e.SubscriberUUID != want || (e.Evidence != "") != (want != "") || e.MessageID != "news@lists.example.com" {
					t.Errorf("%s: subscriber %q, evidence %q, Message-ID %q", e.Recipient, e.SubscriberUUID, e.Evidence, e.MessageID)
				}
			}
		})
	}
}

// A newsletter that somebody attached to a letter of his own proves nothing of the letter's recipient. What a report returns
// that a mail system wrapped in one of its own does.
func TestProofOfWhatIsEnclosed(t *testing.T) {
	news := "Content-Type: message/rfc822\n\nFrom: news@lists.example.com\nX-Listmonk-Subscriber: " + testSubscriber + "\n\nnews\n"
	for inner, want := range map[string]string{
		"multipart/mixed": "",
		"multipart/report; report-type=delivery-status": testSubscriber,
	} {
		events := parseMail(t, "From: MAILER-DAEMON@mx.example\nSubject: Undelivered\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n<dan@b.example>: 550 5.1.1 user unknown\n"+
			"--b\nContent-Type: message/rfc822\n\nFrom: Eva <eva@c.example>\nTo: dan@b.example\nContent-Type: "+inner+"; boundary=c\n\n--c\n\nlook\n--c\n"+news+"--c--\n--b--\n")
		if len(events) != 1 || events[0].Recipient != "dan@b.example" || events[0].SubscriberUUID != want {
			t.Errorf("%s: %+v", inner, events)
		}
	}
}

// To whom we wrote stands beside the address that a report names, and never instead of it.
func TestReturnedToStandsBeside(t *testing.T) {
	returned := "\n--b\nContent-Type: text/rfc822-headers\n\nTo: eva@c.example\nX-Listmonk-Subscriber: " + testSubscriber + "\n\n--b--\n"
	for name, message := range map[string]string{
		"status": "From: MAILER-DAEMON@mx.example\nSubject: Undelivered\nContent-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n" +
			"Final-Recipient: rfc822; dan@b.example\nAction: failed\nStatus: 5.1.1\n",
		"words":     "From: MAILER-DAEMON@mx.example\nSubject: Undelivered\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n<dan@b.example>: 550 5.1.1 user unknown\n",
		"complaint": "From: fbl@mx.example\nContent-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nOriginal-Rcpt-To: <dan@b.example>\n",
		"rejection": "From: dan@b.example\nAuto-Submitted: auto-replied (rejected)\nContent-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/disposition-notification\n\nFinal-Recipient: rfc822; dan@b.example\n",
	} {
		events := parseMail(t, message+returned)
		if len(events) != 1 || events[0].Recipient != "dan@b.example" || events[0].OriginalRecipient != "eva@c.example" || events[0].SubscriberUUID != testSubscriber {
			t.Errorf("%s: %+v", name, events)
		}
	}
}
