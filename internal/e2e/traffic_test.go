package e2e

import (
	"cmp"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
)

// want is one delivery: a failure that must be reported once, or, if its scenario has no type, one to be silent about.
type want struct {
	recipient  string // as the sender knows it
	scenario   scenario
	messageID  string
	queueID    string
	campaign   string
	subscriber string
	sent       time.Time
	several    bool // recipients of the message
}

// How a mail tells campaign and subscriber.
const (
	anonymous  = ""           // it does not
	inHeaders  = "headers"    // X-Listmonk-Campaign and -Subscriber, which header_checks logs
	inID       = "message-id" // <campaign.subscriber@…>
	inEnvelope = "verp"       // envelope sender b+subscriber@…
	asTest     = "test"       // the headers hold the all-zero UUID, as in listmonk's test mails: nothing must be reported
)

// letter is one message to submit. Zero values: port 25, anonymous, sender bounces@news.test.
type letter struct {
	port       string
	identified string
	sender     string
	messageID  string
	names      []string // one new recipient for each of these scenarios
	to         []string // and these recipients
}

// traffic sends mail through Postfix or Exim and keeps the book of what must come of it.
type traffic struct {
	n     int // numbers recipients, UUIDs and messages
	wants []want
}

// send submits one message. It returns what it added to the book.
func (tr *traffic) send(t *testing.T, l letter) []want {
	t.Helper()
	for _, name := range l.names {
		tr.n++
		l.to = append(l.to, named(name).address(tr.n))
	}
	tr.n++
	w := want{messageID: cmp.Or(l.messageID, fmt.Sprintf("m%d@news.test", tr.n)), sent: time.Now()}
	l.sender = cmp.Or(l.sender, "bounces@news.test")
	campaign, subscriber := uuid(1, tr.n), uuid(2, tr.n)
	w.several = len(l.to) > 1
	var headers string
	switch l.identified {
	case inHeaders, asTest:
		if l.identified == asTest {
			campaign, subscriber = noUUID, noUUID
		}
		w.campaign, w.subscriber = campaign, subscriber
		headers = "X-Listmonk-Campaign: " + campaign + "\r\nX-Listmonk-Subscriber: " + subscriber + "\r\n"
	case inID:
		w.campaign, w.subscriber = campaign, subscriber
		w.messageID = campaign + "." + subscriber + "@news.test"
	case inEnvelope:
		w.subscriber = subscriber
		l.sender = "b+" + subscriber + "@news.test"
	}
	body := fmt.Sprintf("From: News <news@news.test>\r\nTo: %s\r\nSubject: Letter %d\r\nMessage-ID: <%s>\r\n%sDate: %s\r\n\r\nHello.\r\n",
		strings.Join(l.to, ", "), tr.n, w.messageID, headers, w.sent.Format(time.RFC1123Z))
	reply, err := submit(cmp.Or(l.port, smtpPort), message{from: l.sender, to: l.to, body: []byte(body)})
	if err != nil {
		t.Fatalf("submit a message: %v", err)
	}
	for _, words := range []string{"queued as ", "OK id="} { // Postfix's, Exim's
		if _, id, ok := strings.Cut(reply, words); ok {
			w.queueID = id
		}
	}
	var sent []want
	for _, r := range l.to {
		w.recipient, w.scenario = r, scenarioOf(aliased(r))
		if l.identified == asTest {
			w.scenario.typ = ""
		}
		sent = append(sent, w)
	}
	tr.wants = append(tr.wants, sent...)
	return sent
}

// aliased is where Postfix's virtual_alias_maps sends r.
func aliased(r string) string {
	if r == alias {
		return aliasTarget
	}
	return r
}

const noUUID = "00000000-0000-0000-0000-000000000000"

// uuid makes the nth UUID of a kind.
func uuid(kind, n int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", kind, n) }

// submit is an SMTP client: one transaction, all recipients must be accepted. It returns the answer to the data,
// "250 2.0.0 Ok: queued as 4XyZ…".
func submit(addr string, m message) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, e2etest.Patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(e2etest.Patience)); err != nil {
		return "", err
	}
	c := textproto.NewConn(conn)
	if _, _, err := c.ReadResponse(220); err != nil {
		return "", err
	}
	say := func(want int, format string, args ...any) (text string, err error) {
		if err = c.PrintfLine(format, args...); err == nil {
			var code int
			code, text, err = c.ReadResponse(want)
			text = fmt.Sprintf("%d %s", code, text)
		}
		return text, err
	}
	lines := []string{"EHLO client.sender.test", "MAIL FROM:<" + m.from + ">"}
	for _, to := range m.to {
		lines = append(lines, "RCPT TO:<"+to+">")
	}
	for _, line := range lines {
		if _, err := say(250, "%s", line); err != nil {
			return "", fmt.Errorf("%s: %w", line, err)
		}
	}
	if _, err := say(354, "DATA"); err != nil {
		return "", err
	}
	w := c.DotWriter()
	if _, err := w.Write(m.body); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	_, text, err := c.ReadResponse(250)
	if err != nil {
		return "", fmt.Errorf("end of data: %w", err)
	}
	_ = c.PrintfLine("QUIT")
	return "250 " + text, nil
}

func listening(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil
}
