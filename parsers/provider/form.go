package provider

import (
	"bytes"
	"net/url"

	"bouncefeed/internal/event"
)

// formBody is embedded by the parsers of requests that are forms, to be a parsers.Web.
type formBody struct{}

func (formBody) ContentTypes() []string { return []string{"application/x-www-form-urlencoded"} }

const formMaxFields = 1000

// form is a body of type application/x-www-form-urlencoded. PHP's ways stand in the names: tags[] or tags[0] for a list,
// parameters[key] for a map.
type form map[string][]string

// readForm refuses a form of which a part can't be decoded, and one with more fields than any provider sends.
func readForm(body []byte) (form, error) {
	if bytes.Count(body, []byte("&")) >= formMaxFields {
		return nil, event.Refuse(event.WhyTooMany, "a form of more than %d fields", formMaxFields)
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, event.Refuse(event.WhyMalformed, "not a form: a field is not encoded as it should be")
	}
	return form(values), nil
}

// each gives the value of every name, "" where there is none; a name that stands twice has two readings.
func (f form) each(names ...string) ([]string, error) {
	values := make([]string, len(names))
	for i, name := range names {
		if len(f[name]) > 1 {
			return nil, event.Refuse(event.WhyTwoReadings, "%s stands twice", name)
		}
		if len(f[name]) == 1 {
			values[i] = f[name][0]
		}
	}
	return values, nil
}

// entry is the value of a key of a map, as parameters[key].
func (f form) entry(name, key string) string {
	if values := f[name+"["+key+"]"]; len(values) == 1 {
		return values[0]
	}
	return ""
}
