package parsers_test

import _ "bouncefeed/parsers/provider" // registers, and reads what SES tells by mail
