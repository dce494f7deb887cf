package provider

import (
	"testing"

	"bouncefeed/parsers/parsertest"
)

func TestGolden(t *testing.T) { parsertest.Golden(t) }
