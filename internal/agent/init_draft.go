package agent

import (
	"bytes"
	"fmt"
	"strings"
)

// Receiver is the listmonk of a draft.
type Receiver struct {
	URL, Username, PasswordFile string
}

// DraftHead is how a draft begins.
const DraftHead = "# Written by 'bouncefeed init'."

// Draft is a configuration for what was found.
func Draft(found []Found, to Receiver) []byte {
	var b bytes.Buffer
	b.WriteString(DraftHead + " Every key, with its default: /usr/share/doc/bouncefeed/examples/config.yaml\n" +
		"# After a change: bouncefeed check --online, then systemctl reload bouncefeed\n\n" +
		"# What is read. The names are yours; each keys the place where reading goes on, so keep them.\ninputs:\n")
	if len(found) == 0 {
		found = []Found{{Name: "postfix", Type: "logfile", Path: "/var/log/mail.log", Parser: "postfix", Why: "no mail server was found on this machine: this is an example"}}
	}
	for _, f := range found {
		fmt.Fprintf(&b, "  # %s\n  %s:\n    type: %s\n", f.Why, f.Name, f.Type)
		f.draftParser(&b)
		b.WriteString("    # Report only mail of these envelope senders: recommended where the server sends other mail, too.\n    #senders: [\"*@news.example.com\"]\n")
	}
	fmt.Fprintf(&b, "\n# Where bounces are reported.\noutputs:\n  listmonk:\n    type: listmonk\n    url: %s\n    username: %s\n    password_file: %s   # holds the API user's token\n",
		to.URL, to.Username, to.PasswordFile)
	return b.Bytes()
}

// draftParser writes where the log is and how it is read.
func (f *Found) draftParser(b *bytes.Buffer) {
	networks := ""
	if len(f.Networks) > 0 {
		networks = `mynetworks: ["` + strings.Join(f.Networks, `", "`) + `"]`
	}
	switch {
	case f.Type == "journald" && networks == "":
		fmt.Fprintf(b, "    parser: {type: journald, parsers: [%s]}\n", f.Parser)
	case f.Type == "journald":
		fmt.Fprintf(b, "    parser:\n      type: journald\n      parsers:\n        - type: %s\n          # From where mail is your own: the mail server's mynetworks.\n          %s\n", f.Parser, networks)
	case networks == "":
		fmt.Fprintf(b, "    path: %s\n    parser: %s\n", f.Path, f.Parser)
	default:
		fmt.Fprintf(b, "    path: %s\n    parser:\n      type: %s\n      # From where mail is your own: the mail server's mynetworks.\n      %s\n", f.Path, f.Parser, networks)
	}
}
