package provider

import (
	"encoding/json"
	"strings"
)

// carried are the names and values that a provider hands back of what came with a message.
type carried map[string]string

func readCarried(all []json.RawMessage) carried {
	c := carried{}
	for _, raw := range all {
		var v any
		if json.Unmarshal(raw, &v) == nil {
			c.add(v)
		}
	}
	return c
}

// add takes every form in which providers have them:
//
//	{"X-Listmonk-Campaign":"…"}   {"X-Listmonk-Campaign":["…"]}
//	[{"name":"X-Listmonk-Campaign","value":"…"}]   [["X-Listmonk-Campaign","…"]]
//	"{\"X-Listmonk-Campaign\":\"…\"}"   "X-Listmonk-Campaign:…|X-Listmonk-Subscriber:…"
func (c carried) add(v any) {
	switch v := v.(type) {
	case map[string]any:
		c.addMap(v)
	case []any:
		if name, value := textAt(v, 0), textAt(v, 1); len(v) == 2 && name != "" {
			c.put(name, value)
			return
		}
		for _, one := range v {
			if _, text := one.(string); !text {
				c.add(one)
			}
		}
	case string:
		var inside any
		if json.Unmarshal([]byte(v), &inside) == nil {
			if _, text := inside.(string); !text {
				c.add(inside)
			}
			return
		}
		for _, one := range strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune("|;,\r\n", r) }) {
			name, value, _ := strings.Cut(one, ":")
			c.put(name, value)
		}
	}
}

func (c carried) addMap(m map[string]any) {
	folded := map[string]any{}
	for name, value := range m {
		folded[strings.ToLower(name)] = value
	}
	if name, ok := folded["name"].(string); ok && folded["value"] != nil {
		c.putAny(name, folded["value"])
		return
	}
	for name, value := range m {
		c.putAny(name, value)
	}
}

func (c carried) putAny(name string, value any) {
	switch value := value.(type) {
	case string:
		c.put(name, value)
	case []any:
		if len(value) == 1 {
			c.put(name, textAt(value, 0))
		}
	}
}

func textAt(list []any, i int) string {
	if i >= len(list) {
		return ""
	}
	s, _ := list[i].(string)
	return s
}

// put keeps a value. A name with two values has none: which is meant can't be told.
func (c carried) put(name, value string) {
	name, value = foldName(name), strings.TrimSpace(value)
	if known, twice := c[name]; twice && known != value {
		value = ""
	}
	c[name] = value
}

func (c carried) get(name string) string { return c[foldName(name)] }

// foldName makes "X-Listmonk-Campaign", "x_listmonk_campaign" and "ListmonkCampaign" alike: not every provider takes
// every name.
func foldName(name string) string {
	name = strings.Map(func(r rune) rune {
		if strings.ContainsRune("-_ .", r) {
			return -1
		}
		return r
	}, strings.ToLower(name))
	return strings.TrimPrefix(name, "x")
}
