package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"bouncefeed/internal/config"
	"bouncefeed/internal/mta"
	"bouncefeed/internal/text"
)

// Notes tells what a configuration without mistakes means: the URL of every route of the webhook inputs, to paste into the
// settings of a provider, and whom a log is believed from.
func Notes(ctx context.Context, cfg *config.Config, file, version string, log *slog.Logger) ([]Finding, error) {
	p, err := newPlan(cfg, file, version, log)
	if err != nil {
		return nil, err
	}
	var found []Finding
	postfix, _ := mta.ReadPostfix(ctx)
	for _, in := range p.inputs {
		for _, r := range routesOf(in.built.Input) {
			found = append(found, Finding{What: "input " + in.name, OK: true, Detail: r.Parser.Type + ": " + r.URL})
		}
		if detail := believed(in, postfix); detail != "" {
			found = append(found, Finding{What: "input " + in.name, OK: true, Warning: true, Detail: detail})
		}
	}
	return found, nil
}

// believed says who can write the log of an input, if that is not the mail server alone.
func believed(in plannedInput, postfix *mta.Postfix) string {
	place, parser := placeOf(in.built.Input), in.built.Settings.Parser.Type
	switch {
	case in.kind == "journald" && place != thisJournal:
		return "believes whoever can put a file there: " + place
	case in.kind == "nats":
		return "believes whoever may publish to " + place + ": each mail server wants an account that may publish its own subjects only"
	case in.kind != "logfile" || in.built.Settings.Container != "":
		return ""
	case parser == "postfix" && postfix != nil && postfix.LogFile() == place:
		return ""
	case parser == "postfix" || parser == "sendmail" || parser == "opensmtpd":
		return "believes whoever may log through syslog, if that writes " + place + ": every user and program of this machine, by logger(1). The journal tells who wrote what: type: journald"
	}
	return ""
}

// mailServerWarnings asks the mail server of this machine, and the journal, what would spoil what is read.
func mailServerWarnings(ctx context.Context, p *plan) (found []Finding) {
	postfix, err := mta.ReadPostfix(ctx)
	if err != nil && !errors.Is(err, mta.ErrNone) {
		found = append(found, Finding{What: "postconf", OK: true, Warning: true, Detail: err.Error()})
	}
	for _, in := range p.inputs {
		say := func(format string, args ...any) {
			found = append(found, Finding{What: "input " + in.name, OK: true, Warning: true, Detail: fmt.Sprintf(format, args...)})
		}
		if in.kind == "journald" && placeOf(in.built.Input) == thisJournal {
			for _, server := range serversOf(in) {
				if l := mta.JournalLimit(ctx, server); l != nil {
					say("journald drops what %s writes beyond %s, bounces among it. Before you send that much, lift the limit (as root): %s", l.Unit, l, l.Remedy())
					break
				}
			}
		}
		if postfix != nil && slices.Contains(serversOf(in), "postfix") && readsThisMachine(in) {
			postfixWarnings(postfix, in, say)
		}
	}
	return found
}

// thisJournal is what an input calls this machine's own journal.
const thisJournal = "the journal"

func readsThisMachine(in plannedInput) bool {
	place := placeOf(in.built.Input)
	return in.kind == "journald" && place == thisJournal || in.kind == "logfile" && strings.HasPrefix(place, "/var/log/") && in.built.Settings.Container == ""
}

// serversOf are the mail servers whose log an input reads, by their parsers' names.
func serversOf(in plannedInput) []string {
	parser := in.built.Settings.Parser
	if parser.Type != "journald" {
		return []string{parser.Type}
	}
	if named := parser.Texts("parsers"); len(named) > 0 {
		return named
	}
	return []string{"postfix", "exim", "sendmail", "opensmtpd"}
}

func postfixWarnings(postfix *mta.Postfix, in plannedInput, say func(string, ...any)) {
	place := placeOf(in.built.Input)
	if own := postfix.LogFile(); own != "" && own != place {
		say("Postfix writes its log to %s (postconf maillog_file), not to %s: use type: logfile with this path", own, place)
	}
	if nested := postfix.NestedListmonk(); len(nested) > 0 {
		say("%s has X-Listmonk-Subscriber logged out of attached messages, too: a reader who forwards a newsletter as an attachment is taken for the one whose mail failed. Mend it: postconf -e '%s =' && postfix reload",
			strings.Join(nested, " and "), strings.Join(nested, " =' '"))
	}
	if postfix.Value("info_log_address_format") == "internal" {
		say("info_log_address_format = internal: addresses of strangers can look like other parts of a log line, and such lines are refused. Mend it: postconf -e 'info_log_address_format = external' && postfix reload")
	}
	archive, doubleBounce := postfix.Value("always_bcc"), postfix.Value("double_bounce_sender")
	if archive != "" && !slices.ContainsFunc(in.built.Settings.Parser.Texts("archives"), func(p string) bool { return text.Match(p, archive) }) {
		say("Postfix sends %s a copy of everything (always_bcc): what fails for it counts as a bounce. Give the parser postfix: archives: [%q]", archive, archive)
	}
	if name, _, _ := strings.Cut(doubleBounce, "@"); name != "" && name != "double-bounce" && !slices.Contains(in.built.Settings.Parser.Texts("double_bounce_sender"), doubleBounce) {
		say("Postfix sends its notices to the postmaster as %s (double_bounce_sender). Give the parser postfix: double_bounce_sender: %q", doubleBounce, doubleBounce)
	}
	if missing := missingNetworks(postfix, in.built.Settings.Parser); len(missing) > 0 {
		var all []string
		for _, n := range postfix.Networks() {
			all = append(all, fmt.Sprintf("%q", n))
		}
		say("Postfix takes mail from %s (mynetworks), the parser's mynetworks does not: bounces of what comes from there count as foreign. If your list manager is there, give the parser postfix: mynetworks: [%s]", strings.Join(missing, ", "), strings.Join(all, ", "))
	}
}

// missingNetworks are those of Postfix's that a parser does not take for ours.
func missingNetworks(postfix *mta.Postfix, parser config.Section) (missing []string) {
	ours := config.PrivateNetworks()
	if own := parser.Texts("mynetworks"); len(own) > 0 {
		ours = nil
		for _, text := range own {
			var n config.Network
			if n.UnmarshalText([]byte(text)) == nil {
				ours = append(ours, n)
			}
		}
	}
	for _, n := range postfix.Networks() {
		if !covered(n, ours) {
			missing = append(missing, n.String())
		}
	}
	return missing
}

// covered says whether all of n is in one of ours, be it written as IPv4 or as that mapped to IPv6.
func covered(n netip.Prefix, ours config.Networks) bool {
	if a := n.Addr(); a.Is4In6() && n.Bits() >= 96 {
		n = netip.PrefixFrom(a.Unmap(), n.Bits()-96)
	}
	return slices.ContainsFunc(ours, func(o config.Network) bool {
		return o.Bits() <= n.Bits() && o.Addr().BitLen() == n.Addr().BitLen() && o.Contains(n.Addr())
	})
}
