package report

import (
	"maps"
	"slices"
	"strings"
	"time"

	"bouncefeed/internal/event"
)

// Stream says whose mail a row is of. Its first byte is the first of the row's kind.
type Stream string

// The streams: what `senders:` names, and what the server sends besides. AllStreams is both.
const (
	AllStreams Stream = ""
	Lists      Stream = "lists"
	OtherMail  Stream = "other"
)

// Streams are those that a report may be limited to.
func Streams() []string { return []string{string(Lists), string(OtherMail)} }

// classLetters name the classes in rows that are stored: they never change.
const classLetters = "ahsogulpftcr"

// Stats gives the rows that f counts in. Their kinds: of StatHours stream, class and reason; of StatCampaigns the same;
// of StatDomains stream and class;
// of StatLates stream and step of LateSteps; of StatLists the stream.
func (f *Fact) Stats() []event.Stat {
	rows := make([]event.Stat, 0, 4)
	stream, day := string(f.Stream[:1]), event.Hours(f.Time)/24*24
	add := func(table event.StatTable, at uint32, kind, name string) {
		rows = append(rows, event.Stat{StatKey: event.StatKey{Table: table, At: at, Kind: kind, Name: name}, N: 1})
	}
	domain := strings.ToLower(f.Domain)
	count := func(class Class) {
		kind := stream + classLetters[class:class+1]
		if domain != "" && class != Attempt && class != Complaint {
			add(event.StatDomains, day, kind, domain)
		}
		if class != Accepted && class != Late {
			kind += string(f.Reason)
		}
		add(event.StatHours, event.Hours(f.Time), kind, f.Provider)
	}
	count(f.Class)
	failed := f.Class.failed()
	if f.Class == Accepted && f.PutOff {
		count(Late)
		add(event.StatLates, day, stream+string(rune('0'+LateStep(f.Delay))), f.Provider)
	}
	if failed && f.PutOff {
		count(FailedOff)
	}
	if failed && f.Returned {
		count(Returned)
	}
	if f.Campaign != "" && (failed || f.Class == Complaint) {
		add(event.StatCampaigns, day, stream+classLetters[f.Class:f.Class+1]+string(f.Reason), strings.ToLower(f.Campaign))
	}
	if f.Reason == event.Blocklisted && (failed || f.Class == PutOff) {
		if list := blocklistIn(f.Text); list != nil {
			add(event.StatLists, event.Hours(f.Time), stream, list.Name+listSeparator+f.Provider+listSeparator+domain)
		}
	}
	return rows
}

// listSeparator parts the names of a row of StatLists.
const listSeparator = "\x1f"

// Example gives f's words, without anything of the recipient.
func (f *Fact) Example() event.StatExample {
	e := event.StatExample{Name: f.Provider, Kind: string(f.Reason), First: f.Time, Last: f.Time, Code: f.Code, Status: f.Status}
	if text, safe := redact(f); safe {
		e.Text = text
	}
	return e
}

// AddStat counts a row. One that makes no sense to this version counts nowhere.
func (t *Tally) AddStat(s *event.Stat) {
	if s.Table == event.StatCover {
		t.addCover(s)
	}
	if len(s.Kind) < 1 || t.Stream != AllStreams && s.Kind[0] != t.Stream[0] {
		return
	}
	at, kind := int64(s.At), s.Kind[1:]
	switch s.Table {
	case event.StatHours:
		if row, ok := RowOf(s); ok {
			t.rows[row] += s.N
			t.span(s.At)
		}
	case event.StatDomains:
		if class, ok := classOf(kind); ok {
			t.addDomain(domainRow{at / 24, s.Name, class}, s.N)
		}
	case event.StatCampaigns:
		if class, ok := classOf(kind); ok {
			t.campaigns[campaignRow{at / 24, s.Name, class, event.Reason(kind[1:])}] += s.N
		}
	case event.StatLates:
		if len(kind) == 1 && kind[0] >= '0' && int(kind[0]-'0') <= len(LateSteps) {
			t.addLate(s.Name, at/24, int(kind[0]-'0'), s.N)
		}
	case event.StatLists:
		if names := strings.Split(s.Name, listSeparator); len(names) == 3 && len(t.blocks) < maxBlockRows {
			t.blocks[blockRow{at, names[0], names[1], names[2]}] += s.N
		}
	}
}

// Cover says what was read of each input in a time.
func (t *Tally) Cover(since, until time.Time) (all []Cover) {
	for _, input := range slices.Sorted(maps.Keys(t.cover)) {
		c := Cover{Input: input}
		for d, read := range t.cover[input] {
			if d >= since.Unix()/day && d*day < until.Unix() {
				c.Days++
				c.Gaps += read.gaps
			}
		}
		if c.Days > 0 {
			all = append(all, c)
		}
	}
	return all
}

func classOf(kind string) (Class, bool) {
	if kind == "" {
		return 0, false
	}
	at := strings.IndexByte(classLetters, kind[0])
	return Class(max(at, 0)), at >= 0
}

// addCover counts what was read of an input, which belongs to no stream.
func (t *Tally) addCover(s *event.Stat) {
	days := t.cover[s.Name]
	if days == nil {
		days = map[int64]coverDay{}
		t.cover[s.Name] = days
	}
	d := days[int64(s.At)/24]
	switch s.Kind {
	case CoverRead:
		d.read += s.N
	case CoverGaps:
		d.gaps += s.N
	}
	days[int64(s.At)/24] = d
}

// AddExample takes what was said.
func (t *Tally) AddExample(said *event.StatExample) {
	key := exampleKey{said.Name, event.Reason(said.Kind)}
	e := t.examples[key]
	if e == nil {
		if len(t.examples) >= maxExamples {
			return
		}
		e = &Example{First: said.First}
		t.examples[key] = e
	}
	if said.First.Before(e.First) {
		e.First = said.First
	}
	if !said.Last.Before(e.Last) {
		e.Last, e.Code, e.Status = said.Last, said.Code, said.Status
		if said.Text != "" {
			e.Text = said.Text
		}
	}
}
