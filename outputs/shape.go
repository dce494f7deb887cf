package outputs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// UnknownError says that the receiver knows no such contact: the event is counted as not stored, and never repeated.
type UnknownError struct{ Err error }

func (e *UnknownError) Error() string { return e.Err.Error() }

// Unwrap gives the answer.
func (e *UnknownError) Unwrap() error { return e.Err }

// lookup is a request that comes first, where a receiver wants a contact's number instead of the address.
type lookup struct {
	// URL is a form; it is asked with GET and the same login.
	URL string `yaml:"url"`
	// Find says where in the JSON of the answer the number stands: "contacts.*.id"; * is the first of a list or object. It
	// fills the blank {{.found}}. Nothing there: the receiver knows no such contact.
	Find string `yaml:"find"`
}

// shape is what the requests of a webhook look like.
type shape struct {
	url         *form // nil: it has no blanks
	body        *form // nil: JSON
	fields      []field
	contentType string
	lookup      *form
	path        []string // of what is looked up
}

type field struct {
	name  string
	value *form
}

var (
	blanks     = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	headerName = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+.^_|~-]+$`)
)

func newShape(section config.Section, c *webhookConfig) (s shape, errs []error) {
	make := func(key, text string, escape func(string) string) *form {
		f, err := newForm(text, escape)
		if err != nil {
			errs = append(errs, section.Errorf(key, "%v", err))
		}
		return f
	}
	s.contentType = c.ContentType
	for key, u := range map[string]string{"url": c.URL, "lookup.url": c.Lookup.URL} {
		if before, _, has := strings.Cut(u, "{{"); has && strings.Count(before, "/") < 3 {
			errs = append(errs, section.Errorf(key, "may have blanks behind the host only"))
		}
	}
	if strings.Contains(c.URL, "{{") {
		s.url = make("url", c.URL, urlEscape)
	}
	if c.Body != "" && len(c.Form) > 0 {
		errs = append(errs, section.Errorf("form", "and body are two ways to say the same: keep one"))
	}
	if c.Body != "" {
		s.body = make("body", c.Body, escapeFor(c.ContentType))
	}
	for _, f := range c.Form {
		s.contentType = "application/x-www-form-urlencoded"
		s.fields = append(s.fields, field{f.Name, make("form."+f.Name, f.Value, notEscaped)})
	}
	switch {
	case c.Lookup.URL == "" && c.Lookup.Find == "":
	case c.Lookup.URL == "" || c.Lookup.Find == "":
		errs = append(errs, section.Errorf("lookup", "needs url and find"))
	case c.BatchSize > 1:
		errs = append(errs, section.Errorf("lookup", "goes with batch: 1"))
	default:
		post, why := parseURL(blanks.ReplaceAllString(c.URL, "x"))
		u, whyLookup := parseURL(blanks.ReplaceAllString(c.Lookup.URL, "x"))
		if why == "" && (whyLookup != "" || u.Scheme != post.Scheme || u.Host != post.Host) {
			errs = append(errs, section.Errorf("lookup.url", "must begin as url does: the login is for that server alone"))
		}
		s.lookup, s.path = make("lookup.url", c.Lookup.URL, urlEscape), strings.Split(c.Lookup.Find, ".")
	}
	return s, errs
}

func escapeFor(contentType string) func(string) string {
	switch {
	case strings.Contains(contentType, "json"):
		return jsonEscape
	case strings.Contains(contentType, "x-www-form-urlencoded"):
		return urlEscape
	}
	return notEscaped
}

// find gives what the forms are filled with, and looks up what they need.
func (s *shape) find(ctx context.Context, p *poster, batch []event.Event) (map[string]any, error) {
	data := formData(batch)
	if s.lookup == nil {
		return data, nil
	}
	text, err := s.lookup.fill(data)
	if err != nil {
		return nil, event.Permanent(fmt.Errorf("lookup.url: %w", err))
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, event.Permanent(errors.New("lookup.url is no address for this event"))
	}
	a, err := p.do(ctx, http.MethodGet, u, nil, nil)
	if err != nil {
		return nil, err
	}
	var found any
	switch {
	case a.status == http.StatusNotFound && a.json:
		return nil, &UnknownError{a.failure("the receiver knows no such contact")}
	case a.status != http.StatusOK:
		return nil, a.later("")
	case json.Unmarshal(a.body, &found) != nil:
		return nil, a.later("lookup: no JSON")
	}
	if data["found"] = pick(found, s.path); data["found"] == nil {
		return nil, &UnknownError{errors.New("the receiver knows no such contact")}
	}
	return data, nil
}

// pick follows path into v; nil: there is nothing. What it gives is a text or a number.
func pick(v any, path []string) any {
	if len(path) == 0 {
		switch v := v.(type) {
		case string:
			return v
		case float64:
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		if path[0] != "*" {
			return pick(v[path[0]], path[1:])
		}
		if len(v) == 1 { // of several, none is meant
			for _, one := range v {
				return pick(one, path[1:])
			}
		}
	case []any:
		if n, err := strconv.Atoi(path[0]); err == nil && n >= 0 && n < len(v) {
			return pick(v[n], path[1:])
		}
		if path[0] == "*" && len(v) == 1 {
			return pick(v[0], path[1:])
		}
	}
	return nil
}

// request makes the request for batch; plain is the URL if it has no blanks.
func (s *shape) request(plain *url.URL, batch []event.Event, array bool, data map[string]any) (u *url.URL, body []byte, err error) {
	u = plain
	if s.url != nil {
		text, err := s.url.fill(data)
		if err == nil {
			u, err = url.Parse(text)
		}
		if err != nil || u.Host != plain.Host {
			return nil, nil, errors.New("url is no address for this event")
		}
	}
	switch {
	case s.body != nil:
		text, err := s.body.fill(data)
		if err != nil {
			return nil, nil, fmt.Errorf("body: %w", err)
		}
		if strings.Contains(s.contentType, "json") && !json.Valid([]byte(text)) {
			return nil, nil, errors.New("body makes no JSON of this event")
		}
		return u, []byte(text), nil
	case len(s.fields) > 0:
		values := url.Values{}
		for _, f := range s.fields {
			text, err := f.value.fill(data)
			if err != nil {
				return nil, nil, fmt.Errorf("form.%s: %w", f.name, err)
			}
			values.Add(f.name, text)
		}
		return u, []byte(values.Encode()), nil
	case array:
		body, err = encode(batch)
	default:
		body, err = encode(&batch[0])
	}
	return u, body, err
}

// codes are answers: 200, or 2 for 2xx.
type codes []int

func newCodes(texts []string) (all codes, err error) {
	for _, text := range texts {
		n, err := strconv.Atoi(strings.TrimSuffix(strings.ToLower(text), "xx"))
		if long := len(text) == 3; err != nil || !long || n < 1 || n > 599 || n > 5 && n < 100 {
			return nil, fmt.Errorf("%q is no answer like 200 or 2xx", text)
		}
		all = append(all, n)
	}
	return all, nil
}

func (c codes) has(status int) bool {
	return slices.Contains(c, status) || slices.Contains(c, status/100)
}
