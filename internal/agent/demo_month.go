package agent

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// demoProvider is one of those to whom the demo's lists send, and what befalls them there.
type demoProvider struct {
	share   int // of a thousand recipients
	relay   string
	domains []string
	hard    int // of a thousand mails to it
	putOff  int
	later   string // what it says to those that it puts off
	refuses demoSpell
	delays  demoSpell
}

// demoSpell is a time in which a provider says something to so many of a thousand.
type demoSpell struct {
	from, to int // days ago
	share    int
	said     string
}

var demoProviders = []demoProvider{
	{share: 450, relay: "gmail-smtp-in.l.google.com[192.0.2.27]", domains: []string{"gmail.com", "googlemail.com", "club.example", "school.example"}, hard: 7, putOff: 18,
		later:   "421-4.7.28 Gmail has detected an unusual rate of mail from your address. 421 4.7.28 To protect our users, it was rate limited (in reply to end of DATA command)",
		refuses: demoSpell{28, 0, 2, "550-5.7.1 Our system has detected that this message is likely unsolicited mail. 550 5.7.1 To reduce the amount of spam it has been blocked (in reply to end of DATA command)"}},
	{share: 130, relay: "firm-example.mail.protection.outlook.com[192.0.2.52]", domains: []string{"firm.example", "works.example", "office.example"}, hard: 19, putOff: 34,
		later:   "451 4.7.500 Server busy. Please try again later (in reply to MAIL FROM command)",
		refuses: demoSpell{56, 0, 4, "550 5.7.515 Access denied, sending domain news.example.com does not meet the required authentication level (in reply to end of DATA command)"}},
	{share: 100, relay: "mta7.am0.yahoodns.net[192.0.2.67]", domains: []string{"yahoo.com", "yahoo.de", "aol.com"}, hard: 9, putOff: 20,
		later:  "421 4.7.0 [TSS04] Messages from 203.0.113.5 temporarily deferred due to unexpected volume or user complaints (in reply to MAIL FROM command)",
		delays: demoSpell{5, 0, 380, ""}},
	{share: 90, relay: "mx00.emig.gmx.net[192.0.2.41]", domains: []string{"gmx.de", "gmx.net", "web.de"}, hard: 8, putOff: 5,
		later:   "421 gmx.net (mxgmx016) Nemesis ESMTP Service not available, service not available (in reply to initial server greeting)",
		refuses: demoSpell{21, 18, 160, "554 gmx.net (mxgmx106) Nemesis ESMTP Service not available, no SMTP service. Bad DNS PTR resource record (in reply to initial server greeting)"}},
	{share: 80, relay: "outlook-com.olc.protection.outlook.com[192.0.2.33]", domains: []string{"outlook.com", "hotmail.com", "live.com"}, hard: 15, putOff: 22,
		later:   "451 4.7.650 The mail server [203.0.113.5] has been temporarily rate limited due to IP reputation (in reply to MAIL FROM command)",
		refuses: demoSpell{6, 0, 420, "550 5.7.1 Unfortunately, messages from [203.0.113.5] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150). (in reply to MAIL FROM command)"}},
	{share: 35, relay: "mx00.t-online.de[192.0.2.73]", domains: []string{"t-online.de"}, hard: 8, putOff: 4,
		later: "421 4.7.0 Too many connections from your host (in reply to initial server greeting)"},
	{share: 30, relay: "mx01.mail.icloud.com[192.0.2.80]", domains: []string{"icloud.com", "me.com"}, hard: 7, putOff: 7,
		later: "450 4.2.2 Mailbox is over quota, try again later (in reply to RCPT TO command)"},
	{share: 22, relay: "mx0a-00148501.pphosted.com[192.0.2.91]", domains: []string{"bank.example", "insurance.example"}, hard: 20, putOff: 80,
		later:   "451 4.7.1 Greylisted, please try again in 300 seconds (in reply to RCPT TO command)",
		refuses: demoSpell{56, 0, 20, "554 5.7.0 Blocked - see https://ipcheck.proofpoint.com/?ip=203.0.113.5 (in reply to MAIL FROM command)"}},
	{share: 15, relay: "eu-smtp-inbound-1.mimecast.com[192.0.2.96]", domains: []string{"lawyers.example"}, hard: 13, putOff: 140,
		later: "451 4.7.1 Internal resource temporarily unavailable - greylisted (in reply to RCPT TO command)"},
	{share: 48, relay: "mx.%s[192.0.2.110]", domains: []string{"shop.example", "cafe.example", "museum.example", "choir.example", "garden.example", "library.example"}, hard: 24, putOff: 40,
		later: "450 4.7.1 Greylisted, try again later (in reply to RCPT TO command)"},
}

