package mail

import (
	"strings"

	"bouncefeed/internal/address"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
	"bouncefeed/parsers"
)

// find finds in the text what was said of a recipient: a reply in the lines that follow its address, else the reply
// that names it, else those lines, else any reply, else what follows "because" or "reason", else the lines after the
// sentence that names it.
func (s saidOf) find() string {
	lines := s.lines
	paragraph := s.paragraphOf(s.addr)
	if paragraph == "" {
		paragraph = s.paragraphOf(s.other)
	}
	if code, _ := smtp.FindReply(paragraph); code != 0 {
		return paragraph
	}
	reply, sure := s.reply()
	if promised := strings.HasSuffix(paragraph, ":"); sure || reply != "" && (paragraph == "" || promised) {
		return reply
	}
	if paragraph != "" {
		return paragraph
	}
	at := lineOf(lines, s.addr)
	if d := labelledReason(s.own(max(at, 0))); d != "" {
		return d
	}
	if d := labelledReason(s.own(0)); d != "" || at < 0 {
		return d
	}
	start, end := paragraphAt(lines, at)
	var said []string
	for i := start; i < end; i++ {
		if s.may(i) {
			said = append(said, lines[i])
		}
	}
	if s.alone {
		said = append(said, following(lines[end:], s.addr, 0)...)
	}
	if d := joinLines(withoutBoilerplate(said), parsers.MaxDiagnostic/2); saysFailure(d) {
		return d
	}
	return ""
}

// saysFailure says whether d has words of a failure, and so perhaps its reason.
func saysFailure(d string) bool {
	if d == "" {
		return false
	}
	return smtp.FindStatus(d, "245") != "" || phrases.in(text.Fold(d)).have(phrases.failure.anyText|phrases.failure.clause|phrases.failure.mailbox)
}

// paragraphAt finds where the paragraph that line at stands in begins and ends.
func paragraphAt(lines []string, at int) (start, end int) {
	start, end = at, at
	for start > 0 && strings.TrimSpace(lines[start-1]) != "" {
		start--
	}
	for end < len(lines) && strings.TrimSpace(lines[end]) != "" {
		end++
	}
	return start, end
}

// lineOf is the first line that names addr, -1 if none does.
func lineOf(lines []string, addr string) int {
	if addr != "" {
		for i, line := range lines {
			if strings.Contains(line, addr) {
				return i
			}
		}
	}
	return -1
}

// paragraphOf is what stands behind addr at the beginning of a line, and the lines after it up to a blank one. Of several
// such paragraphs the first with a reply counts: Exchange names a recipient once for users and once for administrators.
func (s saidOf) paragraphOf(addr string) string {
	if addr == "" {
		return ""
	}
	lines := s.lines
	first, introduced := "", ""
	for i, line := range lines {
		for _, a := range s.spans[i] {
			if !address.Same(a.Addr, addr) || !standsFirst(line[:a.Start]) {
				continue
			}
			said := append([]string{strings.TrimLeft(withoutMailto(line[a.End:]), ":.>)\"' \t")}, following(lines[i+1:s.endOfHis(i+1)], addr, len(indentOf(line)))...)
			d := joinLines(said, parsers.MaxDiagnostic/2)
			if code, _ := smtp.FindReply(d); code != 0 {
				return d
			}
			if alone := isVague(said[0]) && (i+1 == len(lines) || strings.TrimSpace(lines[i+1]) == ""); alone && introduced == "" {
				introduced = strings.TrimSpace(introduction(s.notOfOthers(i)) + " " + d)
			} else if first == "" && !alone && !isVague(d) {
				first = d
			}
		}
	}
	if first == "" && saysFailure(introduced) {
		return introduced
	}
	return first
}

// endOfHis is the first line from there on that is not below the recipient's address.
func (s saidOf) endOfHis(from int) int {
	for from < len(s.lines) && (s.whose[from] == his || s.alone && s.whose[from] != others) {
		from++
	}
	return from
}

