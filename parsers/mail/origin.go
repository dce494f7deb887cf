package mail

import (
	"strings"

	"bouncefeed/internal/address"
)

// originMarks are how Exim, Postfix and sendmail say which address another one was made of, in a line of its own or right
// behind it.
var originMarks = []string{"(generated from", ancestorMark, "(expanded from"}

// ancestorMark is Exim's for an alias of an alias.
const ancestorMark = "(ultimately generated from"

// originIn reads "(generated from jo@example.org)". ok: words begin with such a mark, whether or not the address is in the
// same line.
func originIn(words string) (addr string, ok bool) {
	if !strings.HasPrefix(words, "(") {
		return "", false
	}
	for _, mark := range originMarks {
		rest, found := strings.CutPrefix(words, mark)
		if !found {
			continue
		}
		end := strings.LastIndexByte(rest, ')')
		if colon := strings.Index(rest, "):"); colon >= 0 {
			end = colon
		}
		return address.Of(strings.TrimLeft(rest[:max(end, 0)], ": \t")), true
	}
	return "", false
}

// origin is what addr was made of by an alias or a forward, as the text says, unless the returned message was addressed to addr
// itself; "" if there is none. It is to whom we wrote, and never the sender, who may write to himself.
func (m *message) origin(addr string) string {
	from, mark := m.generatedFrom(addr)
	switch {
	case from == "",
		m.isReturnedTo(addr) && !m.isReturnedTo(from),
		mark == ancestorMark && !m.isReturnedTo(from):
		return ""
	}
	for _, name := range []string{"From", "Return-Path"} {
		for _, a := range m.returned.header.addresses(name) {
			if address.Same(a, from) {
				return ""
			}
		}
	}
	return from
}

// generatedFrom reads what stands right behind addr where that begins a line: a remote server's reply, which a report quotes,
// can be no such line.
//
//	jo@other.example
//	  (generated from jo@example.org)
func (m *message) generatedFrom(addr string) (from, mark string) {
	if addr == "" || !strings.Contains(m.body, "generated from") && !strings.Contains(m.body, "(expanded from") {
		return "", ""
	}
	lines := m.folded.lines()
	for i, line := range lines {
		spans := address.Find(line)
		if len(spans) == 0 || !standsFirst(line[:spans[0].Start]) || !address.Same(spans[0].Addr, addr) {
			continue
		}
		words := strings.TrimLeft(line[spans[0].End:], ">: \t")
		for next := i + 1; next < min(len(lines), i+4) && (words == "" || strings.HasPrefix(words, "(reason:")); next++ {
			words = strings.TrimSpace(lines[next])
			i = next
		}
		if !strings.Contains(words, "@") && i+1 < len(lines) { // folded
			words += " " + strings.TrimSpace(lines[i+1])
		}
		if from, ok := originIn(words); ok && from != "" {
			if strings.HasPrefix(words, ancestorMark) {
				return from, ancestorMark
			}
			return from, ""
		}
	}
	return "", ""
}
