package maillog

import (
	"testing"

	"bouncefeed/internal/config"
	"bouncefeed/parsers"
	"bouncefeed/parsers/parsertest"
)

func build(t testing.TB, kind string) parsers.Parser {
	t.Helper()
	return parsertest.Build(t, config.Env{Host: "here"}, kind)
}

func TestGolden(t *testing.T) { parsertest.Golden(t) }
