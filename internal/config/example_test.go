package config_test

import (
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"go.yaml.in/yaml/v4"

	"bouncefeed/inputs"
	_ "bouncefeed/internal/agent" // every kind
	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/outputs"
	"bouncefeed/parsers"
	_ "bouncefeed/parsers/maillog"
)

const examplePath = "../../config.example.yaml"

func example(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// uncommented is the example with every optional key set.
func uncommented(t *testing.T) string {
	t.Helper()
	return regexp.MustCompile(`(?m)^#:`).ReplaceAllString(example(t), "")
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("config.example.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var env = config.Env{Name: "example", Host: "mx1", Version: "test", Log: slog.New(slog.DiscardHandler)}

// shown is one module of the example: what the configuration made of it, and the keys that its text names.
type shown struct {
	kind    string // "output file"
	section config.Section
	keys    []string
}

// modules builds every module of text, as check does.
func modules(t *testing.T, text string) []shown {
	t.Helper()
	var raw struct{ Inputs, Outputs map[string]map[string]any }
	if err := yaml.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	var all []shown
	c := parse(t, text)
	for _, in := range c.Inputs {
		all = append(all, shown{"input " + in.Value.Type, in.Value, flat("", raw.Inputs[in.Name])})
		built, err := inputs.Modules.Build(env, in.Value)
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := built.Input.(inputs.Routed); ok {
			all = append(all, routes(t, f, raw.Inputs[in.Name]["routes"])...)
			continue
		}
		parser := built.Settings.Parser
		keys, _ := raw.Inputs[in.Name]["parser"].(map[string]any)
		all = append(all, shown{"parser " + parser.Type, parser, flat("", keys)})
		if _, err := parsers.Modules.Build(env, parser); err != nil {
			t.Error(err)
		}
	}
	for _, out := range c.Outputs {
		all = append(all, shown{"output " + out.Value.Type, out.Value, flat("", raw.Outputs[out.Name])})
		if _, err := outputs.Modules.Build(env, out.Value); err != nil {
			t.Error(err)
		}
	}
	return all
}

// routes are the parsers of an input that has several.
func routes(t *testing.T, in inputs.Routed, raw any) []shown {
	t.Helper()
	keys := map[string][]string{}
	for _, route := range raw.([]any) {
		if parser, ok := route.(map[string]any)["parser"].(map[string]any); ok {
			kind := parser["type"].(string)
			keys[kind] = append(keys[kind], flat("", parser)...)
		}
	}
	var all []shown
	for _, f := range in.Routes() {
		all = append(all, shown{"parser " + f.Parser.Type, f.Parser, keys[f.Parser.Type]})
		if _, err := parsers.Modules.Build(env, f.Parser); err != nil {
			t.Error(err)
		}
	}
	return all
}

// flat names keys as config.Keys does: "path", "tls.cert".
func flat(path string, m map[string]any) []string {
	var keys []string
	for k, v := range m {
		keys = append(keys, path+k)
		if inner, ok := v.(map[string]any); ok {
			keys = append(keys, flat(path+k+".", inner)...)
		}
	}
	return keys
}

func TestExampleIsRight(t *testing.T) {
	modules(t, example(t))
	modules(t, uncommented(t))
	for _, r := range parse(t, uncommented(t)).Rules {
		own := classify.Rule{Name: r.Name, Code: r.Code, Status: r.Status, Text: r.Text, Remote: r.Remote, Reason: r.Reason, Type: r.Type}
		if _, err := classify.New([]classify.Rule{own}); err != nil {
			t.Error(err)
		}
	}
}

func TestExampleShowsEveryKeyOfTheFile(t *testing.T) {
	var raw map[string]any
	if err := yaml.Unmarshal([]byte(uncommented(t)), &raw); err != nil {
		t.Fatal(err)
	}
	lacks(t, "the file", flat("", raw), config.Default())
	lacks(t, "rules", flat("", raw["rules"].([]any)[0].(map[string]any)), &config.Rule{})
	want, got := config.Default(), parse(t, uncommented(t))
	want.Host = got.Host // this machine's
	sameDefaults(t, "the file", reflect.ValueOf(*want), reflect.ValueOf(*got))
}

// Several sections of one kind may share the work.
func TestExampleShowsEveryKeyOfEveryModule(t *testing.T) {
	all := modules(t, uncommented(t))
	check := func(sort string, kinds []string, defaults func(string) any) {
		for _, kind := range kinds {
			var keys []string
			for _, s := range all {
				if s.kind == sort+" "+kind {
					keys = append(keys, s.keys...)
					got := defaults(kind)
					if err := s.section.Decode(got); err != nil {
						t.Error(err)
					}
					sameDefaults(t, s.kind, reflect.ValueOf(defaults(kind)).Elem(), reflect.ValueOf(got).Elem())
				}
			}
			lacks(t, sort+" "+kind, keys, defaults(kind))
		}
	}
	check("input", inputs.Modules.Kinds(), inputs.Modules.Defaults)
	check("parser", parsers.Modules.Kinds(), parsers.Modules.Defaults)
	check("output", outputs.Modules.Kinds(), outputs.Modules.Defaults)
}

// lacks holds that keys are all that a configuration struct takes.
func lacks(t *testing.T, what string, keys []string, c any) {
	t.Helper()
	for _, key := range config.Keys(c) {
		if !slices.Contains(keys, key) {
			t.Errorf("the example lacks %s of %s", key, what)
		}
	}
}

// sameDefaults compares the keys that have a default, and all switches.
func sameDefaults(t *testing.T, what string, want, got reflect.Value) {
	t.Helper()
	for i := range want.NumField() {
		f := want.Type().Field(i)
		w, g := want.Field(i), got.Field(i)
		switch {
		case !f.IsExported() && !f.Anonymous || w.IsZero() && w.Kind() != reflect.Bool:
		case w.Kind() == reflect.Struct:
			sameDefaults(t, what, w, g)
		case !reflect.DeepEqual(w.Interface(), g.Interface()):
			t.Errorf("%s: the example shows %s %v, the default is %v", what, f.Tag.Get("yaml"), g, w)
		}
	}
}
