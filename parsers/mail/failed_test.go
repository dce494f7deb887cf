package mail

import (
	"errors"
	"strings"
	"testing"

	"bouncefeed/internal/event"
)

// A failedSample is a report: the text for humans, the groups of its status and the header of the message that it returns.
type failedSample struct {
	name, text, groups, returned string
	want                         string // "recipient: diagnostic" of each failure, or the kind; with " | " between them
}

var failedSamples = []failedSample{
	{"who we wrote to comes first", "", "Original-Recipient: rfc822;team@a.example\nFinal-Recipient: rfc822;dan@b.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here", "",
		"team@a.example: 550 unknown here"},
	{"generated from", "  dan@b.example\n    (generated from team@a.example)\n    550 unknown here",
		"Final-Recipient: rfc822;dan@b.example\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 unknown here", "", "team@a.example: 550 unknown here"},
	{"generated from, folded", "  dan@b.example\n    (generated from\n    team@a.example)\n    550 unknown here",
		"Final-Recipient: rfc822;dan@b.example\nAction: failed\nStatus: 5.0.0", "", "team@a.example: 550 unknown here"},
	{"generated from what was not in To", "  dan@b.example\n    (generated from team@a.example)\n    550 unknown here",
		"Final-Recipient: rfc822;dan@b.example\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 unknown here", "To: dan@b.example", "dan@b.example: 550 unknown here"},
	{"a reply that says so", "  dan@b.example\n    host mx.b.example: 550 unknown here\n    (generated from eva@c.example)",
		"Final-Recipient: rfc822;dan@b.example\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 unknown here", "", "dan@b.example: 550 unknown here"},
	{"To does not overrule", "", "Final-Recipient: rfc822;dan@b.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here",
		"To: eva@c.example\nX-Listmonk-Subscriber: " + testSubscriber, "dan@b.example: 550 unknown here"},
	{"To completes", "", "Final-Recipient: rfc822; dan\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here", "To: Dan <dan@b.example>", "dan@b.example: 550 unknown here"},
	{"To completes nobody else", "", "Final-Recipient: rfc822; root\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here", "To: dan@b.example", "root: 550 unknown here"},
	{"To has two of that name", "", "Final-Recipient: rfc822; dan\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here", "To: dan@b.example, dan@c.example", "dan: 550 unknown here"},
	{"our sender", "", "Final-Recipient: rfc822; bounces@lists.example.com\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here", "To: dan@b.example", "dan@b.example: 550 unknown here"},
	{"a VERP of ours", "", "Final-Recipient: rfc822; bounces+dan=b.example@lists.example.com\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here", "To: dan@b.example",
		"dan@b.example: 550 unknown here"},
	{"a VERP of ours with a UUID", "", "Final-Recipient: rfc822; bounces+" + testSubscriber + "@lists.example.com\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here", "To: dan@b.example",
		"dan@b.example: 550 unknown here"},
	{"our sender and another", "", "Final-Recipient: rfc822; bounces@lists.example.com\nAction: failed\nStatus: 5.7.1\nDiagnostic-Code: smtp; 550 no relaying\n\n" +
		"Final-Recipient: rfc822; dan@b.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here", "To: eva@c.example", "dan@b.example: 550 unknown here"},
	{"who wrote to himself", "", "Final-Recipient: rfc822; news@lists.example.com\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here", "From: news@lists.example.com\nTo: news@lists.example.com",
		"news@lists.example.com: 550 unknown here"},

	{"a bracket too many", "The recipient is unknown:\n\n<dan@b.example>\n", "Final-Recipient: rfc822; dan@b.example>\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here", "", "dan@b.example: 550 unknown here"},
	{"no address, and another in the text", "The recipient is unknown:\n\n<eva@c.example>\n", "Final-Recipient: rfc822; dan@@b.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here", "", ": 550 unknown here"},

	{"two of a kind", "", "Final-Recipient: rfc822; dan@b.example\nFinal-Recipient: rfc822; eva@c.example\nAction: failed\nStatus: 5.1.1", "", "refused"},
	{"two of a kind, apart", "", "Original-Recipient: rfc822; dan@b.example\nFinal-Recipient: rfc822; dan@b.example\nAction: failed\nStatus: 5.1.1\nOriginal-Recipient: rfc822; eva@c.example", "", "refused"},
	{"two states", "", "Final-Recipient: rfc822; dan@b.example\nStatus: 5.1.1\nStatus: 4.2.2\nAction: failed", "", "refused"},
	{"two replies", "", "Final-Recipient: rfc822; dan@b.example\nStatus: 5.0.0\nAction: failed\nDiagnostic-Code: smtp; 550 5.1.1 no\nDiagnostic-Code: smtp; 452 4.2.2 full", "", "refused"},
	{"one of a kind, twice", "", "Final-Recipient: rfc822; dan@b.example\nFinal-Recipient: RFC822; dan@b.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here", "",
		"dan@b.example: 550 unknown here"},
	{"no blank line between groups", "", "Final-Recipient: rfc822; dan@b.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 one\nFinal-Recipient: rfc822; eva@c.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 two", "",
		"dan@b.example: 550 one | eva@c.example: 550 two"},
	{"a name that is left behind", "", "Original-Recipient: rfc822; eva@c.example\n\nFinal-Recipient: rfc822; dan@b.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here", "",
		"dan@b.example: 550 unknown here"},

	{"an address check", "", "Final-Recipient: rfc822; dan@b.example\nAction: deliverable\nStatus: 2.1.5\nDiagnostic-Code: smtp; 250 2.1.5 Ok", "", "delivered"},
	{"an address check that failed", "", "Final-Recipient: rfc822; dan@b.example\nAction: undeliverable\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here", "", "ordinary"},
	{"success called a failure", "", "Final-Recipient: rfc822; dan@b.example\nAction: failed\nStatus: 2.0.0\nDiagnostic-Code: smtp; 250 Ok", "", "delivered"},

	{"a copy that failed", "", "Original-Recipient: rfc822;team@a.example\nFinal-Recipient: rfc822; dan@b.example\nAction: relayed\nStatus: 2.1.5\n\n" +
		"Original-Recipient: rfc822;team@a.example\nFinal-Recipient: rfc822; eva@c.example\nAction: failed\nStatus: 5.1.1", "", "delivered"},

	{"a word behind a reply's code", "It is about this and that.", "Final-Recipient: rfc822; dan@b.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 nobody", "", "dan@b.example: 550 nobody"},
	{"two in a transcript", "<eva@c.example>... Deferred\n550 5.1.1 <dan@b.example>... User unknown", "Final-Recipient: rfc822; eva@c.example\nAction: failed\nStatus: 4.4.7\nDiagnostic-Code: smtp; 421 too busy here\n\n" +
		"Final-Recipient: rfc822; dan@b.example\nAction: failed\nStatus: 5.0.0", "", "eva@c.example: 421 too busy here | dan@b.example: 550 5.1.1 <dan@b.example>... User unknown"},
	{"another's reason", "<dan@b.example>: host mx.b.example said: 550 5.1.1 unknown here", "Final-Recipient: rfc822; dan@b.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 unknown here\n\n" +
		"Final-Recipient: rfc822; eva@c.example\nAction: failed\nStatus: 5.0.0", "", "dan@b.example: 550 unknown here | eva@c.example:"},
	{"each his own reason, in a paragraph of its own", "dan@b.example\nA problem occurred.\n\nThe other server returned:\n\n550-5.1.1 Unknown here.\n550 5.1.1 See our help.\n\neva@c.example\nIt is full.\n\nThe other server returned:\n\n552 5.2.2 Over quota\n",
		"Final-Recipient: rfc822; dan@b.example\nAction: failed\nStatus: 5.0.0\n\nFinal-Recipient: rfc822; eva@c.example\nAction: failed\nStatus: 5.0.0", "",
		"dan@b.example: 550-5.1.1 Unknown here. 550 5.1.1 See our help. | eva@c.example: 552 5.2.2 Over quota"},
	{"a reason for all", "These could not be reached:\n\ndan@b.example\neva@c.example\n\nReason: unknown here", "Final-Recipient: rfc822; dan@b.example\nAction: failed\nStatus: 5.0.0\n\nFinal-Recipient: rfc822; eva@c.example\nAction: failed\nStatus: 5.0.0", "",
		"dan@b.example: Reason: unknown here | eva@c.example: These could not be reached: Reason: unknown here"},
	{"broken inside a word", "", "Final-Recipient: rfc822; dan@b.example\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 the mailb\n ox is unkn\n own or was\n moved", "",
		"dan@b.example: 550 the mailbox is unknown or was moved"},
	{"broken inside a word that the text shows", "550 this zyzzyva is gone", "Final-Recipient: rfc822; dan@b.example\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 this zyz\n zyva is gone", "",
		"dan@b.example: 550 this zyzzyva is gone"},
}

