package parsers

import (
	"bouncefeed/internal/text"
	"strings"
)

// mailProof is what a message says about which of our messages it is: the UUIDs of listmonk's own headers, of a
// Message-ID `<campaign.subscriber@…>`, of an unsubscribe link, or of a VERP address. A UUID cannot be guessed, so it
// is evidence that the sender of the report has seen our message.
type mailProof struct {
	subscriber, campaign string
	evidence             string // "uuid" or "verp"
	conflict             bool   // two subscribers: a message with two readings proves nothing
	recipient            string // from `bounce+jo=example.org@`: the envelope recipient, but anybody can write that
}

func (p *mailProof) add(subscriber, campaign, evidence string) {
	if subscriber == "" || subscriber == noUUID || p.conflict {
		return
	}
	if p.subscriber != "" && p.subscriber != subscriber {
		*p = mailProof{conflict: true, recipient: p.recipient}
		return
	}
	p.subscriber = subscriber
	if p.campaign == "" && campaign != noUUID {
		p.campaign = campaign
	}
	if p.evidence == "" {
		p.evidence = evidence
	}
}

// addReturned looks at the header of a returned message.
func (p *mailProof) addReturned(h mailHeader) {
	campaign := firstUUID(h.text("X-Listmonk-Campaign"))
	p.add(firstUUID(h.text("X-Listmonk-Subscriber")), campaign, evidenceUUID)
	p.addPair(messageIDUUIDs(cleanMessageID(h.get("Message-ID"))))
	h.each("List-Unsubscribe", func(v string) { p.addUnsubscribe(v) })
	h.each("Return-Path", func(v string) { p.addVERP(cleanAddress(v)) })
}

func (p *mailProof) addPair(campaign, subscriber string) { p.add(subscriber, campaign, evidenceUUID) }

// addUnsubscribe reads listmonk's `https://lists.example.com/subscription/CAMPAIGN/SUBSCRIBER`.
func (p *mailProof) addUnsubscribe(v string) {
	_, path, _ := strings.Cut(v, "/subscription/")
	if len(path) > 2*uuidLength && path[uuidLength] == '/' {
		p.addPair(messageIDUUIDs(path[:uuidLength] + "." + path[uuidLength+1:2*uuidLength+1] + "@"))
	}
}

// addVERP reads an address to which the report came: `b+SUBSCRIBER@`, `b+CAMPAIGN.SUBSCRIBER@`, or the classic
// `b+jo=example.org@`. The latter names the recipient and proves nothing.
func (p *mailProof) addVERP(addr string) {
	local, _, found := strings.Cut(peelAddress(addr), "@")
	if !found {
		return
	}
	if first := firstUUID(local); first != "" {
		_, rest, _ := strings.Cut(strings.ToLower(local), first)
		if second := firstUUID(rest); second != "" {
			p.add(second, first, evidenceVERP)
		} else {
			p.add(first, "", evidenceVERP)
		}
		return
	}
	if _, encoded, found := strings.Cut(local, "+"); found && p.recipient == "" {
		if eq := strings.LastIndexByte(encoded, '='); eq > 0 && plausibleDomain(encoded[eq+1:]) {
			p.recipient = encoded[:eq] + "@" + encoded[eq+1:]
		}
	}
}

func plausibleDomain(s string) bool {
	dot := strings.LastIndexByte(s, '.')
	if dot < 1 || len(s)-dot < 3 {
		return false
	}
	for i := range len(s) {
		if !isDomainByte(s[i]) {
			return false
		}
	}
	return s[len(s)-1] > '9'
}

