package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Section is a module's part of the file, kept as nodes until the registry knows its type.
type Section struct {
	Type string // the value of its `type` key
	file string
	path string
	node *yaml.Node
	typ  *yaml.Node
}

// section takes a mapping with a `type`, or the type alone (`parser: postfix`).
func (d *decoder) section(n *yaml.Node, path string, s *Section) {
	*s = Section{file: d.file, path: path, node: n, typ: n}
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		s.Type, s.node = n.Value, nil
		return
	}
	d.eachKey(n, path, func(key, value *yaml.Node) {
		if key.Value == "type" {
			d.scalar(value, join(path, "type"), func(t string) error { s.Type, s.typ = t, value; return nil })
		}
	})
	if s.Type == "" && n.Kind == yaml.MappingNode && !d.typeBySynonym(n, path, s) {
		d.fail(n, join(path, "type"), "%s lacks its type", path)
	}
}

// typeBySynonym finds the type under a word that is not quite ours, and tells that. The key is not told again.
func (d *decoder) typeBySynonym(n *yaml.Node, path string, s *Section) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key, value := n.Content[i], n.Content[i+1]; nearest(key.Value, []string{"type"}) != "" && value.Kind == yaml.ScalarNode {
			d.fail(key, join(path, "type"), "unknown key %q; did you mean \"type\"?", join(path, key.Value))
			s.Type, s.typ, key.Value = value.Value, value, "type"
			return true
		}
	}
	return false
}

// Decode fills c, a pointer to a module's configuration struct that holds the defaults. The error is an Errors with
// every mistake of the section.
func (s Section) Decode(c any) error {
	if s.node == nil {
		return nil
	}
	d := &decoder{file: s.file}
	rest := *s.node
	rest.Content = nil
	for i := 0; i+1 < len(s.node.Content); i += 2 {
		if s.node.Content[i].Value != "type" {
			rest.Content = append(rest.Content, s.node.Content[i], s.node.Content[i+1])
		}
	}
	d.decode(&rest, s.path, valueOf(c))
	if len(d.errs) > 0 {
		return d.errs.sorted()
	}
	return nil
}

// Errorf is a mistake at key of the section, or at the section itself if key is empty or absent. Items of lists and keys
// of mappings within are "routes[1].path".
func (s Section) Errorf(key, format string, args ...any) error {
	d := &decoder{file: s.file}
	path := s.path // empty of a section that no file has
	if path != "" && key != "" {
		path = join(path, key)
	}
	if path != "" {
		format = strings.ReplaceAll(path, "%", "%%") + ": " + format
	}
	d.fail(s.place(key), path, format, args...)
	return d.errs
}

// place finds the node of key, or of as much of it as there is; at first the section's own.
func (s Section) place(key string) *yaml.Node {
	at, here := s.typ, s.node
	for _, word := range strings.FieldsFunc(key, func(c rune) bool { return c == '.' || c == '[' || c == ']' }) {
		if here = child(here, word); here == nil {
			break
		}
		at = here
	}
	return at
}

// child is the value of a mapping's key, or the item of a list by its number from 0; nil: there is none.
func child(n *yaml.Node, word string) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil {
		return nil
	}
	if i, err := strconv.Atoi(word); err == nil && n.Kind == yaml.SequenceNode && i >= 0 && i < len(n.Content) {
		return n.Content[i]
	}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == word {
			return n.Content[i+1]
		}
	}
	return nil
}

// Nested gives the sections that stand under key in s and in what s holds: the parsers of a webhook's routes. It leaves
// out what is no section.
func (s Section) Nested(key string) []Section {
	if s.node == nil {
		return nil
	}
	return nested(&decoder{file: s.file}, s.node, s.path, key)
}

func nested(d *decoder, n *yaml.Node, path, key string) (all []Section) {
	switch n.Kind {
	case yaml.SequenceNode:
		for i, item := range n.Content {
			all = append(all, nested(d, item, fmt.Sprintf("%s[%d]", path, i), key)...)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, value := n.Content[i].Value, n.Content[i+1]
			if name != key {
				all = append(all, nested(d, value, join(path, name), key)...)
				continue
			}
			var s Section
			if d.section(value, join(path, name), &s); s.Type != "" {
				all = append(all, s)
			}
		}
	}
	return all
}

// Texts gives the values that stand under key in s and in what s holds, each alone or in a list; of a section the type.
func (s Section) Texts(key string) []string {
	if s.node == nil {
		return nil
	}
	return texts(s.node, key)
}

func texts(n *yaml.Node, key string) (all []string) {
	for i, value := range n.Content {
		isValue := n.Kind == yaml.MappingNode && i%2 == 1
		if !isValue || n.Content[i-1].Value != key {
			all = append(all, texts(value, key)...)
			continue
		}
		items := []*yaml.Node{value}
		if value.Kind == yaml.SequenceNode {
			items = value.Content
		}
		for _, item := range items {
			if typ := child(item, "type"); typ != nil {
				item = typ
			}
			if item.Kind == yaml.ScalarNode {
				all = append(all, item.Value)
			}
		}
	}
	return all
}

// unknownType is the mistake of a section whose type is none of kinds.
func (s Section) unknownType(kinds []string) error {
	d := &decoder{file: s.file}
	remedy := suggest(s.Type, kinds)
	if nearest(s.Type, kinds) == "logfile" && slices.Contains([]string{"postfix", "exim", "sendmail"}, s.Type) {
		remedy = fmt.Sprintf("; write type: logfile or journald, and parser: %s beside a logfile", s.Type)
	}
	d.fail(s.typ, join(s.path, "type"), "%s: unknown type %q%s", s.path, s.Type, remedy)
	return d.errs
}
