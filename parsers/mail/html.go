package mail

import (
	"html"
	"strings"

	"bouncefeed/internal/text"
)

// htmlText gives the words of an HTML page, one line for each block: enough to read a bounce that has no other text.
func htmlText(page string) string {
	var b strings.Builder
	b.Grow(len(page) / 2)
	shown := false        // inside of <pre>, where lines are as they stand
	link, linked := "", 0 // the address that a link's text stands for, and where that text begins
	for page != "" {
		text, rest, found := strings.Cut(page, "<")
		if shown {
			b.WriteString(text)
		} else {
			writeCollapsed(&b, text)
		}
		if !found {
			break
		}
		if strings.HasPrefix(rest, "!--") {
			_, page, _ = strings.Cut(rest, "-->")
			continue
		}
		if addr, after, ok := bareAngleAddress(rest); ok { // "<jo@example.org>" that nobody escaped
			b.WriteString("<" + addr + ">")
			page = after
			continue
		}
		tag, after, _ := strings.Cut(rest, ">")
		page = after
		switch name := tagName(tag); name {
		case "pre", "/pre":
			shown = name == "pre"
			b.WriteByte('\n')
		case "a":
			link, linked = mailtoAddress(tag), b.Len()
		case "/a":
			if link != "" && !strings.Contains(html.UnescapeString(b.String()[linked:]), link) {
				b.WriteString(" <" + link + ">")
			}
			link = ""
		case "script", "style", "head":
			page = skipElement(page, name)
		case "br", "p", "div", "tr", "li", "h1", "h2", "h3", "h4", "table", "ul", "ol", "blockquote", "hr", "/p", "/div", "/tr", "/table", "/h1", "/h2", "/h3":
			b.WriteByte('\n')
		case "td", "th", "dt", "dd", "/td", "/th":
			b.WriteByte(' ')
		}
	}
	return html.UnescapeString(b.String())
}

// writeCollapsed writes text with its white space collapsed, as a browser shows it.
func writeCollapsed(b *strings.Builder, text string) {
	space := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case ' ', '\t', '\n':
			space = true
		default:
			if space {
				b.WriteByte(' ')
				space = false
			}
			b.WriteByte(c)
		}
	}
	if space {
		b.WriteByte(' ')
	}
}

// mailtoAddress is the address that a link writes to, "" if it does not.
func mailtoAddress(tag string) string {
	at := text.IndexFold(tag, "mailto:")
	if at < 0 {
		return ""
	}
	addr := tag[at+len("mailto:"):]
	return addr[:strings.IndexAny(addr+" ", "?\"'> \t\n")]
}

func tagName(tag string) string {
	end := strings.IndexAny(tag, " \t\n")
	if end < 0 {
		end = len(tag)
	}
	return strings.ToLower(strings.TrimSuffix(tag[:min(end, 12)], "/"))
}

// skipElement passes over what is in an element that shows no text.
func skipElement(page, name string) string {
	for rest := page; ; {
		_, after, found := strings.Cut(rest, "</")
		if !found {
			return ""
		}
		if len(after) >= len(name) && strings.EqualFold(after[:len(name)], name) {
			_, after, _ = strings.Cut(after, ">")
			return after
		}
		rest = after
	}
}

func bareAngleAddress(s string) (addr, after string, ok bool) {
	end := strings.IndexByte(s[:min(len(s), 320)], '>')
	if end < 0 || strings.ContainsAny(s[:end], " \t\n\"=") || strings.Count(s[:end], "@") != 1 {
		return "", "", false
	}
	return s[:end], s[end+1:], true
}
