package listmonk

import (
	"bouncefeed/internal/address"
	"bouncefeed/internal/text"
	"strings"
)

// Proof is what a message says about which of our messages it is: the UUIDs of listmonk's own headers, of a
// Message-ID `<campaign.subscriber@…>`, of an unsubscribe link, or of a VERP address. A UUID cannot be guessed, so it
// is evidence that the sender of the report has seen our message.
type Proof struct {
	Subscriber, Campaign string
	Evidence             string // EvidenceUUID or EvidenceVERP
	Recipient            string // from `bounce+jo=example.org@`: the envelope recipient, but anybody can write that
	conflict             bool   // two subscribers: a message with two readings proves nothing
}

// Add takes over what one place of the message says.
func (p *Proof) Add(subscriber, campaign, evidence string) {
	if subscriber == "" || subscriber == NoUUID || p.conflict {
		return
	}
	if p.Subscriber != "" && p.Subscriber != subscriber {
		*p = Proof{conflict: true, Recipient: p.Recipient}
		return
	}
	p.Subscriber = subscriber
	if p.Campaign == "" && campaign != NoUUID {
		p.Campaign = campaign
	}
	if p.Evidence == "" {
		p.Evidence = evidence
	}
}

// AddMessageID reads the returned message's Message-ID, without its angle brackets.
func (p *Proof) AddMessageID(id string) { p.addPair(MessageID(id)) }

func (p *Proof) addPair(campaign, subscriber string) { p.Add(subscriber, campaign, EvidenceUUID) }

// AddUnsubscribe reads listmonk's `https://lists.example.com/subscription/CAMPAIGN/SUBSCRIBER`.
func (p *Proof) AddUnsubscribe(v string) {
	_, path, _ := strings.Cut(v, "/subscription/")
	if len(path) > 2*UUIDLength && path[UUIDLength] == '/' {
		p.addPair(MessageID(path[:UUIDLength] + "." + path[UUIDLength+1:2*UUIDLength+1] + "@"))
	}
}

// AddVERP reads an address to which the report came: `b+SUBSCRIBER@`, `b+CAMPAIGN.SUBSCRIBER@`, or the classic
// `b+jo=example.org@`. The latter names the recipient and proves nothing.
func (p *Proof) AddVERP(addr string) {
	m, err := address.Parse(address.Peel(addr))
	if err != nil {
		return
	}
	local := m.Local
	if first := FirstUUID(local); first != "" {
		_, rest, _ := strings.Cut(strings.ToLower(local), first)
		if second := FirstUUID(rest); second != "" {
			p.Add(second, first, EvidenceVERP)
		} else {
			p.Add(first, "", EvidenceVERP)
		}
		return
	}
	if _, encoded, found := strings.Cut(local, "+"); found && p.Recipient == "" {
		if eq := strings.LastIndexByte(encoded, '='); eq > 0 && address.PlausibleDomain(encoded[eq+1:]) {
			p.Recipient = address.Mailbox{Local: encoded[:eq], Domain: encoded[eq+1:]}.String()
		}
	}
}

// AddRaw finds listmonk's two fields wherever else they stand: in text that quotes the returned header, or deeper than
// the structure is followed.
func (p *Proof) AddRaw(words string) {
	if p.Subscriber != "" || p.conflict {
		return
	}
	const field = "x-listmonk-"
	var subscriber, campaign string
	for at := text.IndexFold(words, field); at >= 0; {
		rest := words[at+len(field):]
		line, _, _ := strings.Cut(rest[:min(len(rest), 160)], "\n")
		if u := FirstUUID(line); u != "" {
			if text.HasPrefixFold(line, "subscriber") && subscriber == "" {
				subscriber = u
			} else if text.HasPrefixFold(line, "campaign") && campaign == "" {
				campaign = u
			}
		}
		next := text.IndexFold(rest, field)
		if next < 0 {
			break
		}
		at += len(field) + next
	}
	p.Add(subscriber, campaign, EvidenceUUID)
}