// demoWeek is how much is sent on which weekday, from Sunday on: a newsletter on Tuesdays, a smaller one on Thursdays.
var demoWeek = [7]int{600, 900, 2200, 1000, 1600, 900, 700}

var demoTypos = []string{"gamil.com", "gmial.com", "hotmial.com", "yaho.com"}

// demoDays is how long the demo's log is: what the page shows, and as long before.
const demoDays = 56

// demoMonth writes the log of a mail server that sends newsletters: a big provider blocks it since a week, another puts it
// off, a third did refuse it and no longer does, and some have mistyped their addresses. The same now gives the same log.
func demoMonth(now time.Time) []byte {
	m := &demoServer{now: now, random: rand.New(rand.NewPCG(8, 26))}
	for ago := demoDays; ago >= 0; ago-- {
		day := now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -ago)
		for range demoWeek[day.Weekday()] {
			hour := 6 + m.random.IntN(4) + m.random.IntN(3)*m.random.IntN(5)
			m.send(day.Add(time.Duration(hour)*time.Hour+time.Duration(m.random.IntN(3600*1000))*time.Millisecond), ago)
		}
	}
	slices.SortStableFunc(m.lines, func(a, b demoLine) int { return a.at.Compare(b.at) })
	var b bytes.Buffer
	for _, l := range m.lines {
		if l.at.Before(now) {
			fmt.Fprintf(&b, "%s mail postfix/%s\n", l.at.Format("2006-01-02T15:04:05.000000-07:00"), l.text)
		}
	}
	return b.Bytes()
}

type demoServer struct {
	now    time.Time
	random *rand.Rand
	lines  []demoLine
	sent   int
}

type demoLine struct {
	at   time.Time
	text string
}

func (m *demoServer) line(at time.Time, format string, args ...any) {
	m.lines = append(m.lines, demoLine{at, fmt.Sprintf(format, args...)})
}

func (m *demoServer) of1000(n int) bool { return m.random.IntN(1000) < n }

func (s demoSpell) holds(ago int) bool { return s.share > 0 && ago <= s.from && ago >= s.to }

