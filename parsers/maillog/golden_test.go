package maillog

import (
	"testing"

	"bouncefeed/internal/config"
	"bouncefeed/parsers"
	"bouncefeed/parsers/parsertest"
)

// kinds are the formats that stand here.
var kinds = []string{"exim", "journald", "kumomta", "opensmtpd", "postfix", "powermta", "sendmail"}

func build(t testing.TB, kind string) parsers.Parser {
	t.Helper()
	p, err := parsers.Modules.Build(config.Env{Host: "here"}, config.Section{Type: kind})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestGolden(t *testing.T) {
	parsertest.Golden(t, kinds, func(t testing.TB, kind string) (parsertest.Parser, bool) {
		p, err := parsers.Modules.Build(config.Env{}, config.Section{Type: kind})
		if err != nil {
			t.Fatal(err)
		}
		return p, false
	})
}

func TestEveryKindIsFuzzed(t *testing.T) { parsertest.EveryKindIsFuzzed(t, kinds) }
