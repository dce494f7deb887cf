package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// syntaxError says in plain words what is wrong with data that is no YAML, and where the slip probably is: the parser
// tells where it gave up.
func syntaxError(name, data string, err error) error {
	e := Error{File: name, Message: strings.TrimPrefix(err.Error(), "yaml: ")}
	if load, ok := errors.AsType[*yaml.LoadError](err); ok {
		e.Line, e.Col, e.Message = load.Mark.Line, load.Mark.Column, load.Message
	}
	s := slip{lines: strings.Split(data, "\n"), Error: e}
	for _, f := range []func(*slip) bool{(*slip).encoding, (*slip).openQuote, (*slip).tab, (*slip).alias, (*slip).forbiddenStart, (*slip).colon, (*slip).openBracket, (*slip).indent} {
		if f(&s) {
			break
		}
	}
	return Errors{s.Error}
}

// slip is what the parser says, until a better word is found.
type slip struct {
	Error
	lines []string
}

// line is one of the file, from 1; "" beyond its end.
func (s *slip) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

func (s *slip) found(line, col int, format string, args ...any) bool {
	s.Line, s.Col, s.Message = line, col, fmt.Sprintf(format, args...)
	return true
}

func (s *slip) says(words string) bool { return strings.Contains(s.Message, words) }

// encoding finds bytes of Latin-1 and the like, and control characters.
func (s *slip) encoding() bool {
	if !s.says("UTF-8") && !s.says("control characters") {
		return false
	}
	for i, line := range s.lines {
		for at, r := range line {
			switch {
			case r == utf8.RuneError && !strings.HasPrefix(line[at:], "\uFFFD"):
				return s.found(i+1, utf8.RuneCountInString(line[:at])+1, "this byte is no UTF-8: save the file as UTF-8 (from Latin-1: iconv -f latin1 -t utf8)")
			case r < ' ' && r != '\t' && r != '\r' || r == 0x7f:
				return s.found(i+1, utf8.RuneCountInString(line[:at])+1, "a control character (%#02x) stands here: remove it", r)
			}
		}
	}
	return false
}

// openQuote finds a quote that begins a value and is never closed: the parser says so at the end of the file only.
func (s *slip) openQuote() bool {
	if !s.says("unexpected end of stream") && !s.says("while scanning a quoted scalar") && !s.says("unexpected document indicator") {
		return false
	}
	for i, line := range s.lines {
		quote, at := byte(0), 0
		for k := 0; k < len(line); k++ {
			c := line[k]
			switch {
			case quote == 0 && c == '#' && (k == 0 || line[k-1] == ' '):
				k = len(line)
			case quote == 0 && (c == '"' || c == '\'') && startsValue(line[:k]):
				quote, at = c, k
			case quote == '"' && c == '\\':
				k++
			case c == quote:
				quote = 0
			}
		}
		if quote != 0 {
			return s.found(i+1, at+1, "the quote that opens here is not closed: a %c is missing at the end of the value", quote)
		}
	}
	return false
}

// startsValue says whether a value or key may begin behind before.
func startsValue(before string) bool {
	before = strings.TrimRight(before, " \t")
	return before == "" || strings.ContainsAny(before[len(before)-1:], ":-[{,")
}

func (s *slip) tab() bool {
	if !s.says("tab character") && !s.says("cannot start any token") && !s.says("mapping values") && !s.says("expected key") {
		return false
	}
	for _, n := range []int{s.Line, s.Line - 1} {
		line := s.line(n)
		if indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]; strings.Contains(indent, "\t") {
			return s.found(n, strings.IndexByte(indent, '\t')+1, "a tab stands here: YAML takes spaces only, put as many as the lines around have")
		}
	}
	return false
}

// alias: "*" begins one in YAML, and a pattern of ours.
func (s *slip) alias() bool {
	if !s.says("unknown anchor") && !s.says("scanning an alias") && !s.says("alphabetic or numeric character") {
		return false
	}
	line := s.line(s.Line)
	at := strings.IndexByte(line, '*')
	if at < 0 {
		return false
	}
	value := strings.TrimRight(line[at:], " ,]}\r")
	if end := strings.IndexAny(value, ",]"); end > 0 {
		value = value[:end]
	}
	return s.found(s.Line, at+1, "what begins with * must stand in quotes: %q", value)
}

// forbiddenStart: @, ` and % may not begin a value.
func (s *slip) forbiddenStart() bool {
	if !s.says("cannot start any token") {
		return false
	}
	line := s.line(s.Line)
	if s.Col < 1 || s.Col > len(line) {
		return false
	}
	value, _, _ := strings.Cut(line[s.Col-1:], " #")
	return s.found(s.Line, s.Col, "what begins with %c must stand in quotes: %q", line[s.Col-1], strings.TrimRight(value, " \r"))
}

// colon: one too many in a value, or one without its space on the line above.
func (s *slip) colon() bool {
	if !s.says("mapping values are not allowed") {
		return false
	}
	line, above := s.line(s.Line), s.line(s.Line-1)
	key := strings.TrimLeft(line, " -")
	if before, value, ok := strings.Cut(key, ": "); ok && strings.Contains(value, ": ") && s.Col-1 > len(line)-len(key)+len(before) {
		value, _, _ = strings.Cut(value, " #")
		return s.found(s.Line, len(line)-len(key)+len(before)+3, "a value with a colon and a space in it must stand in quotes: %q", strings.TrimRight(value, " \r"))
	}
	word, value, ok := strings.Cut(strings.TrimLeft(above, " "), ":")
	if ok && value != "" && value[0] != ' ' && !strings.Contains(word, " ") {
		return s.found(s.Line-1, len(above)-len(value)+1, "a space is missing after the colon: %s: %s", word, value)
	}
	if deep := indentOf(line) - indentOf(above); deep > 0 {
		return s.found(s.Line, indentOf(line)+1, "this line stands %d further to the right than the one above, which has a value already: put both below each other", deep)
	}
	return false
}

// openBracket finds a [ or { that is not closed in its line, which is where ours are written.
func (s *slip) openBracket() bool {
	if !s.says("did not find expected ','") && !s.says("flow") && !s.says("unexpected end of stream") && !s.says("node content") {
		return false
	}
	for n := min(s.Line, len(s.lines)); n > 0; n-- {
		line := s.line(n)
		for _, pair := range []string{"[]", "{}"} {
			if open := strings.LastIndexByte(line, pair[0]); open >= 0 && strings.Count(line, pair[:1]) > strings.Count(line, pair[1:]) {
				return s.found(n, open+1, "the %c that opens here is not closed: a %c is missing", pair[0], pair[1])
			}
		}
	}
	return false
}

func (s *slip) indent() bool {
	if !s.says("did not find expected key") && !s.says("block mapping") && !s.says("did not find expected '-' indicator") {
		return false
	}
	line := s.line(s.Line)
	return s.found(s.Line, indentOf(line)+1, "this line stands %d spaces in, which fits none of the lines above: keys that belong together stand below each other", indentOf(line))
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
