package report

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"

	"bouncefeed/internal/event"
)

// Advice is what can be done about something. Links are our own: never what a reply says.
type Advice struct {
	Text  string   `json:"text" yaml:"text"`
	Links []string `json:"links,omitempty" yaml:"links"`
}

type adviceRow struct {
	Advice    `yaml:",inline"`
	Providers []string       `yaml:"providers"` // empty: any
	Reasons   []event.Reason `yaml:"reasons"`   // empty: any
	Phrases   []string       `yaml:"phrases"`   // empty: any reply
	Checked   string         `yaml:"checked"`
}

type blocklist struct {
	Name    string   `yaml:"name"`
	Phrases []string `yaml:"phrases"`
	Link    string   `yaml:"link"`
	Note    string   `yaml:"note"`
	Closed  string   `yaml:"closed"`
	Checked string   `yaml:"checked"`
}

type adviceFile struct {
	Advice     []adviceRow `yaml:"advice"`
	Blocklists []blocklist `yaml:"blocklists"`
}

//go:embed advice.yaml
var adviceData []byte

var advised = sync.OnceValue(func() (f adviceFile) {
	if err := yaml.Unmarshal(adviceData, &f); err != nil {
		panic(err) // a test reads it
	}
	return f
})

// adviceFor is what to do about replies like text.
func adviceFor(provider string, reason event.Reason, text string) Advice {
	lower := strings.ToLower(text)
	contains := func(phrase string) bool { return strings.Contains(lower, phrase) }
	for _, row := range advised().Advice {
		if (row.Providers == nil || slices.Contains(row.Providers, provider)) &&
			(row.Reasons == nil || slices.Contains(row.Reasons, reason)) &&
			(row.Phrases == nil || slices.ContainsFunc(row.Phrases, contains)) {
			return row.Advice
		}
	}
	return Advice{}
}

// blocklistIn finds the public blocklist that a reply names.
func blocklistIn(text string) *blocklist {
	lower := strings.ToLower(text)
	for i := range advised().Blocklists {
		b := &advised().Blocklists[i]
		for _, phrase := range b.Phrases {
			if strings.Contains(lower, phrase) {
				return b
			}
		}
	}
	return nil
}

func blocklistNamed(name string) *blocklist {
	for i, b := range advised().Blocklists {
		if b.Name == name {
			return &advised().Blocklists[i]
		}
	}
	return nil
}

// advice is what to do about an entry.
func (b *blocklist) advice() Advice {
	if b.Closed != "" {
		return Advice{Text: b.Name + " was closed in " + b.Closed + ": the receiver's filter has not been looked after since. Tell its postmaster by another way."}
	}
	a := Advice{Text: "look the sending address up at " + b.Name + ", and ask to be taken off once the cause is gone.", Links: []string{b.Link}}
	if b.Note != "" {
		a.Text = "look the sending address up at " + b.Name + ": " + b.Note + "."
	}
	return a
}

// blockRow counts replies that name a list.
type blockRow struct {
	hour     int64
	list     string
	provider string
	domain   string
}

const maxBlockRows = 20_000