// send writes one mail's life.
func (m *demoServer) send(at time.Time, ago int) {
	m.sent++
	id := fmt.Sprintf("4%010X", 0xC0FFEE000+m.sent*7)
	p := m.pick()
	domain := p.domains[m.random.IntN(len(p.domains))]
	relay := p.relay
	if relay[:3] == "mx." {
		relay = fmt.Sprintf(relay, domain)
	}
	to := fmt.Sprintf("reader%d@%s", m.random.IntN(40_000), domain)
	if p.share == 450 && m.of1000(3) { // who meant Gmail
		m.sendMistyped(at, id)
		return
	}
	m.open(at, id)
	attempt := func(at time.Time, delay time.Duration, format string, args ...any) {
		m.line(at, "smtp[814]: %s: to=<%s>, relay=%s:25, delay=%.1f, delays=0/0/0.1/0.1, %s", id, to, relay, delay.Seconds(), fmt.Sprintf(format, args...))
	}
	end := at.Add(time.Second)
	putOff := p.putOff
	if p.delays.holds(ago) {
		putOff = p.delays.share
	}
	refused := p.refuses.holds(ago) && m.of1000(p.refuses.share)
	if !refused && m.of1000(putOff) {
		wait := 4 * time.Minute
		for range 1 + m.random.IntN(4) {
			attempt(end, end.Sub(at), "dsn=%s, status=deferred (host %s said: %s)", demoStatus(p.later, "4.0.0"), relay, p.later)
			end = end.Add(wait + time.Duration(m.random.IntN(60))*time.Second)
			wait *= 2 + time.Duration(m.random.IntN(3))
		}
		if m.of1000(30) { // still waits when the log ends
			return
		}
	}
	if relay != p.relay && m.of1000(8) { // nobody answers there
		for range 3 {
			m.line(end, "smtp[814]: %s: to=<%s>, relay=none, delay=%.1f, delays=0/0/30/0, dsn=4.4.1, status=deferred (connect to %s:25: Connection timed out)", id, to, end.Sub(at).Seconds(), relay)
			end = end.Add(12 * time.Hour)
		}
		m.line(end, "qmgr[813]: %s: from=<%s>, status=expired, returned to sender", id, demoNews)
		m.line(end.Add(time.Millisecond), "qmgr[813]: %s: removed", id)
		return
	}
	switch {
	case refused:
		attempt(end, end.Sub(at), "dsn=%s, status=bounced (host %s said: %s)", demoStatus(p.refuses.said, "5.0.0"), relay, p.refuses.said)
	case m.of1000(p.hard):
		attempt(end, end.Sub(at), "dsn=5.1.1, status=bounced (host %s said: 550 5.1.1 The email account that you tried to reach does not exist (in reply to RCPT TO command))", relay)
	case m.of1000(3):
		attempt(end, end.Sub(at), "dsn=5.2.2, status=bounced (host %s said: 552 5.2.2 The recipient's mailbox is over quota (in reply to RCPT TO command))", relay)
	default:
		attempt(end, end.Sub(at), "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as %X)", m.random.Uint32())
	}
	m.line(end.Add(time.Millisecond), "qmgr[813]: %s: removed", id)
}

func (m *demoServer) open(at time.Time, id string) {
	m.line(at, "smtpd[811]: %s: client=lists.example.com[10.0.0.80]", id)
	m.line(at.Add(time.Millisecond), "cleanup[812]: %s: message-id=<%s@news.example.com>", id, id)
	m.line(at.Add(2*time.Millisecond), "qmgr[813]: %s: from=<%s>, size=27110, nrcpt=1 (queue active)", id, demoNews)
}

func (m *demoServer) sendMistyped(at time.Time, id string) {
	domain := demoTypos[m.random.IntN(len(demoTypos))]
	m.open(at, id)
	m.line(at.Add(time.Second), "smtp[814]: %s: to=<reader%d@%s>, relay=none, delay=1, delays=0/0/1/0, dsn=5.4.4, status=bounced (Host or domain name not found. Name service error for name=%s type=AAAA: Host not found)",
		id, m.sent, domain, domain)
	m.line(at.Add(2*time.Second), "qmgr[813]: %s: removed", id)
}

// demoStatus is the enhanced status code in a reply, as Postfix logs it.
func demoStatus(said, without string) string {
	for word := range strings.FieldsSeq(said) {
		if len(word) >= 5 && word[1] == '.' && word[0] == without[0] && strings.Count(word, ".") == 2 && strings.Trim(word, "0123456789.") == "" {
			return word
		}
	}
	return without
}

func (m *demoServer) pick() *demoProvider {
	n := m.random.IntN(1000)
	for i := range demoProviders {
		if n -= demoProviders[i].share; n < 0 {
			return &demoProviders[i]
		}
	}
	return &demoProviders[0]
}
