package maillog

import (
	"testing"

	"bouncefeed/internal/config"
	"bouncefeed/parsers"
	"bouncefeed/parsers/parsertest"
)

func build(t testing.TB, kind string) parsers.Parser { return buildOn(t, "here", kind) }

func buildOn(t testing.TB, host, kind string) parsers.Parser {
	t.Helper()
	p, err := parsers.Modules.Build(config.Env{Host: host}, config.Section{Type: kind})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestGolden(t *testing.T) {
	parsertest.Golden(t, parsers.Modules.Kinds(), func(t testing.TB, kind string) (parsertest.Parser, bool) {
		return buildOn(t, "", kind), parsers.IsMessage(kind)
	})
}

func TestEveryKindIsFuzzed(t *testing.T) { parsertest.EveryKindIsFuzzed(t, parsers.Modules.Kinds()) }
