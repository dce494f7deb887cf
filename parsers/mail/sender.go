package mail

import (
	"slices"
	"strings"

	"bouncefeed/internal/text"
)

// sender is who wrote a message, as far as it can be told.
type sender struct {
	daemon bool // a mail system, by its From
	robot  bool // no person, by its From
	mailer bool // MAILER-DAEMON, which no postmaster signs with
	null   bool // no return path (RFC 5321 §4.5.5)
	path   bool // a return path
}

// undecorated takes out what a name may be written with or without.
var undecorated = strings.NewReplacer(" ", "", "-", "", ".", "", "_", "", `"`, "", "'", "", "\t", "")

func readSender(h header) sender {
	from := h.text("From")
	if from == "" {
		from = h.text("Sender")
	}
	name := undecorated.Replace(text.Fold(from))
	s := sender{daemon: phrases.places.daemon.In(name) || name == "<>", mailer: strings.Contains(name, "mailerdaemon")}
	if addrs := h.addresses("From"); len(addrs) > 0 {
		local, _, _ := strings.Cut(undecorated.Replace(text.Fold(addrs[0])), "@")
		s.robot = beginsWith(local, phrases.from.robot)
	}
	if path := strings.TrimSpace(h.get("Return-Path")); path != "" {
		path = strings.ToLower(strings.Trim(path, "<> "))
		s.path = path != ""
		s.null = path == "" || strings.HasPrefix(path, "mailer-daemon") || strings.HasPrefix(path, "postmaster@")
	}
	return s
}

// isHuman knows a reply to a bounce, or a bounce that somebody forwarded: it has the words of one and is none.
func (m *message) isHuman() bool {
	if m.typ == "multipart/report" {
		return false
	}
	if s := m.from; s.daemon || s.null {
		return false
	}
	subject := text.Fold(m.header.text("Subject"))
	if !replyPrefix(subject) {
		return false
	}
	if !phrases.in(subject).have(phrases.failure.anySubject) || m.header.has("In-Reply-To") || m.header.has("References") || forwardPrefix(subject) {
		return true
	}
	return strings.Contains(m.body, "\n>")
}

func forwardPrefix(subject string) bool {
	return !text.HasPrefixFold(subject, "re") && !text.HasPrefixFold(subject, "aw")
}

func replyPrefix(subject string) bool {
	for _, p := range []string{"re:", "fwd:", "fw:", "aw:", "wg:", "tr:", "rv:", "sv:", "vs:", "vb:", "vl:", "fs:", "rif:", "enc:", "res:", "ynt:", "ilt:", "doorst:", "pd:", "atb:", "r:", "i:", "odp:", "antw:", "回复:", "回覆:", "转发:", "轉寄:", "re[", "re :", "fwd :"} {
		if strings.HasPrefix(subject, p) {
			return true
		}
	}
	return false
}

// isChallenge knows a challenge dressed up as a delivery status: no mail system sent it, and it asks for something.
func (m *message) isChallenge() bool {
	if s := m.from; s.daemon || s.null {
		return false
	}
	return m.folded.in().have(phrases.challenge)
}

func beginsWith(s string, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(s, w) })
}
