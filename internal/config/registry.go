package config

import (
	"fmt"
	"runtime"
	"sort"
	"strings"
)

// Registry knows the kinds of one sort of module; T is what a module's build gives the agent.
type Registry[T any] struct{ kinds map[string]kind[T] }

type kind[T any] struct {
	defaults func() any
	build    func(Env, Section) (T, error)
	place    string // in the program, where it was registered
}

// Register makes a kind known. build gets its section decoded over defaults; it does no I/O, and its mistakes are
// section.Errorf, so that they carry a place. Two modules of one name are a mistake in the program, and it panics.
func Register[T, C any](r *Registry[T], name string, defaults C, build func(Env, Section, *C) (T, error)) {
	if r.kinds == nil {
		r.kinds = map[string]kind[T]{}
	}
	here := registeredAt()
	if first, twice := r.kinds[name]; twice {
		panic(fmt.Sprintf("two modules of type %q: registered at %s, and at %s", name, first.place, here))
	}
	r.kinds[name] = kind[T]{
		defaults: func() any { c := defaults; return &c },
		build: func(env Env, section Section) (T, error) {
			c := defaults
			var told Errors
			if err := section.Decode(&c); err != nil {
				told = err.(Errors)
			}
			built, err := build(env, section, &c) // what could not be read is as by default
			if told != nil {
				var none T
				return none, Join("", told, told.besides(err))
			}
			return built, err
		},
		place: here,
	}
}

// registeredAt is the file and line of the module that asks to be registered, by whatever functions that is called.
func registeredAt() string {
	callers := make([]uintptr, 16)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	for {
		f, more := frames.Next()
		name := f.Function[strings.LastIndexByte(f.Function, '/')+1:] // "config.Register[...]", "provider.registerSigned[...]"
		if !more || !strings.Contains(strings.ToLower(name), ".register") {
			return fmt.Sprintf("%s:%d", f.File, f.Line)
		}
	}
}

// Build makes the module of a section. The error is an Errors.
func (r *Registry[T]) Build(env Env, section Section) (T, error) {
	k, ok := r.kinds[section.Type]
	if !ok {
		var none T
		if section.Type == "" {
			return none, section.Errorf("type", "is missing: one of %s", strings.Join(r.Kinds(), ", "))
		}
		return none, section.unknownType(r.Kinds())
	}
	return k.build(env, section)
}

// Kinds lists the registered types.
func (r *Registry[T]) Kinds() []string {
	names := make([]string, 0, len(r.kinds))
	for name := range r.kinds {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Defaults is a pointer to the default configuration of a kind, for the example's test and the schema.
func (r *Registry[T]) Defaults(name string) any {
	k, ok := r.kinds[name]
	if !ok {
		panic(fmt.Sprintf("no module of type %q", name))
	}
	return k.defaults()
}