func TestWhoFailed(t *testing.T) {
	for _, s := range failedSamples {
		t.Run(s.name, func(t *testing.T) {
			if got := whoFailed(t, "From: MAILER-DAEMON@mx.example\nTo: bounces@lists.example.com\nSubject: Undelivered", s); got != s.want {
				t.Errorf("%s\nwant %s", got, s.want)
			}
		})
	}
}

func whoFailed(t *testing.T, header string, s failedSample) string {
	t.Helper()
	body := header + "\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\n" + s.text +
		"\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n" + s.groups +
		"\n\n--b\nContent-Type: text/rfc822-headers\n\nSubject: news\n" + s.returned + "\n\n--b--\n"
	var got []string
	err := parser{}.Parse(event.Record{Body: []byte(body)}, func(e event.Event) {
		if e.Type != "" {
			got = append(got, string(e.Type))
		} else {
			got = append(got, strings.TrimSpace(e.Recipient+": "+e.Diagnostic))
		}
	})
	var refused *event.RefusedError
	if errors.As(err, &refused) && refused.Why == event.WhyTwoReadings {
		return "refused"
	} else if err != nil {
		t.Fatal(err)
	}
	return strings.Join(got, " | ")
}

// Anybody can attach a delivery status to a letter; a mail system's report has it in any container.
func TestStatusOfALetter(t *testing.T) {
	for sender, want := range map[string]event.Type{
		"Return-Path: <dan@b.example>\nFrom: Dan <dan@b.example>":    event.Ordinary,
		"Return-Path: <>\nFrom: Dan <dan@b.example>":                 "",
		"Return-Path: <x@b.example>\nFrom: MAILER-DAEMON@mx.example": "",
	} {
		events := parseMail(t, sender+"\nSubject: look\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nWhat is this?\n--b\n"+
			"Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; eva@c.example\nAction: failed\nStatus: 5.1.1\n\n--b--\n")
		if len(events) != 1 || events[0].Type != want {
			t.Errorf("%s: %+v, want one of type %q", sender, events, want)
		}
	}
}