// notOfOthers are the lines up to there that don't speak of somebody else.
func (s saidOf) notOfOthers(end int) []string {
	var lines []string
	for i, line := range s.lines[:end] {
		if s.whose[i] != others {
			lines = append(lines, line)
		}
	}
	return lines
}

// introduction is the sentence before a list of addresses, of which the last line may be one: "The following addressees
// could not be found:".
func introduction(lines []string) string {
	end := len(lines)
	for end > 0 && (strings.TrimSpace(lines[end-1]) == "" || beginsWithOther(lines[end-1], "")) {
		end--
	}
	if end == 0 || isRule(strings.TrimSpace(lines[end-1])) {
		return ""
	}
	start, _ := paragraphAt(lines[:end], end-1)
	said := joinLines(lines[start:end], parsers.MaxDiagnostic/4)
	return strings.TrimSpace(said[strings.LastIndex(strings.TrimRight(said, ". "), ". ")+1:])
}

// withoutMailto takes off the link that follows an address where HTML was made into text: "<mailto:jo@example.org>".
func withoutMailto(after string) string {
	if text.HasPrefixFold(after, "<mailto:") {
		_, after, _ = strings.Cut(after, ">")
	}
	return after
}

// following are the lines that belong to addr in a line above them: up to a blank line once something was said, to a
// ruled line, or to the next address that is not further indented. A line that ends with a colon promises more.
func following(lines []string, addr string, indent int) []string {
	said, promised := false, false
	for i, line := range lines[:min(len(lines), 20)] {
		words := strings.TrimSpace(line)
		switch {
		case words == "" && (said && !promised || i > 3):
			return lines[:i]
		case words == "":
		case !said && i > 0 && !promised && phrases.in(text.Fold(words)).have(phrases.layout.advice),
			!said && strings.Contains(words, "@") && phrases.in(text.Fold(text.Cut(words, 12))).have(phrases.address.ofOther):
			return lines[:i]
		case isRule(words), i > 0 && isTranscript(words), !promised && len(indentOf(line)) <= indent && beginsWithOther(words, addr):
			return lines[:i]
		default:
			said, promised = true, strings.HasSuffix(words, ":")
		}
	}
	return lines[:min(len(lines), 20)]
}

func isRule(text string) bool {
	return strings.HasPrefix(text, "---") || strings.HasPrefix(text, "===") || strings.HasPrefix(text, "___") || strings.HasPrefix(text, "***")
}

// isTranscript knows the lines of an SMTP session as sendmail shows it.
func isTranscript(words string) bool {
	return strings.HasPrefix(words, ">>>") || strings.HasPrefix(words, "<<<") || text.HasPrefixFold(words, "while talking to") || strings.HasPrefix(words, "... while talking")
}

// standsFirst says whether before, what precedes an address in its line, is only decoration.
func standsFirst(before string) bool { return strings.Trim(withoutNumber(before), bullets) == "" }

func beginsWithOther(text, addr string) bool {
	spans := address.Find(text)
	return len(spans) > 0 && standsFirst(text[:spans[0].Start]) && !address.Same(spans[0].Addr, addr)
}

// reply finds an SMTP reply with its continuation lines: the last one that names the recipient, else the last of all that may
// be his, which in a transcript is the one that decided. sure says that it can be no other's.
func (s saidOf) reply() (reply string, sure bool) {
	lines := s.lines
	best, named := -1, false
	for i, line := range lines {
		if code, _ := smtp.FindReply(line); code == 0 {
			continue
		}
		names := s.whose[i] != others && s.names(line)
		if names || !named && s.may(i) {
			best, named = i, names
		}
	}
	if best < 0 {
		return "", false
	}
	start := best
	for start > 0 && best-start < 8 && isContinued(lines[start-1]) {
		start--
	}
	_, at := smtp.FindReply(lines[start])
	said := []string{lines[start][at:]}
	for _, line := range lines[start+1 : min(len(lines), start+16)] {
		text := strings.TrimSpace(line)
		code, at := smtp.FindReply(text)
		if text == "" || isRule(text) || isTranscript(text) || code != 0 && at == 0 && !isContinued(said[len(said)-1]) {
			break
		}
		said = append(said, text)
	}
	return joinLines(said, parsers.MaxDiagnostic/2), named || s.whose[best] == his
}

