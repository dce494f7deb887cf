package agent

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

var plainLines = []string{
	"Nov 22 07:01:01 mx postfix/qmgr[1]: 224052F8F6: from=<b@news.example.com>, size=387, nrcpt=1 (queue active)",
	"Nov 22 07:01:02 mx postfix/smtp[2]: 224052F8F6: to=<jo@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 <jo@example.org>: user unknown (in reply to RCPT TO command))",
}

func wrapped(before, behind string) (all []string) {
	for _, line := range plainLines {
		all = append(all, before+line+behind)
	}
	return all
}

// read gives what a log's sink makes of lines, and what it logs.
func readWrapped(t *testing.T, container inputs.Container, explain bool, lines []string) (*queue.Batch, string, inputs.Container) {
	t.Helper()
	var said bytes.Buffer
	s := newSink(sinkConfig{
		name: "in", format: config.Section{Type: "postfix"}, classifier: classify.Default(), now: time.Now, container: container,
		env: config.Env{Log: slog.New(slog.NewTextHandler(&said, nil))},
	})
	s.unwrapper.any = explain
	var recs []event.Record
	for _, line := range lines {
		recs = append(recs, event.Record{Time: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), Body: []byte(line)})
	}
	d, err := s.parse(recs, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	return &d.batch, said.String(), s.unwrapper.found
}

func TestLinesOfContainers(t *testing.T) {
	t.Parallel()
	const stamp = `\n","stream":"stdout","time":"2026-11-22T07:01:02.123456789Z"}`
	docker, compose := wrapped(`{"log":"`, stamp), wrapped("mail_1  | ", "")
	part := wrapped(`{"log":"`, strings.TrimPrefix(stamp, `\n`))
	for what, c := range map[string]struct {
		container inputs.Container
		lines     []string
		events    int
		ignored   string
		n         uint64
	}{
		"json-file":                   {inputs.ContainerJSONFile, docker, 1, "", 0},
		"json-file with spaces":       {inputs.ContainerJSONFile, wrapped(`{"log": "`, `\r\n", "stream": "stdout"}`), 1, "", 0},
		"compose":                     {inputs.ContainerCompose, compose, 1, "", 0},
		"compose, a name with hyphen": {inputs.ContainerCompose, wrapped("stack-mail-1 | ", ""), 1, "", 0},
		"bare":                        {"", plainLines, 1, "", 0},
		"json-file, not named":        {"", docker, 0, ignoredWrapped, 2},
		"compose, not named":          {"", compose, 0, ignoredWrapped, 2},
		"the other one":               {inputs.ContainerCompose, docker, 0, ignoredUnwrapped, 2},
		"bare where one is named":     {inputs.ContainerJSONFile, plainLines, 0, ignoredUnwrapped, 2},
		"a wrapper in a wrapper":      {inputs.ContainerCompose, wrapped("a_1 | b_1 | ", ""), 0, "", 0},
		"parts of a line":             {inputs.ContainerJSONFile, append(part[:1:1], docker[1]), 0, ignoredUnwrapped, 2},
		"two lines in one":            {inputs.ContainerJSONFile, wrapped(`{"log":"x\n`, stamp), 0, ignoredUnwrapped, 2},
		"no log":                      {inputs.ContainerJSONFile, []string{`{"stream":"stdout"}`, `{"log":7}`, `{"log":"x`}, 0, ignoredUnwrapped, 3},
		"what is no name":             {inputs.ContainerCompose, wrapped("<mail> | ", ""), 0, ignoredUnwrapped, 2},
		"no bar":                      {inputs.ContainerCompose, wrapped("mail_1 ", ""), 0, ignoredUnwrapped, 2},
	} {
		b, said, _ := readWrapped(t, c.container, false, c.lines)
		if len(b.Events) != c.events || c.ignored != "" && b.Counts[queue.IgnoredAs(c.ignored)] != c.n || len(b.Refused) > 0 {
			t.Errorf("%s: %d events, %v", what, len(b.Events), b.Counts)
		}
		if strings.Count(said, "wrapper") != map[bool]int{true: 1}[c.ignored == ignoredWrapped] {
			t.Errorf("%s: said %q", what, said)
		}
	}
}

// The wrapper says exactly when, which a line without its year does not.
func TestJSONFileKnowsTheTime(t *testing.T) {
	t.Parallel()
	rec := event.Record{Time: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), Body: []byte(`{"log":"x\n","time":"2026-11-22T07:01:02.5Z"}`)}
	u := unwrapper{kind: inputs.ContainerJSONFile}
	if why := u.unwrap(&rec); why != "" || string(rec.Body) != "x" || !rec.Time.Equal(time.Date(2026, 11, 22, 7, 1, 2, 5e8, time.UTC)) {
		t.Errorf("%q %+v", why, rec)
	}
}

// explain reports nothing, and so may recognise what the daemon must be told.
func TestExplainRecognisesContainers(t *testing.T) {
	t.Parallel()
	for want, lines := range map[inputs.Container][]string{
		inputs.ContainerJSONFile: wrapped(`{"log":"`, `\n","stream":"stdout"}`), inputs.ContainerCompose: wrapped("mail-1  | ", ""), "": plainLines,
	} {
		if b, _, found := readWrapped(t, "", true, lines); len(b.Events) != 1 || found != want {
			t.Errorf("%s: %q, %d events", want, found, len(b.Events))
		}
	}
}
