package parsers

import (
	"testing"

	"bouncefeed/internal/config"
	"bouncefeed/parsers/parsertest"
)

// kinds are the formats that stand here.
var kinds = []string{"mail"}

func TestGolden(t *testing.T) {
	parsertest.Golden(t, kinds, func(t testing.TB, kind string) (parsertest.Parser, bool) {
		p, err := Modules.Build(config.Env{}, config.Section{Type: kind})
		if err != nil {
			t.Fatal(err)
		}
		return p, IsMessage(kind)
	})
}

func TestEveryKindIsFuzzed(t *testing.T) { parsertest.EveryKindIsFuzzed(t, kinds) }
