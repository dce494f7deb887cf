package mail

import (
	"slices"
	"strings"

	"bouncefeed/internal/address"
	"bouncefeed/internal/listmonk"
	"bouncefeed/internal/text"
)

// ownAddresses are ours: to which a report came, and which sent what it returns. None of them is who failed, whatever a
// broken report says.
type ownAddresses struct {
	m      *message
	sender string // the envelope sender that a report gives
}

func (m *message) ownAddresses(sender string) *ownAddresses { return &ownAddresses{m, sender} }

// The fields that hold them, in a report and in what it returns.
var (
	fieldsOfReport   = []string{"To", "Delivered-To", "X-Original-To", "Envelope-To"}
	fieldsOfReturned = []string{"Return-Path", "From", "Sender", "Reply-To"}
)

// has says whether addr is one of them, or what VERP makes of one: "bounces+jo=example.org@lists.example.com", or with a UUID. Who wrote the
// returned message may have sent it to himself as well, not so a list.
func (own *ownAddresses) has(addr string) bool {
	is := func(o string) bool { return isOrVERP(o, addr) }
	ours := own.sender != "" && is(own.sender) || own.m.header.haveAddress(fieldsOfReport, addr, is) ||
		own.m.returned.header.haveAddress(fieldsOfReturned, addr, is)
	return ours && !own.m.isReturnedTo(addr) || own.m.returned.header.haveAddress([]string{"List-Post"}, addr, is)
}

// haveAddress says whether is knows an address in the first field of one of these names; those further down are older, and
// others' may be among them. Only fields with the domain of addr are read.
func (h header) haveAddress(names []string, addr string, is func(string) bool) bool {
	domain := strings.ToLower(addr[strings.LastIndexByte(addr, '@')+1:])
	if domain == "" {
		return false
	}
	return slices.ContainsFunc(names, func(name string) bool {
		v := h.get(name)
		return text.IndexFold(v, domain) >= 0 && slices.ContainsFunc(address.List(v), is)
	})
}

func isOrVERP(own, addr string) bool {
	if address.Same(own, addr) {
		return true
	}
	at := strings.LastIndexByte(own, '@')
	if at < 1 || !strings.Contains(addr, "@") || len(addr) <= len(own) || !address.SameDomain(own, addr) || !strings.EqualFold(addr[:at], own[:at]) {
		return false
	}
	detail := addr[at:strings.LastIndexByte(addr, '@')]
	return len(detail) > 1 && (detail[0] == '+' || detail[0] == '-') && (strings.Contains(detail, "=") || listmonk.FirstUUID(detail) != "")
}

// isReturnedTo says whether the returned message's To names addr, if only by its local part: "To: root".
func (m *message) isReturnedTo(addr string) bool {
	local, _, _ := strings.Cut(addr, "@")
	found := false
	m.returned.header.each("To", func(v string) { found = found || strings.EqualFold(strings.Trim(v, " <>"), local) })
	return found || slices.ContainsFunc(m.returned.to, func(to string) bool { return address.Same(to, addr) })
}
