package provider

import (
	"slices"
	"testing"

	"bouncefeed/internal/config"
	"bouncefeed/parsers"
	"bouncefeed/parsers/parsertest"
)

// kinds are the formats that stand here.
var kinds = slices.Concat(providers, []string{"copernica", "native", "ses", "standard"})

func TestGolden(t *testing.T) {
	parsertest.Golden(t, kinds, func(t testing.TB, kind string) (parsertest.Parser, bool) {
		p, err := parsers.Modules.Build(config.Env{}, config.Section{Type: kind})
		if err != nil {
			t.Fatal(err)
		}
		return p, parsers.IsMessage(kind)
	})
}

func TestEveryKindIsFuzzed(t *testing.T) { parsertest.EveryKindIsFuzzed(t, kinds) }
