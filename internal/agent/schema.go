//go:build gen

package agent

import (
	"encoding"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"bouncefeed/inputs"
	"bouncefeed/internal/config"
	"bouncefeed/outputs"
	"bouncefeed/parsers"
)

// Schema is the configuration's JSON schema, for editors: made of the structs that are decoded into. dir is the module's
// root, whose comments become descriptions.
func Schema(dir string) ([]byte, error) {
	s := &schemaMaker{}
	s.Reflector = jsonschema.Reflector{FieldNameTag: "yaml", Anonymous: true, DoNotReference: true, Mapper: s.special}
	for _, from := range []string{"inputs", "outputs", "parsers", "internal/config"} {
		if err := s.AddGoComments("bouncefeed", dir+from); err != nil {
			return nil, err
		}
	}
	s.parsers = s.kinds(&parsers.Modules)
	root := s.of(config.Default())
	root.Version = jsonschema.Version
	root.Title = "bouncefeed's configuration"
	named := func(kinds []*jsonschema.Schema) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "object", AdditionalProperties: &jsonschema.Schema{OneOf: kinds}}
	}
	root.Properties.Set("inputs", named(s.kinds(&inputs.Modules)))
	root.Properties.Set("outputs", named(s.kinds(&outputs.Modules)))
	return json.MarshalIndent(root, "", " ")
}

type schemaMaker struct {
	jsonschema.Reflector
	parsers []*jsonschema.Schema
}

// registry is a config.Registry of any modules.
type registry interface {
	Kinds() []string
	Defaults(kind string) any
}

// kinds are the sections of all kinds of a registry.
func (s *schemaMaker) kinds(r registry) (all []*jsonschema.Schema) {
	for _, kind := range r.Kinds() {
		one := s.of(r.Defaults(kind))
		one.Properties.Set("type", &jsonschema.Schema{Const: kind})
		one.Required = []string{"type"}
		one.Title = kind
		all = append(all, one)
	}
	return all
}

// of is the schema of a struct that is decoded into.
func (s *schemaMaker) of(c any) *jsonschema.Schema {
	one := s.ReflectFromType(reflect.TypeOf(c).Elem())
	one.Version, one.ID, one.Required = "", "", nil
	if one.Properties == nil {
		one.Properties = jsonschema.NewProperties()
	}
	s.tidy(one)
	return one
}

const secretMark = "secret"

// tidy gives secrets the names that they have in the file, and takes out what no key is required for.
func (s *schemaMaker) tidy(one *jsonschema.Schema) {
	one.Required = nil
	if one.Items != nil {
		s.tidy(one.Items)
	}
	if one.Properties == nil {
		return
	}
	fields := map[string]*jsonschema.Schema{}
	for pair := one.Properties.Oldest(); pair != nil; pair = pair.Next() {
		fields[pair.Key] = pair.Value
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		field := fields[name]
		if strings.ToLower(name) != name { // the agent's, without a key
			one.Properties.Delete(name)
			continue
		}
		s.tidy(field)
		if field.Comments != secretMark {
			continue
		}
		one.Properties.Delete(name)
		for _, how := range [][2]string{{"file", "the file"}, {"env", "the environment variable"}, {"credential", "the systemd credential"}} {
			one.Properties.Set(name+"_"+how[0], &jsonschema.Schema{Type: "string", Description: strings.TrimSpace(field.Description + " (" + how[1] + " that holds it)")})
		}
	}
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// special are the types that the file has as something else than Go.
func (s *schemaMaker) special(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[config.Secret]():
		return &jsonschema.Schema{Type: "string", Comments: secretMark}
	case reflect.TypeFor[config.Section]():
		kinds := make([]any, 0, len(s.parsers))
		for _, kind := range parsers.Modules.Kinds() {
			kinds = append(kinds, kind)
		}
		return &jsonschema.Schema{OneOf: append([]*jsonschema.Schema{{Type: "string", Enum: kinds}}, s.parsers...)}
	case reflect.TypeFor[config.Map[config.Section]]():
		return &jsonschema.Schema{Type: "object"}
	case reflect.TypeFor[config.Networks]():
		return &jsonschema.Schema{Type: "array", Items: &jsonschema.Schema{Type: "string"}}
	case reflect.TypeFor[config.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^[0-9]+d$`}
	case reflect.TypeFor[config.Size]():
		return &jsonschema.Schema{Type: "string", Pattern: `^[0-9.]+ *([KMGT]iB|[kKMGT]?B)$`}
	}
	if t.Implements(textUnmarshaler) || reflect.PointerTo(t).Implements(textUnmarshaler) {
		return &jsonschema.Schema{Type: "string"}
	}
	return nil
}
