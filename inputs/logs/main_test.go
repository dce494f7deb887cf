package logs

import (
	"flag"
	"os"
	"testing"
)

// TestMain runs more tests side by side than there are processors: nearly all they do is wait for a log to be quiet.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "8"); err != nil { // before the command line is read, which may say otherwise
		panic(err)
	}
	os.Exit(m.Run())
}
