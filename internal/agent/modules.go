package agent

// The kinds of modules register themselves where they are linked in: here.
import (
	_ "bouncefeed/parsers/mail"
	_ "bouncefeed/parsers/maillog"
	_ "bouncefeed/parsers/provider"
)
