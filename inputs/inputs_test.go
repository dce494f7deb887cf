package inputs_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"bouncefeed/inputs"
	"bouncefeed/internal/config"
)

type kind struct {
	inputs.Settings `yaml:",inline"`
	Path            string       `yaml:"path"`
	Start           inputs.Start `yaml:"start"`
}

func (*kind) Run(context.Context, inputs.Sink) error { return nil }

// A kind that is registered is built from its section, and hands the agent the settings that all kinds have.
func TestRegister(t *testing.T) {
	inputs.Register("kind", kind{Path: "/var/log/x", Start: inputs.StartEnd}, func(_ config.Env, section config.Section, c *kind) (inputs.Input, error) {
		if c.Path == "" {
			return nil, section.Errorf("path", "is missing")
		}
		c.Trust = "proof"
		return c, nil
	})
	if !slices.Contains(inputs.Modules.Kinds(), "kind") {
		t.Fatal(inputs.Modules.Kinds())
	}
	for section, want := range map[string]string{
		"parser: postfix, senders: ['*@news.example']": "", "start: beginning": "", "start: middle": `"middle" is neither end nor beginning`, "path: ''": "is missing",
		"sender: x": "senders",
	} {
		c, err := config.Parse("test.yaml", []byte("inputs: {x: {type: kind, "+section+"}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		built, err := inputs.Modules.Build(config.Env{}, c.Inputs[0].Value)
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "test.yaml:1:") {
				t.Errorf("%s: %v, want %q", section, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", section, err)
			continue
		}
		in := built.Input.(*kind)
		if built.Settings != &in.Settings || in.Path != "/var/log/x" || built.Settings.Trust != "proof" || (in.Start == inputs.StartBeginning) != (section == "start: beginning") {
			t.Errorf("%s: %+v", section, in)
		}
		if strings.HasPrefix(section, "parser") && (in.Parser.Type != "postfix" || !reflect.DeepEqual(in.Senders, []string{"*@news.example"})) {
			t.Errorf("%s: %+v", section, in)
		}
	}
}