// addRaw finds listmonk's two fields wherever else they stand: in text that quotes the returned header, or deeper than
// the structure is followed.
func (p *mailProof) addRaw(words string) {
	if p.subscriber != "" || p.conflict {
		return
	}
	const field = "x-listmonk-"
	var subscriber, campaign string
	for at := text.IndexFold(words, field); at >= 0; {
		rest := words[at+len(field):]
		line, _, _ := strings.Cut(rest[:min(len(rest), 160)], "\n")
		if u := firstUUID(line); u != "" {
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
	p.add(subscriber, campaign, evidenceUUID)
}

// peelAddress takes off what forwarders wrap around an envelope address: BATV (`prvs=TAG=jo@`, `prvs=jo/TAG@`,
// `btv1==TAG==jo@`) and SRS (`SRS0=HASH=TT=example.org=jo@forwarder`, `SRS1=HASH=forwarder==HASH=TT=example.org=jo@`).
func peelAddress(addr string) string {
	for range 4 {
		local, domain, found := strings.Cut(addr, "@")
		if !found {
			return addr
		}
		inner, innerDomain := peelOnce(local)
		if inner == "" {
			return addr
		}
		if innerDomain != "" {
			domain = innerDomain
		}
		addr = inner + "@" + domain
	}
	return addr
}

func peelOnce(local string) (inner, domain string) {
	switch {
	case text.HasPrefixFold(local, "prvs="):
		tag, rest, found := strings.Cut(local[5:], "=")
		if before, _, slashed := strings.Cut(tag, "/"); slashed && !found {
			return before, ""
		}
		return rest, ""
	case text.HasPrefixFold(local, "btv1=="):
		_, rest, _ := strings.Cut(local[6:], "==")
		return rest, ""
	case text.HasPrefixFold(local, "SRS0") && len(local) > 5:
		parts := strings.SplitN(local[5:], "=", 4) // hash, day, domain, local part
		if len(parts) == 4 {
			return parts[3], parts[2]
		}
	case text.HasPrefixFold(local, "SRS1") && len(local) > 5:
		_, rest, _ := strings.Cut(local[5:], "==")
		parts := strings.SplitN(strings.TrimLeft(rest, "=+-"), "=", 4)
		if len(parts) == 4 {
			return parts[3], parts[2]
		}
	}
	return "", ""
}

const noUUID = "00000000-0000-0000-0000-000000000000" // listmonk's test messages

// firstUUID is the first UUID in s, in lower case; listmonk's dummy does not count.
func firstUUID(s string) string {
	const n = 36
	for i := 8; i+n-8 <= len(s); i++ {
		if s[i] != '-' || !isUUID(s[i-8:i-8+n]) {
			continue
		}
		if u := strings.ToLower(s[i-8 : i-8+n]); u != noUUID {
			return u
		}
	}
	return ""
}

func isUUID(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if !('0' <= s[i] && s[i] <= '9' || 'a' <= c && c <= 'f') {
				return false
			}
		}
	}
	return len(s) == 36
}

// cleanMessageID takes the angle brackets and comments off a Message-ID.
func cleanMessageID(v string) string {
	if _, after, found := strings.Cut(v, "<"); found {
		v, _, _ = strings.Cut(after, ">")
	}
	v, _, _ = strings.Cut(strings.TrimSpace(v), " ")
	return v
}

// eximQueueID finds the id that Exim gave the returned message in the Received field it wrote itself, the topmost:
// "by mx.example.org with esmtps (Exim 4.98) … id 1tABCD-00000001abc-1AbC".
func eximQueueID(h mailHeader) (id, host string) {
	h.each("Received", func(v string) {
		if id != "" || !strings.Contains(v, "Exim") {
			return
		}
		if _, after, found := strings.Cut(v, " id "); found {
			candidate, _, _ := strings.Cut(strings.TrimSpace(after), " ")
			if candidate = strings.TrimSuffix(candidate, ";"); isEximID(candidate) {
				id = candidate
			}
		}
		if _, after, found := strings.Cut(" "+v, " by "); found && id != "" {
			host, _, _ = strings.Cut(after, " ")
		}
	})
	return id, host
}

// isEximID knows both lengths: 6-6-2 and, since Exim 4.97, 6-11-4.
func isEximID(s string) bool {
	if len(s) != 16 && len(s) != 23 {
		return false
	}
	last := map[int]int{16: 13, 23: 18}[len(s)]
	for i := range len(s) {
		isDash := i == 6 || i == last
		if c := s[i]; isDash != (c == '-') || !isDash && !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z') {
			return false
		}
	}
	return true
}
