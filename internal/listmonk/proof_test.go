package listmonk

import (
	"strings"
	"testing"

	"bouncefeed/internal/event"
)

const otherSubscriber = "11111111-2222-4333-8444-555555555555"

func TestUUID(t *testing.T) {
	for s, want := range map[string]string{
		testSubscriber: testSubscriber, " " + strings.ToUpper(testSubscriber) + "\n": testSubscriber, NoUUID: NoUUID,
		"": "", testSubscriber + "0": "", testSubscriber[1:]: "", strings.Replace(testSubscriber, "-", "_", 1): "", strings.Replace(testSubscriber, "5", "g", 1): "",
	} {
		if got := UUID(s); got != want {
			t.Errorf("UUID(%q) = %q", s, got)
		}
	}
	for s, want := range map[string]string{
		"b+" + testSubscriber + "@x": testSubscriber, NoUUID + "." + testSubscriber: testSubscriber, NoUUID: "", "": "", "-----": "",
	} {
		if got := FirstUUID(s); got != want {
			t.Errorf("FirstUUID(%q) = %q", s, got)
		}
	}
}

func TestIdentify(t *testing.T) {
	pair := testCampaign + "." + testSubscriber + "@news.example"
	for name, c := range map[string]struct {
		e                     event.Event
		campaign, subscriber  string
		wantCampaign, wantSub string
	}{
		"fields":                {event.Event{}, testCampaign, testSubscriber, testCampaign, testSubscriber},
		"Message-ID":            {event.Event{MessageID: pair}, "", "", testCampaign, testSubscriber},
		"fields before it":      {event.Event{MessageID: pair}, "", otherSubscriber, "", otherSubscriber},
		"what is known stays":   {event.Event{SubscriberUUID: otherSubscriber}, "", testSubscriber, "", otherSubscriber},
		"no UUIDs":              {event.Event{MessageID: "m@x"}, "jo", "kim", "", ""},
		"test mail is nobody's": {event.Event{}, "", NoUUID, "", NoUUID},
	} {
		Identify(&c.e, c.campaign, c.subscriber)
		if c.e.CampaignUUID != c.wantCampaign || c.e.SubscriberUUID != c.wantSub || (c.e.Evidence == EvidenceUUID) != (c.wantSub != "") {
			t.Errorf("%s: %q, %q, evidence %q", name, c.e.CampaignUUID, c.e.SubscriberUUID, c.e.Evidence)
		}
	}
	v, _ := NewVERP(DefaultVERP)
	e := event.Event{Sender: "b+" + testSubscriber + "@news.example"}
	if v.Complete(&e); e.SubscriberUUID != testSubscriber || e.Evidence != EvidenceVERP {
		t.Errorf("VERP: %+v", e)
	}
	e = event.Event{SubscriberUUID: otherSubscriber, Sender: "b+" + testSubscriber + "@news.example"}
	if v.Complete(&e); e.SubscriberUUID != otherSubscriber || e.Evidence != "" {
		t.Errorf("VERP over what is known: %+v", e)
	}
}

func TestProof(t *testing.T) {
	for name, c := range map[string]struct {
		add  func(*Proof)
		want Proof
	}{
		"unsubscribe link": {func(p *Proof) {
			p.AddUnsubscribe("<https://l.example/subscription/" + testCampaign + "/" + testSubscriber + ">")
		},
			Proof{Subscriber: testSubscriber, Campaign: testCampaign, Evidence: EvidenceUUID}},
		"a link that is cut off": {func(p *Proof) { p.AddUnsubscribe("<https://l.example/subscription/" + testCampaign + "/5b5b") }, Proof{}},
		"quoted fields": {func(p *Proof) {
			p.AddRaw("> X-Listmonk-Campaign: " + testCampaign + "\n> X-LISTMONK-Subscriber: " + testSubscriber)
		},
			Proof{Subscriber: testSubscriber, Campaign: testCampaign, Evidence: EvidenceUUID}},
		"VERP, wrapped by a forwarder": {func(p *Proof) { p.AddVERP("SRS0=a=b=news.example=b+" + testSubscriber + "@f.example") },
			Proof{Subscriber: testSubscriber, Evidence: EvidenceVERP}},
		"classic VERP names and proves nothing": {func(p *Proof) { p.AddVERP("b+jo=example.org@news.example") }, Proof{Recipient: "jo@example.org"}},
		"two subscribers": {func(p *Proof) {
			p.AddVERP("b+" + testSubscriber + "@news.example")
			p.AddMessageID(testCampaign + "." + otherSubscriber + "@news.example")
			p.AddVERP("b+" + testSubscriber + "@news.example")
		}, Proof{conflict: true}},
		"a test mail": {func(p *Proof) { p.Add(NoUUID, testCampaign, EvidenceUUID) }, Proof{}},
	} {
		var p Proof
		if c.add(&p); p != c.want {
			t.Errorf("%s: %+v, expected %+v", name, p, c.want)
		}
	}
}

func TestCleanMessageID(t *testing.T) {
	for in, want := range map[string]string{"<a@b>": "a@b", " <a@b> (comment)": "a@b", "a@b c": "a@b", "": "", "<a@b": "a@b"} {
		if got := CleanMessageID(in); got != want {
			t.Errorf("CleanMessageID(%q) = %q", in, got)
		}
	}
}

func FuzzListmonk(f *testing.F) {
	f.Add("b+"+testSubscriber+"@news.example", "*+UUID@*")
	f.Add("X-Listmonk-Subscriber: "+testSubscriber+"\nsubscription/"+testCampaign+"/"+testSubscriber, "UUID")
	f.Fuzz(func(t *testing.T, s, pattern string) {
		var p Proof
		p.AddVERP(s)
		p.AddRaw(s)
		p.AddUnsubscribe(s)
		p.AddMessageID(CleanMessageID(s))
		found := []string{p.Subscriber, p.Campaign, UUID(s), FirstUUID(s)}
		if v, err := NewVERP(pattern); err == nil {
			found = append(found, v.Subscriber(s))
		}
		for _, u := range found {
			if u != "" && (!IsUUID(u) || u != strings.ToLower(u) || !strings.Contains(strings.ToLower(s), u)) {
				t.Errorf("%q in %q", u, s)
			}
		}
		if p.Subscriber == NoUUID {
			t.Errorf("a test mail's UUID in %q", s)
		}
	})
}
