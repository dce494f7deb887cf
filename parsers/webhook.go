package parsers

import (
	"bytes"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// What the parsers of webhook requests share: each is one file, named like the provider. A request's signature is
// verified over the raw bytes before anything of it is read. A body that is not what its format promises is refused,
// item by item: one broken item in a batch does not take the others with it.

// Bodies whose provider posts JSON, or a form, embed one of these to be a Web.
type (
	jsonBody struct{}
	formBody struct{}
)

func (jsonBody) ContentTypes() []string {
	return []string{"application/json", "application/cloudevents+json", "application/cloudevents-batch+json"}
}
func (formBody) ContentTypes() []string { return []string{"application/x-www-form-urlencoded"} }

const signedWithin = 5 * time.Minute

// fresh refuses a signed time too far from when the request came. A captured request that is only explained has no such
// time, and any is fine.
func fresh(signed time.Time, rec event.Record) error {
	if rec.Time.IsZero() {
		return nil
	}
	if d := rec.Time.Sub(signed); d > signedWithin || d < -signedWithin {
		return event.Refuse(WhyStale, "signed %s from now: replayed, or a clock is wrong", d.Round(time.Second))
	}
	return nil
}

// unixTime reads seconds or, from the year 2286 on, milliseconds since 1970, also with a fraction. ok is false for what
// is no such number.
func unixTime(s string) (t time.Time, ok bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f > 0) || f > 1e14 {
		return time.Time{}, false
	}
	if f >= 1e10 {
		f /= 1000
	}
	whole, part := math.Modf(f)
	return time.Unix(int64(whole), int64(part*1e9)).UTC(), true
}

// freshAt is fresh for the Unix time that stands beside a signature.
func freshAt(timestamp string, rec event.Record) error {
	signed, ok := unixTime(timestamp)
	if !ok {
		return event.Refuse(WhyStale, "no Unix time beside the signature")
	}
	return fresh(signed, rec)
}

// A signer makes the code that a request should carry, of what is signed, for one key.
func signer(newHash func() hash.Hash, key []byte, parts ...[]byte) []byte {
	mac := hmac.New(newHash, key)
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(nil)
}

// signedBy says, in constant time, whether one of macs is what one of the secret's lines makes of parts. Two lines are
// two secrets, while one takes the other's place. decode turns a line into the key; nil takes it as it is.
func signedBy(secret config.Secret, decode func(string) ([]byte, error), newHash func() hash.Hash, macs [][]byte, parts ...[]byte) error {
	lines, err := secret.Lines()
	if err != nil {
		return err
	}
	good := false
	for _, line := range lines {
		key := []byte(line)
		if decode != nil {
			if key, err = decode(line); err != nil {
				return err
			}
		}
		want := signer(newHash, key, parts...)
		for _, mac := range macs {
			good = hmac.Equal(mac, want) || good
		}
	}
	if !good {
		return event.Refuse(WhyBadSignature, "the signature is made with another key, or the body was changed")
	}
	return nil
}

const (
	jsonMaxDepth  = 32
	jsonMaxItems  = 10_000 // of one request
	jsonMaxFaults = 100    // refused one by one; the rest of the request together
)

// eachItem calls f for every item of a JSON array, or for the one object that body is. Items that are no sound JSON
// objects, and those f refuses, make up the error.
func eachItem(body []byte, f func(item []byte) error) error {
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
			case n == jsonMaxItems || len(refusals) == jsonMaxFaults:
				return errors.Join(append(refusals, inPart(event.Refuse(WhyTooMany, "more items, or more faults, than one request may have"), body[at:]))...)
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
		refusals = append(refusals, event.Refuse(WhyMalformed, "more follows behind the JSON"))
	}
	return errors.Join(refusals...)
}

func nextItem(dec *json.Decoder) (item json.RawMessage, err error) {
	err = dec.Decode(&item)
	return item, err
}

func oneItem(item []byte, f func(item []byte) error) error {
	err := soundObject(item)
	if err == nil {
		err = f(item)
	}
	if err != nil {
		return inPart(err, item)
	}
	return nil
}

func malformed(part []byte, err error) error {
	return inPart(event.Refuse(WhyMalformed, "not JSON: %v", err), part)
}

// inPart says which part of the record a refusal means.
func inPart(err error, part []byte) error {
	if r, ok := errors.AsType[*event.RefusedError](err); ok {
		r.Part = part
		return r
	}
	return &event.RefusedError{Why: WhyMalformed, Detail: err.Error(), Part: part}
}

// soundObject refuses what two readers may read in two ways: a key that stands twice, in whatever case, since
// encoding/json takes them for one; and what is nested deeper than any provider does.
func soundObject(item []byte) error {
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
			return event.Refuse(WhyMalformed, "not JSON: %v", err)
		}
		delim, _ := token.(json.Delim)
		top := len(open) - 1
		if top >= 0 && open[top].keys != nil && delim != '}' {
			if open[top].isKey = !open[top].isKey; open[top].isKey {
				key := strings.ToLower(token.(string))
				if open[top].keys[key] {
					return event.Refuse(WhyTwoReadings, "a key stands twice in one object")
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
		case len(open) > jsonMaxDepth:
			return event.Refuse(WhyTooDeep, "JSON nested deeper than %d", jsonMaxDepth)
		case len(open) == 0 && delim != '}':
			return event.Refuse(WhyMalformed, "not a JSON object")
		case len(open) == 0:
			return nil
		}
	}
}

// readItem fills v, a struct, from an item that is sound.
func readItem(item []byte, v any) error {
	if err := json.Unmarshal(item, v); err != nil {
		return event.Refuse(WhyMalformed, "JSON of another shape: %v", withoutValue(err))
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

// A loose text is a JSON string, number or boolean as text: providers are of two minds about codes and times.
type loose string

func (l *loose) UnmarshalJSON(b []byte) error {
	switch {
	case string(b) == "null":
	case b[0] == '"':
		return json.Unmarshal(b, (*string)(l))
	case b[0] == '{' || b[0] == '[':
		return errors.New("neither text nor number")
	default:
		*l = loose(b)
	}
	return nil
}

// ours fills in whose mail and of which campaign e is, from what the provider hands back of our own: header fields,
// metadata or custom arguments, in the order of who is asked. Test mails keep their dummy UUID, which the agent knows.
func ours(e *event.Event, get func(name string) string) {
	campaign, subscriber := messageIDUUIDs(e.MessageID)
	for _, name := range []string{"X-Listmonk-Campaign", "XListmonkCampaign", "campaign_uuid"} {
		keepUUID(&campaign, get(name))
	}
	for _, name := range []string{"X-Listmonk-Subscriber", "XListmonkSubscriber", "subscriber_uuid"} {
		keepUUID(&subscriber, get(name))
	}
	keepUUID(&e.CampaignUUID, campaign)
	keepUUID(&e.SubscriberUUID, subscriber)
	if e.SubscriberUUID != "" {
		e.Evidence = evidenceUUID
	}
}

func keepUUID(place *string, s string) {
	if *place == "" {
		*place = asUUID(s)
	}
}

// asUUID is s in lower case, "" if it is no UUID.
func asUUID(s string) string {
	if s = strings.ToLower(strings.TrimSpace(s)); isUUID(s) {
		return s
	}
	return ""
}
