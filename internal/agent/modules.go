package agent

// The kinds of modules register themselves where they are linked in: here.
import (
	_ "bouncefeed/inputs/logs"
	_ "bouncefeed/inputs/mailbox"
	_ "bouncefeed/inputs/nats"
	_ "bouncefeed/inputs/webhook"
	_ "bouncefeed/parsers/mail"
	_ "bouncefeed/parsers/maillog"
	_ "bouncefeed/parsers/provider"
)
