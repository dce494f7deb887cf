package mail

import (
	"strings"

	"bouncefeed/internal/text"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// htmlText gives the words of an HTML page, one line for each block: enough to read a bounce that has no other text.
func htmlText(page string) string {
	var p pageText
	p.Grow(len(page) / 2)
	for z := html.NewTokenizer(strings.NewReader(page)); ; {
		kind := z.Next()
		if kind == html.ErrorToken {
			return p.String()
		}
		raw := string(z.Raw())
		switch kind {
		case html.TextToken:
			p.words(string(z.Text()))
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			if addr, ok := bareAddress(raw); ok { // that nobody escaped
				p.words("<" + addr + ">")
				continue
			}
			name, _ := z.TagName()
			p.tag(atom.Lookup(name), kind == html.EndTagToken, raw)
		}
	}
}

// pageText is what a page shows so far.
type pageText struct {
	strings.Builder
	hidden atom.Atom // the element that shows no text, inside of it
	shown  bool      // inside of <pre>, where lines are as they stand
	link   string    // the address that a link's text stands for
	linked int       // where that text begins
}

func (p *pageText) words(words string) {
	switch {
	case p.hidden != 0:
	case p.shown:
		p.WriteString(words)
	default:
		writeCollapsed(&p.Builder, words)
	}
}

func (p *pageText) tag(name atom.Atom, end bool, raw string) {
	if p.hidden != 0 && (!end || name != p.hidden) && name != atom.Body {
		return
	}
	p.hidden = 0
	switch name {
	case atom.Script, atom.Style, atom.Head:
		if !end {
			p.hidden = name
		}
	case atom.Pre:
		p.shown = !end
		p.WriteByte('\n')
	case atom.A:
		if !end {
			p.link, p.linked = mailtoAddress(raw), p.Len()
		} else if p.link != "" && !strings.Contains(p.String()[p.linked:], p.link) {
			p.WriteString(" <" + p.link + ">")
			p.link = ""
		}
	case atom.Br, atom.Hr, atom.Li, atom.Ul, atom.Ol, atom.Blockquote, atom.H4:
		if !end {
			p.WriteByte('\n')
		}
	case atom.P, atom.Div, atom.Tr, atom.Table, atom.H1, atom.H2, atom.H3:
		p.WriteByte('\n')
	case atom.Td, atom.Th, atom.Dt, atom.Dd:
		p.WriteByte(' ')
	}
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

// bareAddress knows "<jo@example.org>" among the tags.
func bareAddress(tag string) (addr string, ok bool) {
	addr = strings.TrimSuffix(strings.TrimPrefix(tag, "<"), ">")
	return addr, len(addr) < 320 && !strings.ContainsAny(addr, " \t\n\"=") && strings.Count(addr, "@") == 1
}
