package parsers

import "strings"

// diagnosisFor finds in the text what was said of a recipient: the lines that follow its address, else the reply that
// names it, else any reply, else what follows "because" or "reason", else the text's own words.
func (m *mailMessage) diagnosisFor(addr, other string) string {
	lines := strings.Split(m.body, "\n")
	lines = lines[:min(len(lines), textLinesToRead)]
	if d := paragraphOf(lines, addr); d != "" {
		return d
	}
	if other != "" {
		if d := paragraphOf(lines, other); d != "" {
			return d
		}
	}
	if d := replyIn(lines, addr); d != "" {
		return d
	}
	if d := labelledReason(lines); d != "" {
		return d
	}
	return cutText(collapse(m.body), 600)
}

// paragraphOf is what stands behind addr at the beginning of a line, and the lines after it up to a blank one.
func paragraphOf(lines []string, addr string) string {
	if addr == "" {
		return ""
	}
	for i, line := range lines {
		for _, s := range textAddresses(line) {
			if !sameAddress(s.addr, addr) || strings.Trim(line[:s.start], " \t>*-•|\"'(<") != "" {
				continue
			}
			said := append([]string{strings.TrimLeft(line[s.end:], ":.>)\"' \t")}, following(lines[i+1:])...)
			if d := joinLines(said, mailMaxDiagnostic/2); !saysNothing(d) {
				return d
			}
		}
	}
	return ""
}

// following are the lines that belong to an address above them: up to a blank line once something was said, to a ruled
// line, or to the next address.
func following(lines []string) []string {
	said := false
	for i, line := range lines[:min(len(lines), 20)] {
		text := strings.TrimSpace(line)
		switch {
		case text == "" && (said || i > 1):
			return lines[:i]
		case text == "":
		case strings.HasPrefix(text, "---") || strings.HasPrefix(text, "===") || strings.HasPrefix(text, "___"):
			return lines[:i]
		case beginsWithAddress(text):
			return lines[:i]
		default:
			said = true
		}
	}
	return lines[:min(len(lines), 20)]
}

func beginsWithAddress(text string) bool {
	spans := textAddresses(text)
	return len(spans) > 0 && strings.Trim(text[:spans[0].start], " \t>*-•<") == ""
}

// replyIn finds an SMTP reply with its continuation lines: the last one that names addr, else the last of all, which
// in a transcript is the one that decided.
func replyIn(lines []string, addr string) string {
	best, named := -1, false
	for i, line := range lines {
		code, _ := findReply(line)
		if code == 0 {
			continue
		}
		names := addr != "" && strings.Contains(strings.ToLower(line), strings.ToLower(addr))
		if names || !named {
			best, named = i, names
		}
	}
	if best < 0 {
		return ""
	}
	start := best
	for start > 0 && strings.TrimSpace(lines[start-1]) != "" && best-start < 8 {
		if code, at := findReply(lines[start-1]); code == 0 || at > 8 {
			break
		}
		start--
	}
	return joinLines(following2(lines[start:]), mailMaxDiagnostic/2)
}

// following2 are lines up to the first blank or ruled one.
func following2(lines []string) []string {
	for i, line := range lines[:min(len(lines), 16)] {
		if text := strings.TrimSpace(line); text == "" || strings.HasPrefix(text, "---") {
			return lines[:i]
		}
	}
	return lines[:min(len(lines), 16)]
}

func labelledReason(lines []string) string {
	for i, line := range lines {
		lower := strings.ToLower(line)
		for _, label := range reasonLabels {
			at := strings.Index(lower, label)
			if at < 0 || len(lower) != len(line) {
				continue
			}
			said := append([]string{line[at:]}, following2(lines[i+1:])...)
			if len(said) == 1 || strings.TrimSpace(said[1]) == "" {
				said = append(said, following(lines[min(i+1, len(lines)):])...)
			}
			if d := joinLines(said, mailMaxDiagnostic/2); len(d) > len(label)+8 {
				return d
			}
		}
	}
	return ""
}

// remoteIn finds the host in "host mx.example.org[192.0.2.1] said:", "host mx.example.org [192.0.2.1]:" and
// "192.0.2.1 does not like recipient".
func remoteIn(diagnostic string) string {
	_, after, found := strings.Cut(diagnostic, "host ")
	if !found {
		if first, rest, _ := strings.Cut(diagnostic, " "); strings.HasPrefix(rest, "does not like") || strings.HasPrefix(rest, "failed after") {
			return first
		}
		return ""
	}
	name := after[:strings.IndexAny(after+" ", " [(:,;")]
	if name = strings.Trim(name, "<>."); strings.Contains(name, ".") {
		return name
	}
	return ""
}
