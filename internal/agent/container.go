package agent

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
)

// Why a line is not read: counter words.
const (
	ignoredWrapped   = "wrapped"    // it stands in a container's wrapper, of which the configuration says nothing
	ignoredUnwrapped = "no_wrapper" // the other way round, or only a part of a line stands there
)

// unwrapper takes lines out of what containers wrap around them. Only the wrapper that the configuration names is looked
// for: who can write a line could write a wrapper into it, too.
type unwrapper struct {
	kind  inputs.Container
	any   bool             // explain, by which nothing is reported, recognises each
	found inputs.Container // around the last line
	parts bool             // the last one was not the end of its line
}

// unwrap takes the wrapper off; why says that rec is not to be read.
func (u *unwrapper) unwrap(rec *event.Record) (why string) {
	u.found = u.kind
	if u.any {
		u.found = wrapperOf(rec.Body)
	}
	switch u.found {
	case inputs.ContainerJSONFile:
		return u.jsonFile(rec)
	case inputs.ContainerCompose:
		return composed(rec)
	}
	return ""
}

// jsonFile reads what Docker's default log driver writes. It cuts lines of more than 16 KiB, which no mail server
// writes: none of the parts is read, for the second may begin with anything.
//
//	{"log":"Nov 22 06:47:42 mail postfix/smtp[828]: …\n","stream":"stdout","time":"2026-11-22T06:47:42.581177123Z"}
func (u *unwrapper) jsonFile(rec *event.Record) (why string) {
	var line struct {
		Log  *string
		Time string
	}
	if rec.Truncated || json.Unmarshal(rec.Body, &line) != nil || line.Log == nil {
		return ignoredUnwrapped
	}
	body, whole := strings.CutSuffix(*line.Log, "\n")
	was := u.parts
	if u.parts = !whole; was || !whole || strings.Contains(body, "\n") {
		return ignoredUnwrapped
	}
	rec.Body = []byte(strings.TrimSuffix(body, "\r"))
	if at, err := time.Parse(time.RFC3339, line.Time); err == nil {
		rec.Time = event.BelieveTime(at, rec.Time)
	}
	return ""
}

// composed reads what `docker compose logs` puts before every line.
//
//	mail_1  | Nov 22 06:47:42 mail postfix/smtp[828]: …
func composed(rec *event.Record) (why string) {
	n := composePrefix(rec.Body)
	if n == 0 {
		return ignoredUnwrapped
	}
	rec.Body = rec.Body[n:]
	return ""
}

// wrapperOf says in what a line seems to be wrapped, "" if in nothing.
func wrapperOf(line []byte) inputs.Container {
	switch {
	case bytes.HasPrefix(line, []byte(`{"log":`)):
		return inputs.ContainerJSONFile
	case composePrefix(line) > 0:
		return inputs.ContainerCompose
	}
	return ""
}

// maxContainerName is how long a service's name may be, with what fills it up.
const maxContainerName = 128

// composePrefix is the length of a container's name with the bar behind it, 0 if line does not begin so.
func composePrefix(line []byte) int {
	bar := bytes.IndexByte(line[:min(len(line), maxContainerName)], '|')
	if bar < 2 || line[bar-1] != ' ' || bar+1 < len(line) && line[bar+1] != ' ' {
		return 0
	}
	for i, c := range bytes.TrimRight(line[:bar], " ") {
		if !text.IsDigit(c) && !text.IsLetter(c) && (i == 0 || !bytes.ContainsRune([]byte("_.-"), rune(c))) {
			return 0
		}
	}
	return min(bar+2, len(line))
}

// hidden says, once, that what stands before a line keeps it from being read.
func (s *sink) hidden(rec *event.Record) bool {
	wrapper := wrapperOf(rec.Body)
	if wrapper == "" || s.container != "" || rec.Request != nil || rec.Syslog != nil {
		return false
	}
	if !s.saidWrapped {
		s.saidWrapped = true
		s.env.Log.Warn("lines stand in a container's wrapper and are not read: name it in this input's configuration (backfill: --container)", "container", string(wrapper))
	}
	return true
}
