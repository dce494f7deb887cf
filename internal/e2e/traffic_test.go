package e2e

import (
	"fmt"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"
)

// want is one failed delivery that must be reported, or, without a type, one delivery that must not.
type want struct {
	Recipient  string // as the sender knows it
	Final      string // where an alias sent it, if not to Recipient
	Scenario   scenario
	Sender     string
	MessageID  string
	QueueID    string
	Campaign   string
	Subscriber string
	After      time.Time // not reported as happened before this
}

// How a mail tells campaign and subscriber: see README, "Whose mail is it".
const (
	anonymous  = ""           // it does not
	inHeaders  = "headers"    // X-Listmonk-Campaign and -Subscriber, logged by header_checks
	inID       = "message-id" // <campaign.subscriber@…>
	inEnvelope = "verp"       // envelope sender b+subscriber@…
)

// traffic sends mail through Postfix and keeps the book of what must come of it.
type traffic struct {
	n     int // recipients so far; numbers addresses, UUIDs and messages
	wants []want
}

// send submits one message to a recipient of each of the named scenarios.
func (tr *traffic) send(t *testing.T, port, identified string, names ...string) []want {
	t.Helper()
	var to []string
	for _, name := range names {
		tr.n++
		to = append(to, named(name).address(tr.n))
	}
	return tr.sendTo(t, port, identified, to...)
}

// sendTo submits one message to the given recipients.
func (tr *traffic) sendTo(t *testing.T, port, identified string, to ...string) []want {
	t.Helper()
	tr.n++
	w := want{Sender: "bounces@news.test", MessageID: fmt.Sprintf("m%d.%d@news.test", tr.n, time.Now().UnixNano()), After: time.Now()}
	campaign, subscriber := uuid(1, tr.n), uuid(2, tr.n)
	var headers string
	switch identified {
	case inHeaders:
		w.Campaign, w.Subscriber = campaign, subscriber
		headers = "X-Listmonk-Campaign: " + campaign + "\r\nX-Listmonk-Subscriber: " + subscriber + "\r\n"
	case inID:
		w.Campaign, w.Subscriber = campaign, subscriber
		w.MessageID = campaign + "." + subscriber + "@news.test"
	case inEnvelope:
		w.Subscriber = subscriber
		w.Sender = "b+" + subscriber + "@news.test"
	}
	body := fmt.Sprintf("From: News <news@news.test>\r\nTo: you\r\nSubject: Letter %d\r\nMessage-ID: <%s>\r\n%sDate: %s\r\n\r\nHello.\r\n",
		tr.n, w.MessageID, headers, time.Now().Format(time.RFC1123Z))
	reply, err := submit(port, message{from: w.Sender, to: to, body: []byte(body)})
	if err != nil {
		t.Fatalf("submit to Postfix at %s: %v", port, err)
	}
	_, w.QueueID, _ = strings.Cut(reply, "queued as ")
	var sent []want
	for _, r := range to {
		w.Recipient, w.Scenario = r, scenarioOf(r)
		sent = append(sent, w)
	}
	tr.wants = append(tr.wants, sent...)
	return sent
}

// bounces are the deliveries that must be reported.
func (tr *traffic) bounces() []want {
	return slices.DeleteFunc(slices.Clone(tr.wants), func(w want) bool { return w.Scenario.typ == "" })
}

// uuid makes the nth UUID of a kind.
func uuid(kind, n int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", kind, n) }

// submit is an SMTP client: one transaction, all recipients must be accepted. It returns the answer to the data,
// "250 2.0.0 Ok: queued as 4XyZ…".
func submit(addr string, m message) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
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
