package mail

import (
	"os"
	"reflect"
	"testing"

	"bouncefeed/internal/event"
	"bouncefeed/parsers/parsertest"
)

// Whether a mail is a bounce at all depends on who speaks of what, not on its words alone.
func TestKinds(t *testing.T) {
	for _, test := range []struct {
		name, header, text string
		want               event.Type // "": a failure
	}{
		{"the quoted subject is on holiday", "Return-Path: <>\nFrom: Microsoft Outlook <exchange@x.example>\nSubject: Undeliverable: Out of office? Holidays in Italy",
			"Your message to jo@dest.example could not be delivered: no such user.", ""},
		{"the quoted subject is delayed", "From: postmaster@x.example\nSubject: Undelivered: your train is delayed", "jo@dest.example: 550 no such user", ""},
		{"an order, sent with a null path", "Return-Path: <>\nFrom: Shop <shop@x.example>\nSubject: Your order could not be delivered",
			"The courier could not reach you. Contact shop@x.example.", event.Ordinary},
		{"an article about bounces", "Return-Path: <bounce@x.example>\nFrom: Weekly <weekly@x.example>\nSubject: Undelivered mail explained",
			"What does 550 5.1.1 <jo@dest.example>: user unknown mean?", event.Ordinary},
		{"a mail system without a known name", "Return-Path: <mta@x.example>\nFrom: mta@x.example\nSubject: Mail not delivered",
			"Your message could not be delivered to\njo@dest.example\n", ""},
		{"success told with not", "From: postmaster@x.example\nSubject: Non remis : Offres", "Votre message n'a pas été remis à :\n\njo@dest.example\n", ""},
		{"an answer under a report's subject", "Return-Path: <>\nFrom: Dan <dan@x.example>\nAuto-Submitted: auto-replied\nSubject: Delivery Status Notification (Failure)",
			"Thank you. I read my mail on Mondays.", event.Autoreply},
		{"a report marked as an answer", "Return-Path: <>\nFrom: Ex <info@x.example>\nAuto-Submitted: auto-replied\nSubject: Undeliverable", "jo@dest.example: 550 no such user", ""},
		{"no further attempts", "From: MAILER-DAEMON@x.example\nSubject: Mancata consegna", "Non verranno effettuati altri tentativi.\n\n<jo@dest.example>: 550 no such user", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			events := parseMail(t, test.header+"\nTo: bounces@lists.example.com\n\n"+test.text)
			if len(events) != 1 || events[0].Type != test.want {
				t.Fatalf("%+v, want one of type %q", events, test.want)
			}
			if test.want == "" && events[0].Recipient != "jo@dest.example" {
				t.Errorf("recipient %q", events[0].Recipient)
			}
		})
	}
}

// Each rule decides its own sample, and none above it does.
func TestKindRules(t *testing.T) {
	for i, r := range kindRules {
		m, err := openMail(event.Record{Body: []byte("To: bounces@lists.example.com\n" + r.sample)})
		if err != nil {
			t.Fatal(err)
		}
		if got := newProse(m).kindRule(); got != i {
			t.Errorf("rule %d: rule %d decides its sample\n%s", i, got, r.sample)
		}
	}
}

// Each sign has its test: a rule that asks for one without would fail only on the mail that comes so far.
func TestSigns(t *testing.T) {
	for s, test := range signTests {
		if test == nil {
			t.Errorf("sign %d has no test", s)
		}
	}
}

// What is judged of a message doesn't depend on what was asked before, and changes nothing of it.
func TestMessageIsOnlyRead(t *testing.T) {
	for _, name := range parsertest.Inputs(t, "mail") {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := openMail(event.Record{Body: body})
		if err != nil {
			continue
		}
		before := *m
		first, _ := m.events()
		if second, _ := m.events(); !reflect.DeepEqual(first, second) {
			t.Errorf("%s gives %+v, and asked again %+v", name, first, second)
		}
		if !reflect.DeepEqual(before, *m) {
			t.Errorf("%s was changed by its events", name)
		}
	}
}
