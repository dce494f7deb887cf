package agent

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/parsers"
)

// What the configuration says of an input and an output reaches what does its work.
func TestSettingsReachTheirWork(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg, err := config.Parse("c.yaml", fmt.Appendf(nil, `
inputs:
  log: {type: logfile, path: /var/log/mail.log, parser: {type: postfix, max_age: 3d}, senders: ["*@news.example"]}
  box: {type: maildir, path: /var/mail/bounces, trust: proof}
  hooks: {type: webhook, listen: "127.0.0.1:0", routes: [{parser: native, path: /in}]}
outputs:
  a: {type: file, path: %[1]s/a.jsonl, send: [hard]}
  b: {type: webhook, url: "http://127.0.0.1:9/", batch: 7, max_rate: 3}
queue: {path: %[1]s/queue.db, max_size: 5MiB}
`, dir))
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(cfg, "c.yaml", "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if a.queue, err = openQueue(cfg, a.log, a.counting); err != nil {
		t.Fatal(err)
	}
	defer a.queue.Close()
	a.assemble()

	log, box, hooks := a.inputs[0].sink, a.inputs[1].sink, a.inputs[2].sink
	for i, s := range []*sink{log, box, hooks} {
		if s.name != cfg.Inputs[i].Name || s.name != a.inputs[i].name || s.env.Name != s.name || s.env.Host != cfg.Host {
			t.Errorf("input %d is %q", i, s.name)
		}
		if len(s.ledger.key) != 32 || s.ledger.wasSent == nil || s.classifier == nil || s.store == nil || s.watcher == nil || s.memory == nil {
			t.Errorf("%s lacks something: %+v", s.name, s.sinkConfig)
		}
	}
	if !slices.Equal(log.senders, []string{"*@news.example"}) || log.format.Type != "postfix" || log.trust != "" || log.formats != nil {
		t.Errorf("log: %+v", log.sinkConfig)
	}
	if box.trust != trustProof || box.format.Type != "mail" || len(box.senders) != 0 {
		t.Errorf("box: %+v", box.sinkConfig)
	}
	if hooks.format.Type != "" || hooks.formats["/in"].Type != "native" {
		t.Errorf("hooks: %+v", hooks.sinkConfig)
	}
	first, second := a.outputs[0].delivery, a.outputs[1].delivery
	if first.name != "a" || !slices.Equal(first.settings.Send, []string{"hard"}) || second.name != "b" || second.settings.Batch != 7 || second.settings.MaxRate != 3 {
		t.Errorf("outputs: %+v, %+v", first.settings, second.settings)
	}
	if st, err := a.queue.Stats(); err != nil || st.MaxSize != 5<<20 || len(st.Pending) != 2 {
		t.Errorf("queue: %+v, %v", st, err)
	}
}

// Status puts each count where it belongs.
func TestStatusCounts(t *testing.T) {
	t.Parallel()
	q := openTestQueue(t, t.TempDir())
	fill(t, q, 2, event.Event{Recipient: "@ok.example", Type: event.Hard})
	if _, err := q.Commit(t.Context(), queue.Batch{
		Input: "in", Held: []queue.Held{{Event: event.Event{Recipient: "x@held.example"}, Why: "w"}},
		Counts: map[queue.Figure]uint64{{Word: queue.CountRead}: 9, queue.IgnoredAs("other"): 3, queue.IgnoredAs("delayed"): 2, queue.RefusedAs("malformed"): 1},
	}); err != nil {
		t.Fatal(err)
	}
	stats, err := q.Stats()
	if err != nil {
		t.Fatal(err)
	}
	in := &plannedInput{name: "in", kind: "logfile", state: &condition{}}
	st := in.status(stats.Counters)
	if st.Read != 9 || st.Queued != 2 || st.Held != 1 || st.Ignored["other"] != 3 || st.Ignored["delayed"] != 2 || st.Refused["malformed"] != 1 || len(st.Ignored) != 2 || st.Lag != -1 {
		t.Errorf("input: %+v", st)
	}
	other := &plannedInput{name: "i", kind: "logfile", state: &condition{}}
	if st := other.status(stats.Counters); st.Read != 0 || len(st.Ignored) != 0 {
		t.Errorf("another input: %+v", st)
	}
	out := runningOutput{plannedOutput{name: "out", kind: "file"}, &delivery{}}
	if st := out.status(stats); st.Pending != 2 || st.Sent != 0 || st.Type != "file" || st.Name != "out" {
		t.Errorf("output: %+v", st)
	}
}

// A parser is made once for each route, and again after it was forgotten; a route that is not there is an error.
func TestParserSet(t *testing.T) {
	t.Parallel()
	s := parserSet{format: config.Section{Type: "postfix"}, formats: map[string]config.Section{"/a": {Type: "native"}, "/b": {Type: "native"}},
		env: config.Env{Log: slog.New(slog.DiscardHandler)}}
	get := func(route string) parsers.Parser {
		t.Helper()
		p, err := s.of(route)
		if err != nil || p == nil {
			t.Fatalf("%q: %v, %v", route, p, err)
		}
		return p
	}
	main, a := get(""), get("/a")
	if get("") != main || get("/a") != a || main == a {
		t.Error("a parser was made twice")
	}
	get("/b")
	s.forget()
	if s.changes() != nil {
		t.Error("a forgotten parser has changes")
	}
	if get("") == main || get("/a") != a {
		t.Error("forgotten was what has no memory, or not what has")
	}
	if _, err := s.of("/c"); err == nil {
		t.Error("a parser of no route")
	}
	s = parserSet{format: config.Section{Type: "nosuch"}}
	if _, err := s.of(""); err == nil {
		t.Error("a parser of no format")
	}
	// Memory that can't be read is left out.
	s = parserSet{format: config.Section{Type: "postfix"}, env: s.env, memory: func(parsers.Stateful) error { return queue.ErrDamaged }}
	s.env.Log = slog.New(slog.DiscardHandler)
	get("")
}
