package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"bouncefeed/internal/queue"
	"bouncefeed/internal/report"
	"bouncefeed/outputs"
)

// lookEvery is how often the statistics are looked at for findings.
const lookEvery = 10 * time.Minute

// findings keeps what is found in the statistics: each is told once when it is raised, when it gets worse or better, and when it
// is over.
type findings struct {
	report func(ReportArgs) (*report.Report, error)
	queue  *queue.Queue
	log    *slog.Logger
	host   string
	alerts *outputs.Alerts // nil: the log alone is told
	least  report.Severity // that alerts are told

	mu    sync.Mutex
	open  map[string]*keptFinding
	later backoff
	state condition // of the alerts
	looks condition // of looking
}

// keptFinding is what is stored of one.
type keptFinding struct {
	Finding report.Finding  `json:"finding"`
	Title   string          `json:"title"`
	Told    report.Severity `json:"told"`          // to the receiver of alerts
	Over    *time.Time      `json:"over,omitzero"` // of one that it was told of, and not yet that it is over
}

// FindingStatus is an open finding, as status tells it.
type FindingStatus struct {
	ID       string          `json:"id"`
	Severity report.Severity `json:"severity"`
	Title    string          `json:"title"`
	Since    time.Time       `json:"since"`
	Provider string          `json:"provider,omitempty"`
}

// Alert is what the receiver of alerts gets.
type Alert struct {
	Status  string         `json:"status"` // raised, changed or over
	Host    string         `json:"host"`
	Title   string         `json:"title"`
	Finding report.Finding `json:"finding"`
}

func findingKey(f *report.Finding) string { return f.ID + " " + f.Provider + " " + f.Subject }

// run looks, and tells, until ctx ends.
func (w *findings) run(ctx context.Context) error {
	if err := w.load(); err != nil {
		return err
	}
	next := time.Now().Add(time.Minute)
	for {
		pause := time.Until(next)
		if w.unsaid() {
			if err := w.tell(ctx); err != nil {
				pause = min(pause, w.later.next())
			} else {
				w.later = backoff{}
			}
		}
		if !wait(ctx, max(pause, time.Second)) {
			return nil
		}
		if time.Now().Before(next) {
			continue
		}
		next = time.Now().Add(lookEvery)
		if err := w.look(time.Now()); err != nil {
			return err
		}
	}
}

// load takes up what was found before a restart.
func (w *findings) load() error {
	stored, err := w.queue.Findings()
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = map[string]*keptFinding{}
	for key, text := range stored {
		var k keptFinding
		if json.Unmarshal(text, &k) == nil { // else it is found anew
			w.open[key] = &k
		}
	}
	return nil
}

// look finds what is new, what has changed and what is over.
func (w *findings) look(now time.Time) error {
	r, err := w.report(ReportArgs{Since: now.Add(-24 * time.Hour), Compare: CompareNone})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	changed, there := map[string]*keptFinding{}, map[string]bool{}
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Until != nil {
			continue
		}
		key := findingKey(f)
		there[key] = true
		before := w.open[key]
		if before == nil || before.Over != nil || before.Finding.Severity != f.Severity {
			changed[key] = w.found(before, f, f.Title(r))
		}
	}
	for key, k := range w.open {
		if there[key] || k.Over != nil || k.Finding.ID == "waiting" && r.WaitingNow == nil { // an input has not begun yet
			continue
		}
		w.log.Info("a finding is over", "finding", k.Finding.ID, "about", k.Title, "since", k.Finding.Since.Format(time.RFC3339))
		over := *k
		at := now.UTC().Truncate(time.Second)
		over.Over, over.Finding.Until = &at, &at
		changed[key] = &over
	}
	return w.store(changed)
}

// found says that a finding is new, or as bad as it was not before.
func (w *findings) found(before *keptFinding, f *report.Finding, title string) *keptFinding {
	k := &keptFinding{Finding: *f, Title: title}
	if before != nil {
		k.Told = before.Told
		if before.Over == nil {
			k.Finding.Since = before.Finding.Since
		}
	}
	said := []any{"finding", f.ID, "about", title, "severity", f.Severity.String(), "since", k.Finding.Since.Format(time.RFC3339)}
	if f.Severity == report.Info {
		w.log.Info("to know about your mail: see 'bouncefeed report --since 24h'", said...)
	} else {
		w.log.Warn("something is found about your mail: see 'bouncefeed report --since 24h'", said...)
	}
	return k
}

// store stores what has changed; what is over and nobody has to be told of, is forgotten.
func (w *findings) store(changed map[string]*keptFinding) error {
	if len(changed) == 0 {
		return nil
	}
	texts := map[string][]byte{}
	for key, k := range changed {
		if k.Over != nil && (w.alerts == nil || k.Told == report.None) {
			texts[key] = nil
			continue
		}
		text, err := json.Marshal(k)
		if err != nil {
			return fmt.Errorf("encode a finding: %w", err)
		}
		texts[key] = text
	}
	if err := w.queue.SetFindings(texts); err != nil {
		return err
	}
	for key, text := range texts {
		if text == nil {
			delete(w.open, key)
		} else {
			w.open[key] = changed[key]
		}
	}
	return nil
}

// next gives one that the receiver of alerts is to be told of; nil: there is none.
func (w *findings) next() (key string, k *keptFinding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(w.open)) {
		k := w.open[key]
		tells := k.Over == nil && k.Finding.Severity >= w.least || k.Told != report.None
		if w.alerts != nil && tells && (k.Over != nil || k.Told != k.Finding.Severity) {
			return key, k
		}
	}
	return "", nil
}

func (w *findings) unsaid() bool {
	_, k := w.next()
	return k != nil
}

// tell tells the receiver of alerts all that it does not know.
func (w *findings) tell(ctx context.Context) error {
	for {
		key, k := w.next()
		if k == nil {
			return nil
		}
		a := Alert{Status: "raised", Host: w.host, Title: k.Title, Finding: k.Finding}
		switch {
		case k.Over != nil:
			a.Status = "over"
		case k.Told != report.None:
			a.Status = "changed"
		}
		body, err := json.Marshal(a)
		if err != nil {
			return err
		}
		id := fmt.Sprintf("%016x", hash(key+" "+a.Status+" "+k.Finding.Severity.String()+" "+k.Finding.Since.String()))
		if err := w.alerts.Post(ctx, id, body); err != nil {
			if ctx.Err() == nil && w.state.fail(err) {
				w.log.Warn("can't tell of findings, trying again until it works", "to", w.alerts.String(), "error", err)
			}
			return err
		}
		w.state.succeed()
		told := *k
		told.Told = k.Finding.Severity
		if k.Over != nil {
			told.Told = report.None
		}
		w.mu.Lock()
		if w.open[key] == k { // not changed meanwhile
			err = w.store(map[string]*keptFinding{key: &told})
		}
		w.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// status lists what is open, the worst first.
func (w *findings) status() (all []FindingStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.open {
		if f := &k.Finding; k.Over == nil {
			all = append(all, FindingStatus{f.ID, f.Severity, k.Title, f.Since, f.Provider})
		}
	}
	slices.SortFunc(all, func(a, b FindingStatus) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), a.Since.Compare(b.Since), cmp.Compare(a.Title, b.Title))
	})
	return all
}
