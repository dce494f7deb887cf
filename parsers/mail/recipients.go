package mail

import (
	"slices"
	"strings"

	"bouncefeed/internal/address"
	"bouncefeed/internal/text"
)

// failures finds who failed: what the header says, else what the text says, else what the page says that stands beside
// the text, else the first of the lesser sources. The last resort is a failure of nobody: a bounce to be counted. The
// second result is p, or the reading of the page where that one was needed.
func (p *prose) failures() ([]groupName, *prose) {
	var found []string
	p.header.each("X-Failed-Recipients", func(v string) {
		for _, a := range address.List(v) {
			found = addAddress(found, a)
		}
	})
	own := p.ownAddresses("")
	found = slices.DeleteFunc(found, own.has)
	if len(found) == 0 || !p.textNames(found) {
		if named := p.textRecipients(); len(named) > 0 {
			found = named
		}
	}
	if len(found) == 0 && len(p.pages) > 0 && len(p.texts) > 0 {
		p = newProse(p.page())
		found = p.textRecipients()
	}
	for i := 0; len(found) == 0 && i < len(recipientSources); i++ {
		found = slices.DeleteFunc(recipientSources[i].find(p), own.has)
	}
	return p.withOrigins(found), p
}

// withOrigins finds to whom we wrote for each of those who failed; where nothing names anybody, To does.
func (p *prose) withOrigins(found []string) []groupName {
	var names []groupName
	for _, a := range found {
		n := groupName{failed: a}
		if from := p.origin(a); from != "" {
			n = groupName{failed: from, other: a}
		}
		names = append(names, n)
	}
	if len(names) == 0 {
		names = []groupName{{}}
	}
	if names[0].failed == "" {
		names[0].failed = p.envelopeRecipient()
	}
	return names
}

// recipientSources are asked in their order who failed where the text doesn't say it of an address. Each is the first to
// know it in its sample, that dan@y.example failed.
var recipientSources = []struct {
	find   func(*prose) []string
	sample string
}{
	{
		(*prose).localRecipients,
		"From: MAILER-DAEMON@y.example\nSubject: Mail Delivery Problem\n\nYour mail to the following recipients could not be delivered:\n\tdan",
	},
	{
		(*prose).returnedRecipient,
		"From: MAILER-DAEMON@x.example\nSubject: failure notice\n\n--- Original message:\n\nReceived: by x.example\nFrom: bounces@lists.example.com\nTo: dan@y.example",
	},
	{
		(*prose).subjectRecipient,
		"From: MAILER-DAEMON@x.example\nSubject: Undeliverable mail for dan@y.example\n\nSorry.",
	},
	{
		(*prose).onlyMention,
		"From: MAILER-DAEMON@x.example\nSubject: failure notice\n\nIt is about dan@y.example here.",
	},
	{
		(*prose).envelopeName,
		"Delivered-To: b+dan=y.example@lists.example.com\nFrom: MAILER-DAEMON@x.example\nSubject: failure notice\n\nSorry.",
	},
}

// localRecipients reads AOL's way: "…to the following recipients could not be delivered…:" and the local parts alone, in that
// line or one in each of the next. The domain is the reporter's.
func (p *prose) localRecipients() []string {
	from := p.header.addresses("From")
	if len(from) != 1 || !p.from.daemon {
		return nil
	}
	domain := from[0][strings.LastIndexByte(from[0], '@'):]
	var found []string
	listed := false
	for _, line := range strings.Split(p.body, "\n") {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "following recipient") || p.refusesOurs(line) {
			end := strings.LastIndexByte(line, ':') + 1
			listed, line = end > 0, strings.TrimSpace(line[end:])
		}
		switch {
		case line == "":
		case listed && !strings.ContainsAny(line, " \t@:/"):
			found = addAddress(found, line+domain)
		default:
			listed = false
		}
	}
	return found
}

// refusesOurs knows "portal.example is not accepting mail from news@lists.example.com:" by the address that stands for ours.
func (p *prose) refusesOurs(line string) bool {
	spans := address.Find(line)
	if len(spans) != 1 || !strings.Contains(line, ": ") && !strings.HasSuffix(line, ":") {
		return false
	}
	return isSender(surroundings{before: text.Fold(line[:spans[0].Start])})
}

// returnedRecipient is to whom the returned message went, if that was one.
func (p *prose) returnedRecipient() []string {
	to := p.returned.to
	if len(to) != 1 || p.returned.header.has("Cc") || !address.Valid(to[0]) || p.returned.report != nil {
		return nil
	}
	return to
}

// subjectRecipient reads "Undeliverable mail for jo@example.org" and "Delivery failure (jo@example.org)". An address
// that the returned subject brought along stands behind a colon.
func (p *prose) subjectRecipient() []string {
	subject := p.header.text("Subject")
	spans := address.Find(subject)
	if len(spans) != 1 || strings.Contains(subject[:spans[0].Start], ":") {
		return nil
	}
	if from := p.from; !from.daemon && !from.null && !phrases.in(text.Fold(subject[:spans[0].Start])).have(phrases.failure.anySubject) {
		return nil
	}
	if p.knownAddresses().weight(spans[0].Addr) < 0 {
		return nil
	}
	return addAddress(nil, spans[0].Addr)
}

// onlyMention is the one address that the text has, if it is neither ours nor of the reporter's domain.
func (p *prose) onlyMention() []string {
	var found []string
	for _, c := range p.candidates() {
		if c.named() {
			found = addAddress(found, c.addr)
		}
	}
	if len(found) != 1 || hasRole(found[0], helpRoles) || p.ofReporter(found[0]) && hasRole(found[0], officeRoles) {
		return nil
	}
	return found
}

// envelopeName is whom the classic VERP address names to which the report came.
func (p *prose) envelopeName() []string {
	if p.returned.proof.Recipient == "" {
		return nil
	}
	return []string{p.returned.proof.Recipient}
}

// textNames says whether the text names one of addrs.
func (p *prose) textNames(addrs []string) bool {
	for _, a := range addrs {
		if strings.Contains(p.folded.words(), text.Fold(a)) {
			return true
		}
	}
	return false
}

// ofReporter says whether addr is in the domain of who sent the report.
func (m *message) ofReporter(addr string) bool {
	return slices.ContainsFunc(m.header.addresses("From"), func(from string) bool { return address.SameDomain(from, addr) })
}

// Local parts of those whom one asks about mail (RFC 2142 and its kind), and of an office that a report may name.
var (
	helpRoles = []string{"postmaster", "hostmaster", "webmaster", "abuse", "support", "helpdesk", "help", "noreply", "no-reply",
		"mailer-daemon", "security", "noc"}
	officeRoles = []string{"admin", "administrator", "contact", "kontakt", "info", "service", "root", "mailer"}
)

func hasRole(addr string, roles []string) bool {
	return slices.Contains(roles, strings.ToLower(addr[:strings.LastIndexByte(addr, '@')]))
}
