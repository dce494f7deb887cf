package config

import (
	"encoding"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Named is one entry of a Map, in the order of the file.
type Named[T any] struct {
	Name  string
	Value T
}

// Map is a YAML mapping that keeps its order; its keys are the admin's own names.
type Map[T any] []Named[T]

func (m *Map[T]) add(name string) reflect.Value {
	*m = append(*m, Named[T]{Name: name})
	return reflect.ValueOf(&(*m)[len(*m)-1].Value).Elem()
}

type orderedMap interface {
	add(name string) reflect.Value
}

func valueOf(v any) reflect.Value { return reflect.ValueOf(v).Elem() }

// document parses data into its one document's root node.
func document(name string, data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc, second yaml.Node
	err := dec.Decode(&doc)
	if err == io.EOF {
		return nil, Errors{{File: name, Message: "the file is empty: let bouncefeed init write one, or start from /usr/share/doc/bouncefeed/examples/config.yaml"}}
	}
	if err == nil {
		if err = dec.Decode(&second); err == io.EOF {
			return doc.Content[0], nil
		}
		if err == nil {
			return nil, Errors{{File: name, Line: second.Line, Col: second.Column, Message: "a second document begins here: one file holds one document, remove the '---'"}}
		}
	}
	return nil, syntaxError(name, string(data), err)
}

type decoder struct {
	file string
	errs Errors
}

// fail notes a mistake at n, of the value of the dotted key path; "" where it is none's.
func (d *decoder) fail(n *yaml.Node, path, format string, args ...any) {
	e := Error{File: d.file, Message: fmt.Sprintf(format, args...), path: path}
	if n != nil {
		e.Line, e.Col = n.Line, n.Column
	}
	d.errs = append(d.errs, e)
}

// decode fills v from n. path is the dotted key for messages. Its depth is that of v's type, so aliases can not
// multiply without end.
func (d *decoder) decode(n *yaml.Node, path string, v reflect.Value) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if s, ok := v.Addr().Interface().(*Section); ok {
		d.section(n, path, s)
		return
	}
	if m, ok := v.Addr().Interface().(orderedMap); ok {
		d.eachKey(n, path, func(key, value *yaml.Node) { d.decode(value, join(path, key.Value), m.add(key.Value)) })
		return
	}
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.scalar(n, path, func(s string) error { return t.UnmarshalText([]byte(s)) })
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, path, v)
	case reflect.Slice:
		d.sequence(n, path, v)
	case reflect.String:
		d.scalar(n, path, func(s string) error { v.SetString(s); return nil })
	case reflect.Bool:
		d.scalar(n, path, func(s string) error { return setBool(v, s) })
	case reflect.Int, reflect.Int64:
		d.scalar(n, path, func(s string) error { return setInt(v, s) })
	case reflect.Float64:
		d.scalar(n, path, func(s string) error { return setFloat(v, s) })
	default:
		panic("config: no decoding for " + v.Type().String())
	}
}

func (d *decoder) scalar(n *yaml.Node, path string, set func(string) error) {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.fail(n, path, "%s takes one value, not %s", path, kindWord(n))
	case n.Tag == "!!null":
		d.fail(n, path, "%s has no value: give one or remove the line", path)
	default:
		if err := set(n.Value); err != nil {
			d.fail(n, path, "%s: %v", path, err)
		}
	}
}

func (d *decoder) sequence(n *yaml.Node, path string, v reflect.Value) {
	items := n.Content
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" { // one value where a list may stand
		items = []*yaml.Node{n}
	} else if n.Kind != yaml.SequenceNode {
		d.fail(n, path, "%s takes a list, not %s: begin each item with '- '", path, kindWord(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		d.decode(item, fmt.Sprintf("%s[%d]", path, i), out.Index(i))
	}
	v.Set(out)
}

// eachKey calls f for every key of a mapping, once each.
func (d *decoder) eachKey(n *yaml.Node, path string, f func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		remedy := ""
		if n.Kind == yaml.SequenceNode && (path == "inputs" || path == "outputs") {
			remedy = ": give each a name of your own in place of its '-', such as mail:"
		}
		d.fail(n, path, "%s takes keys and values, not %s%s", orWhole(path), kindWord(n), remedy)
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch line, again := seen[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			d.fail(key, path, "a key must be one word")
		case key.Value == "<<":
			d.fail(key, path, "merge keys (<<) are not supported: write the keys out")
		case again:
			d.fail(key, join(path, key.Value), "%s stands twice (first on line %d): remove one", join(path, key.Value), line)
		default:
			seen[key.Value] = key.Line
			f(key, value)
		}
	}
}

func (d *decoder) structure(n *yaml.Node, path string, v reflect.Value) {
	switch p := v.Addr().Interface().(type) {
	case *Rule:
		p.section = Section{file: d.file, path: path, node: n, typ: n}
	case *Alerts:
		p.section = Section{file: d.file, path: path, node: n, typ: n}
	case *Test:
		p.section = Section{file: d.file, path: path, node: n, typ: n}
	}
	fields := fieldsOf(v)
	secrets := map[string]*yaml.Node{}
	d.eachKey(n, path, func(key, value *yaml.Node) {
		name := key.Value
		if f, ok := fields[name]; ok && f.Type() != secretType {
			d.decode(value, join(path, name), f)
			return
		}
		if base, how, ok := secretKey(fields, name); ok {
			d.secret(key, value, join(path, name), how, secretOf(fields, base))
			if first := secrets[base]; first != nil {
				d.fail(key, join(path, base), "%s and %s both give %s: keep one", first.Value, name, base)
			}
			secrets[base] = key
			return
		}
		if f, ok := fields[name]; ok && f.Type() == secretType {
			d.fail(key, join(path, name), "%s may not stand in the configuration: put it into a file of its own and give %s_file, or %s_env or %s_credential", join(path, name), name, name, name)
			*secretOf(fields, name) = Secret{how: "configuration"} // there is one; the modules need not miss it
			return
		}
		d.unknownKey(key, path, fields)
	})
}

// unknownKey tells of a key that the struct lacks, under the path of the one that seems to be meant: that this one is
// missing is then no news.
func (d *decoder) unknownKey(key *yaml.Node, path string, fields map[string]reflect.Value) {
	known := keyNames(fields)
	if word, value, ok := strings.Cut(key.Value, ":"); ok && slices.Contains(known, word) {
		d.fail(key, join(path, word), "a space is missing after the colon: write %s: %s", word, value)
		return
	}
	if meant := nearest(key.Value, known); meant != "" {
		if base, _, ok := secretKey(fields, meant); ok {
			*secretOf(fields, base) = Secret{how: "configuration"}
		}
		d.fail(key, join(path, meant), "unknown key %q; did you mean %q?", join(path, key.Value), meant)
		return
	}
	d.fail(key, join(path, key.Value), "unknown key %q; known: %s", join(path, key.Value), strings.Join(known, ", "))
}

func setBool(v reflect.Value, s string) error {
	b, err := strconv.ParseBool(strings.ToLower(s))
	if err != nil || len(s) == 1 {
		return fmt.Errorf("%q is neither true nor false", s)
	}
	v.SetBool(b)
	return nil
}

func setInt(v reflect.Value, s string) error {
	i, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return fmt.Errorf("%q is no whole number", s)
	}
	v.SetInt(i)
	return nil
}

func setFloat(v reflect.Value, s string) error {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != f || f-f != 0 {
		return fmt.Errorf("%q is no number", s)
	}
	v.SetFloat(f)
	return nil
}
