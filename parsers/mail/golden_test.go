package mail

import (
	"testing"

	"bouncefeed/parsers/parsertest"
)

// kinds are the formats that stand here.
var kinds = []string{"mail"}

func TestGolden(t *testing.T) {
	parsertest.Golden(t, kinds, func(testing.TB, string) (parsertest.Parser, bool) { return parser{}, true })
}

func TestEveryKindIsFuzzed(t *testing.T) { parsertest.EveryKindIsFuzzed(t, kinds) }
