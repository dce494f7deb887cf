package mail

import (
	"slices"
	"strings"
	"testing"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
)

// Each wording is the first that fits its sample.
func TestWordingWeights(t *testing.T) {
	for i, w := range wordings {
		for _, a := range address.Find(w.sample) {
			if got := wordingAt(w.sample, a); got != i || a.Addr != "jo@example.org" {
				t.Errorf("wording %d: wording %d fits %s in its sample %q", i, got, a.Addr, w.sample)
			}
		}
		if !strings.Contains(w.sample, "jo@example.org") {
			t.Errorf("wording %d has no address in its sample %q", i, w.sample)
		}
	}
}

// A field weighs the address in it by whose it is.
func TestFieldWeights(t *testing.T) {
	for _, w := range fieldWeights {
		h, _ := cutHeader([]byte(w.sample))
		m := message{header: h}
		if w.returned {
			m = message{returned: returnedMail{header: h}}
		}
		if got := m.knownAddresses(); len(got) != 1 || got.weight("Jo@example.org") != w.weight {
			t.Errorf("%s weighs %v, want %d", w.sample, got, w.weight)
		}
	}
}

// Each source knows the recipient of its sample, and none before it does.
func TestRecipientSources(t *testing.T) {
	for i, s := range recipientSources {
		m, err := openMail(event.Record{Body: []byte("To: bounces@lists.example.com\n" + s.sample)})
		if err != nil {
			t.Fatal(err)
		}
		p := newProse(m)
		if found := p.textRecipients(); len(found) > 0 {
			t.Errorf("source %d: the text names %q", i, found)
		}
		for j, other := range recipientSources[:i+1] {
			if found := other.find(p); (j == i) != slices.Equal(found, []string{"dan@y.example"}) {
				t.Errorf("source %d: source %d finds %q", i, j, found)
			}
		}
	}
}
