package agent

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/internal/text"
)

// excess is what the guard holds, added up.
type excess struct {
	n       int
	since   time.Time
	of      map[string]int // "provider google"
	said    map[string]int // "user_unknown, 550 5.1.1"
	example event.Event    // the first
}

func (x *excess) add(h *queue.HeldEvent) {
	if x.n++; x.n == 1 {
		x.since, x.example, x.of, x.said = h.Time, h.Event, map[string]int{}, map[string]int{}
	}
	tally := func(in map[string]int, word string) {
		if len(in) < maxDomains || in[word] > 0 {
			in[word]++
		}
	}
	tally(x.of, h.Excess)
	said := string(h.Event.Reason)
	if h.Event.Code != 0 {
		said += strings.TrimRight(fmt.Sprintf(", %d %s", h.Event.Code, h.Event.Status), " ")
	}
	tally(x.said, said)
}

// problem says what they have in common, with one of them as an example.
func (x *excess) problem() Problem {
	told := fmt.Sprintf("%s held, more than is plausible within an hour: %s, most of them %s", several(uint64(x.n), "hard bounce"), often(x.of, 3), often(x.said, 1))
	if x.example.Diagnostic != "" {
		told += fmt.Sprintf("; the first said %q", text.Cut(veiled(x.example.Diagnostic), 120))
	}
	if x.example.Recipient != "" {
		told += " of " + veiled(x.example.Recipient)
	}
	return Problem{"guard", utc(x.since), told + ". An outage, there or here? 'bouncefeed held drop --excess'. Are they gone? 'bouncefeed held release --excess', after which so many are plausible"}
}

// often lists the most frequent words.
func often(counts map[string]int, most int) string {
	words := slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Or(counts[b]-counts[a], strings.Compare(a, b)) })
	var parts []string
	for _, w := range words[:min(most, len(words))] {
		parts = append(parts, fmt.Sprintf("%s (%d)", w, counts[w]))
	}
	if more := len(words) - most; more > 0 && most > 1 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, ", ")
}

// veiled leaves of addresses the first letter and the domain.
func veiled(s string) string {
	return maskedAddress.ReplaceAllStringFunc(s, func(address string) string {
		at := strings.LastIndexByte(address, '@')
		return string([]rune(address)[:1]) + "…" + address[at:]
	})
}
