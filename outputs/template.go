package outputs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"text/template"
	"text/template/parse"

	"bouncefeed/internal/event"
)

// A form is a text with blanks for an event, in Go's text/template: {{.recipient}} is the field of the public schema, "" if
// the event has none; {{json .recipient}} is it as JSON; .events are all events of a batch. What a blank is filled with is
// escaped for the place: anybody can put anything into an address or a reply.
type form struct {
	text     string
	template *template.Template
}

// escaped is a value that stands as it is.
type escaped string

// newForm reads text, with blanks escaped by escape.
func newForm(text string, escape func(string) string) (*form, error) {
	f, err := parseForm(text, escape)
	if err != nil {
		return nil, err
	}
	if _, err := f.fill(formData([]event.Event{{ID: "x"}})); err != nil {
		return nil, fmt.Errorf("can't be filled in: %w", err)
	}
	return f, nil
}

// parseForm is newForm for one with blanks that not every form has.
func parseForm(text string, escape func(string) string) (*form, error) {
	const last = "_escape" // of every pipeline
	t, err := template.New("").Option("missingkey=error").Funcs(template.FuncMap{
		"json":  func(v any) (escaped, error) { b, err := encode(v); return escaped(b), err },
		"lower": func(v any) string { return strings.ToLower(fmt.Sprint(v)) },
		last: func(v any) string {
			if s, ok := v.(escaped); ok {
				return string(s)
			}
			return escape(fmt.Sprint(v))
		},
	}).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("is no template: %s", strings.TrimPrefix(err.Error(), "template: :"))
	}
	for _, one := range t.Templates() {
		if one.Tree != nil {
			escapeAll(one.Tree, one.Tree.Root, last)
		}
	}
	return &form{text, t}, nil
}

// escapeAll puts a last command into every pipeline that prints.
func escapeAll(tree *parse.Tree, n parse.Node, last string) {
	list := func(l *parse.ListNode) {
		if l != nil {
			for _, one := range l.Nodes {
				escapeAll(tree, one, last)
			}
		}
	}
	switch n := n.(type) {
	case *parse.ListNode:
		list(n)
	case *parse.ActionNode:
		if len(n.Pipe.Decl) == 0 {
			f := parse.NewIdentifier(last).SetTree(tree).SetPos(n.Pos)
			n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{f}})
		}
	case *parse.IfNode:
		list(n.List)
		list(n.ElseList)
	case *parse.RangeNode:
		list(n.List)
		list(n.ElseList)
	case *parse.WithNode:
		list(n.List)
		list(n.ElseList)
	}
}

// fill fills the blanks in.
func (f *form) fill(data map[string]any) (string, error) {
	var b bytes.Buffer
	if err := f.template.Execute(&b, data); err != nil {
		return "", fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "template: "))
	}
	return b.String(), nil
}

// schema are the keys of the public schema.
var schema = func() (keys []string) {
	t := reflect.TypeFor[event.Event]()
	for i := range t.NumField() {
		if key, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); key != "-" && key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}()

// formData is what a form sees: the first event's fields, and all events.
func formData(batch []event.Event) map[string]any {
	all := make([]map[string]any, len(batch))
	for i := range batch {
		all[i] = map[string]any{}
		if text, err := encode(&batch[i]); err == nil {
			_ = json.Unmarshal(text, &all[i]) // what we wrote
		}
		for _, key := range schema {
			if _, has := all[i][key]; !has {
				all[i][key] = ""
			}
		}
	}
	data := map[string]any{"events": all, "found": ""} // see lookup
	for key, v := range all[0] {
		data[key] = v
	}
	return data
}

// The ways to escape: within quotes of JSON, anywhere in a URL, not at all.
func jsonEscape(s string) string {
	b, err := encode(strings.ToValidUTF8(s, "\uFFFD"))
	if err != nil {
		return ""
	}
	return string(b[1 : len(b)-1])
}

func urlEscape(s string) string {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	var b strings.Builder
	for _, c := range []byte(s) {
		if strings.IndexByte(unreserved, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func notEscaped(s string) string { return s }
