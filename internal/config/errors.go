package config

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Error is one mistake in a configuration.
type Error struct {
	File      string
	Line, Col int // from 1; 0 where the mistake has no place
	Message   string

	path string // the dotted key that is meant; "" where it is none
}

func (e Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Message)
}

// Errors is every mistake of one configuration, in the order of the file.
type Errors []Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

func (e Errors) sorted() Errors {
	sort.SliceStable(e, func(i, j int) bool {
		return e[i].Line < e[j].Line || e[i].Line == e[j].Line && e[i].Col < e[j].Col
	})
	return e
}

// Join gathers the mistakes of several sections into one Errors, each once; other errors become mistakes without a place.
func Join(file string, errs ...error) error {
	var all Errors
	for _, err := range errs {
		var es Errors
		switch {
		case err == nil:
		case errors.As(err, &es):
			all = append(all, es...)
		default:
			all = append(all, Error{File: file, Message: err.Error()})
		}
	}
	if len(all) == 0 {
		return nil
	}
	return slices.Compact(all.sorted())
}

// besides gives what errs tells of other keys than e does: where a value could not be read, that it is missing is no news.
func (e Errors) besides(errs error) error {
	var more Errors
	if !errors.As(errs, &more) {
		return errs
	}
	var all []error
	for _, m := range more {
		if !slices.ContainsFunc(e, func(told Error) bool { return told.path != "" && within(secretBase(m.path), secretBase(told.path)) }) {
			all = append(all, Errors{m})
		}
	}
	return Join("", all...)
}

// secretBase is the key under which the three ways to give a secret are one.
func secretBase(path string) string {
	for _, how := range []string{"_file", "_env", "_credential"} {
		path = strings.TrimSuffix(path, how)
	}
	return path
}

// Missing is the mistake of a key that the file called name lacks.
func Missing(name, key, message string) error {
	return Errors{{File: name, Message: message, path: key}}
}

// Add is told, what Load said of the file called name, and of more what is not told by that already.
func Add(name string, told, more error) error {
	if es, ok := errors.AsType[Errors](told); ok {
		more = es.besides(more)
	}
	return Join(name, told, more)
}

// within says whether the value of path is that of key or a part of it.
func within(path, key string) bool {
	rest, ok := strings.CutPrefix(path, key)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
