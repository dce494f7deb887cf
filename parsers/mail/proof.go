package mail

import (
	"strings"

	"bouncefeed/internal/address"
	"bouncefeed/internal/listmonk"
	"bouncefeed/internal/smtp"
)

// proof is what a message says about which of our messages it is.
type proof struct{ listmonk.Proof }

// addReturned looks at the header of a returned message.
func (p *proof) addReturned(h header) {
	campaign := listmonk.FirstUUID(h.text("X-Listmonk-Campaign"))
	p.Add(listmonk.FirstUUID(h.text("X-Listmonk-Subscriber")), campaign, listmonk.EvidenceUUID)
	p.AddMessageID(listmonk.CleanMessageID(h.get("Message-ID")))
	h.each("List-Unsubscribe", func(v string) { p.AddUnsubscribe(v) })
	h.each("Return-Path", func(v string) { p.addVERP(v) })
}

// addVERP looks at the addresses of a field to which a report came. Few are longer than a UUID or have a "=", and only those
// are read.
func (p *proof) addVERP(field string) {
	if len(field) < listmonk.UUIDLength && strings.IndexByte(field, '=') < 0 {
		return
	}
	for _, a := range address.List(field) {
		p.AddVERP(a)
	}
}

// eximQueueID finds the id that Exim gave the returned message in the Received field it wrote itself, the topmost:
// "by mx.example.org with esmtps (Exim 4.98) … id 1tABCD-00000001abc-1AbC".
func eximQueueID(h header) (id, host string) {
	h.each("Received", func(v string) {
		if id != "" || !strings.Contains(v, "Exim") {
			return
		}
		if _, after, found := strings.Cut(v, " id "); found {
			candidate, _, _ := strings.Cut(strings.TrimSpace(after), " ")
			if candidate = strings.TrimSuffix(candidate, ";"); candidate != "" && smtp.EximIDLength(candidate) == len(candidate) {
				id = candidate
			}
		}
		if _, after, found := strings.Cut(" "+v, " by "); found && id != "" {
			host, _, _ = strings.Cut(after, " ")
		}
	})
	return id, host
}