// An alias whose targets failed each for its own reason did not fail hard.
func TestAliasFailsAlike(t *testing.T) {
	group := func(final, status string) string {
		return "Original-Recipient: rfc822; team@a.example\nFinal-Recipient: rfc822; " + final + "\nAction: failed\nStatus: " + status + "\nDiagnostic-Code: smtp; 550 " + status + " refused here\n\n"
	}
	report := func(groups string) string {
		return "From: MAILER-DAEMON@mx.example\nSubject: Undelivered\nContent-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n" + groups + "\n--b--\n"
	}
	exim := "From: MAILER-DAEMON@mx.example\nSubject: Mail delivery failed\nX-Failed-Recipients: dan@b.example, eva@c.example\n\n  dan@b.example\n    (generated from team@a.example)\n" +
		"    550 5.1.1 unknown\n  eva@c.example\n    (generated from team@a.example)\n    552 5.2.2 full\n"
	for message, neverHard := range map[string]bool{
		report(group("dan@b.example", "5.1.1") + group("eva@c.example", "5.1.1")): false,
		report(group("dan@b.example", "5.1.1") + group("eva@c.example", "5.2.2")): true,
		exim: true,
		strings.Replace(exim, "552 5.2.2 full", "550 5.1.1 here, too", 1): false,
	} {
		events := parseMail(t, message)
		if len(events) != 1 || events[0].Recipient != "team@a.example" || events[0].NeverHard != neverHard {
			t.Errorf("%+v, want one that is never hard: %v", events, neverHard)
		}
	}
}

// A message has one subscriber. Of what an alias made of him, one event has his UUID, which is hard only if all failed alike.
func TestOneUUIDOneEvent(t *testing.T) {
	groups := "Final-Recipient: rfc822; dan@b.example\nAction: failed\nStatus: 5.1.1\n\nFinal-Recipient: rfc822; eva@c.example\nAction: failed\nStatus: "
	for _, test := range []struct {
		name, second, to string
		want             string // whose event has it
		neverHard        bool
	}{
		{"alike", "5.1.1", "team@a.example", "dan@b.example", false},
		{"not alike", "5.2.2", "team@a.example", "dan@b.example", true},
		{"it is the second's", "5.2.2", "eva@c.example", "eva@c.example", false},
		{"both are in To", "5.1.1", "dan@b.example, eva@c.example", "dan@b.example", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			events := parseMail(t, "From: MAILER-DAEMON@mx.example\nSubject: Undelivered\nContent-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"+
				groups+test.second+"\n\n--b\nContent-Type: text/rfc822-headers\n\nTo: "+test.to+"\nX-Listmonk-Subscriber: "+testSubscriber+"\n\n--b--\n")
			with := 0
			for _, e := range events {
				if e.SubscriberUUID != "" {
					if with++; e.Recipient != test.want || e.NeverHard != test.neverHard {
						t.Errorf("%s has it, never hard %v", e.Recipient, e.NeverHard)
					}
				}
			}
			if len(events) != 2 || with != 1 {
				t.Errorf("%d of %d events have it", with, len(events))
			}
		})
	}
}