// isContinued says whether line is a reply's line with more to come: "550-5.1.1 The account…" (RFC 5321 §4.2.1).
func isContinued(line string) bool {
	line = strings.TrimLeft(line, " \t<>")
	return len(line) > 4 && line[3] == '-' && smtp.Code(line) != 0
}

// onlyReply cuts what an MTA wrote around the reply it got: "SMTP error from remote mail server after RCPT TO:<jo@…>:
// host mx.example.org [192.0.2.1]: 550 …", "Remote host said: 550 … Giving up on 192.0.2.1."
func onlyReply(diagnostic string) string {
	code, at := smtp.FindReply(diagnostic)
	if code == 0 {
		return diagnostic
	}
	before := strings.ToLower(diagnostic[:at])
	if !strings.Contains(before, "host ") && !strings.Contains(before, "said") && !strings.Contains(before, "smtp error") {
		return diagnostic
	}
	reply, _, _ := strings.Cut(diagnostic[at:], "Giving up on")
	if isVague(reply) {
		return diagnostic
	}
	return strings.TrimSpace(reply)
}

// deliversAll is what a delivery program says before the error that it ends with: "user does not exist, but will deliver to
// /var/mail/jo". It is a warning, and the user does exist.
const deliversAll = "but will deliver to "

// withoutWarning cuts what stands before that error, other than a reply's code.
func withoutWarning(diagnostic string) string {
	at := text.IndexFold(diagnostic, deliversAll)
	if at < 0 {
		return diagnostic
	}
	rest := diagnostic[at+len(deliversAll):]
	rest = strings.TrimLeft(rest[strings.IndexByte(rest+" ", ' '):], " ;:,")
	if rest == "" {
		return diagnostic
	}
	if code, start := smtp.FindReply(diagnostic[:at]); code != 0 {
		return diagnostic[start:start+3] + " " + rest
	}
	return rest
}

// labelledReason is what follows "because:", "Reason:", "原因：": the rest of that line and the lines that belong to it.
func labelledReason(lines []string) string {
	for i, line := range lines {
		if !strings.Contains(line, ":") && !strings.Contains(line, "：") && !strings.Contains(line, "は") {
			continue
		}
		lower := strings.ToLower(line)
		if len(lower) != len(line) {
			continue
		}
		at, length := phrases.places.reasonLabel.First(lower)
		if at < 0 || !endsLabel(line[at+length-1:]) {
			continue
		}
		said := append([]string{line[at:]}, following(lines[i+1:], "", 0)...)
		if d := joinLines(said, parsers.MaxDiagnostic/2); len(d) > length+8 {
			return d
		}
	}
	return ""
}

// endsLabel says whether a colon, or what stands for one in Japanese, follows soon.
func endsLabel(rest string) bool {
	return strings.ContainsAny(text.Cut(rest, 24), ":：は")
}

// remoteIn finds the host in "host mx.example.org[192.0.2.1] said:", "host mx.example.org [192.0.2.1]:" and
// "192.0.2.1 does not like recipient".
func remoteIn(diagnostic string) string {
	if first, rest, _ := strings.Cut(diagnostic, " "); strings.HasPrefix(rest, "does not like") || strings.HasPrefix(rest, "failed after") {
		return first
	}
	for rest := diagnostic; ; {
		_, after, found := strings.Cut(rest, "host ")
		if !found {
			return ""
		}
		name := strings.Trim(after[:strings.IndexAny(after+" ", " [(:,;")], "<>.")
		if strings.Contains(name, ".") && !strings.Contains(name, "@") {
			return name
		}
		rest = after
	}
}

// joinLines makes one line of several, as long as it fits in limit.
func joinLines(lines []string, limit int) string {
	var b strings.Builder
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if b.Len()+len(line) > limit {
			break
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(line)
	}
	return b.String()
}
