// Package item reads requests that tell of several things at once: an array of JSON objects, or one object. One that is
// not what its format promises, or has two readings, is refused by itself; it does not take the others with it.
package item

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"bouncefeed/internal/event"
	"bouncefeed/internal/smtp"
)

// JSON is embedded by the parsers of requests in JSON, which makes them a parsers.Web.
type JSON struct{}

// ContentTypes implements parsers.Web.
func (JSON) ContentTypes() []string {
	return []string{"application/json", "application/cloudevents+json", "application/cloudevents-batch+json"}
}

const (
	maxDepth  = 32
	maxItems  = 10_000 // of one request
	maxFaults = 100    // refused one by one; the rest of the request together
)

// Each calls f for every item of a JSON array, or for the one object that body is. Items that are no sound JSON
// objects, and those f refuses, make up the error.
func Each(body []byte, f func(item []byte) error) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	var refusals []error
	if first := bytes.TrimLeft(body, " \t\r\n"); len(first) > 0 && first[0] == '[' {
		if _, err := dec.Token(); err != nil {
			return malformed(body, err)
		}
		for n := 0; dec.More(); n++ {
			at := dec.InputOffset()
			item, err := nextItem(dec)
			switch {
			case err != nil: // what follows can't be told apart any more
				return errors.Join(append(refusals, malformed(body[at:], err))...)
			case n == maxItems || len(refusals) == maxFaults:
				return errors.Join(append(refusals, inPart(event.Refuse(event.WhyTooMany, "more items, or more faults, than one request may have"), body[at:]))...)
			}
			if err := oneItem(item, f); err != nil {
				refusals = append(refusals, err)
			}
		}
		if _, err := dec.Token(); err != nil {
			refusals = append(refusals, malformed(body, err))
		}
	} else if item, err := nextItem(dec); err != nil {
		return malformed(body, err)
	} else if err := oneItem(item, f); err != nil {
		refusals = append(refusals, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		refusals = append(refusals, event.Refuse(event.WhyMalformed, "more follows behind the JSON"))
	}
	return errors.Join(refusals...)
}

func nextItem(dec *json.Decoder) (item json.RawMessage, err error) {
	err = dec.Decode(&item)
	return item, err
}

func oneItem(item []byte, f func(item []byte) error) error {
	err := Sound(item)
	if err == nil {
		err = f(item)
	}
	if err != nil {
		return inPart(err, item)
	}
	return nil
}

func malformed(part []byte, err error) error {
	return inPart(event.Refuse(event.WhyMalformed, "not JSON: %v", err), part)
}

// inPart says which part of the record a refusal means.
func inPart(err error, part []byte) error {
	if r, ok := errors.AsType[*event.RefusedError](err); ok {
		r.Part = part
		return r
	}
	return &event.RefusedError{Why: event.WhyMalformed, Detail: err.Error(), Part: part}
}

// Sound refuses what two readers may read in two ways: a key that stands twice, in whatever case, since
// encoding/json takes them for one; and what is nested deeper than any provider does.
func Sound(item []byte) error {
	dec := json.NewDecoder(bytes.NewReader(item))
	dec.UseNumber()
	type level struct {
		keys  map[string]bool // nil: an array
		isKey bool
	}
	var open []level
	for {
		token, err := dec.Token()
		if err != nil {
			return event.Refuse(event.WhyMalformed, "not JSON: %v", err)
		}
		delim, _ := token.(json.Delim)
		top := len(open) - 1
		if top >= 0 && open[top].keys != nil && delim != '}' {
			if open[top].isKey = !open[top].isKey; open[top].isKey {
				key := strings.Map(foldKey, token.(string))
				if open[top].keys[key] {
					return event.Refuse(event.WhyTwoReadings, "a key stands twice in one object")
				}
				open[top].keys[key] = true
				continue
			}
		}
		switch delim {
		case '{':
			open = append(open, level{keys: map[string]bool{}})
		case '[':
			open = append(open, level{})
		case '}', ']':
			open = open[:top]
		}
		switch {
		case len(open) > maxDepth:
			return event.Refuse(event.WhyTooDeep, "JSON nested deeper than %d", maxDepth)
		case len(open) == 0 && delim != '}':
			return event.Refuse(event.WhyMalformed, "not a JSON object")
		case len(open) == 0:
			return nil
		}
	}
}

// foldKey is the same for all letters that encoding/json takes for one: s, S and ſ.
func foldKey(r rune) rune {
	smallest := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		smallest = min(smallest, other)
	}
	return smallest
}

// Read fills v, a struct, from an item that is sound.
func Read(item []byte, v any) error {
	if err := json.Unmarshal(item, v); err != nil {
		return event.Refuse(event.WhyMalformed, "JSON of another shape: %v", withoutValue(err))
	}
	return nil
}

// withoutValue leaves out of a mistake what the body said.
func withoutValue(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s is no %s", e.Field, e.Type)
	}
	return err
}

// Loose text is a JSON string, number or boolean as text: providers are of two minds about codes and times.
type Loose string

// UnmarshalJSON implements json.Unmarshaler.
func (l *Loose) UnmarshalJSON(b []byte) error {
	switch {
	case string(b) == "null":
	case b[0] == '"':
		return json.Unmarshal(b, (*string)(l))
	case b[0] == '{' || b[0] == '[':
		return errors.New("neither text nor number")
	default:
		*l = Loose(b)
	}
	return nil
}

// Reply is the SMTP reply code that stands in l, 0 if it is none: providers have codes of their own, as 605 for an
// address on their list.
func (l Loose) Reply() int { return smtp.Code(string(l)) }
