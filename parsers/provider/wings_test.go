package provider_test

import _ "bouncefeed/parsers/mail" // registers: Copernica posts mails
