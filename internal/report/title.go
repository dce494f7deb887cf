package report

import (
	"fmt"
	"strings"
)

// Title is a finding in a few words.
func (f *Finding) Title(r *Report) string {
	who := r.label(f.Provider)
	switch f.ID {
	case "provider_blocks":
		return fmt.Sprintf("%s refuses us: %s", who, f.Reason)
	case "auth_failing":
		return who + " does not believe that the mail is ours: auth_failed"
	case "reverse_dns":
		return who + " does not like our host's name: reverse_dns"
	case "provider_defers":
		return fmt.Sprintf("%s puts us off: %s", who, f.Reason)
	case "hard_rate":
		return "too many addresses that do not exist"
	case "complaint_rate":
		return who + ": too many complaints"
	case "waiting":
		return "mail to " + who + " waits for more than a day"
	case "returned":
		return who + " accepts, and sends back later"
	case "silence":
		return "no mail is delivered any more"
	case "unexplained":
		return "many failures have no known reason"
	case "blocklist_named":
		return f.Subject + " lists our address, say those who refuse us"
	case "typo_domains":
		return fmt.Sprintf("%s at %s: is %s meant?", Plural(f.Count, "recipient"), f.Subject, likelyMeant(f.Subject))
	}
	return f.ID
}

// Detail is what a finding rests on: every share names its base.
func (f *Finding) Detail(r *Report) string {
	of := fmt.Sprintf("%s of %s recipients (%s) in the worst hours", Number(f.Count), Number(f.Of), Percent(f.Count, f.Of))
	switch f.ID {
	case "provider_blocks", "auth_failing", "reverse_dns":
		if g := r.Provider(f.Provider); g != nil {
			n := g.Reasons[f.Reason]
			of = fmt.Sprintf("%s of %s recipients (%s)", Number(n), Number(g.Ended), Percent(n, g.Ended))
			if g.Before != nil {
				of += fmt.Sprintf("; in the time before %s of %s", Number(g.Before.Reasons[f.Reason]), Number(g.Before.Ended))
			}
		}
		return of + ". Not reported as hard: not the recipients' fault."
	case "provider_defers":
		if g := r.Provider(f.Provider); g != nil {
			of = fmt.Sprintf("%s of %s recipients first tried (%s); %s accepted later", Number(g.PutOff), Number(g.Tried), Percent(g.PutOff, g.Tried), Number(g.Late))
			if g.Within != nil {
				of += ", half within " + Within(g.Within.P50)
			}
		}
		return of + "."
	case "hard_rate":
		return of + ". Providers take such senders for spammers: where do the addresses come from?"
	case "complaint_rate":
		return fmt.Sprintf("%s complaints of %s accepted (%s) in seven days: they want below 0.1%%, never 0.3%%.", Number(f.Count), Number(f.Of), Percent(f.Count, f.Of))
	case "waiting":
		return fmt.Sprintf("%s of %s who wait. The mail server gives up after some days.", Plural(f.Count, "recipient"), Number(f.Of))
	case "returned":
		return fmt.Sprintf("%s of %s accepted came back (%s).", Number(f.Count), Number(f.Of), Percent(f.Count, f.Of))
	case "silence":
		return Plural(f.Count, "hour") + " without an end of any delivery."
	case "unexplained":
		return of + ": teach us with bouncefeed explain."
	case "blocklist_named":
		return Plural(f.Count, "recipient") + " refused with its name."
	}
	return ""
}

// Provider is the provider id, or nil.
func (r *Report) Provider(id string) *Group {
	for i := range r.Providers {
		if r.Providers[i].ID == id {
			return &r.Providers[i]
		}
	}
	return nil
}

func (r *Report) label(id string) string {
	if g := r.Provider(id); g != nil {
		return g.Label()
	}
	return id
}

// Check gives a Nagios plugin's code and line: what is open of the findings, the worst first.
func (r *Report) Check() (code int, line string) {
	word := [...]string{Info: "OK", Warning: "WARNING", Critical: "CRITICAL"}
	worst, said := Info, []string(nil)
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Until == nil && f.Severity > Info {
			worst = max(worst, f.Severity)
			said = append(said, f.Title(r)+" (since "+f.Since.Format("2006-01-02 15:04")+" UTC)")
		}
	}
	if said == nil {
		said = []string{fmt.Sprintf("%s, %s accepted", Plural(r.Totals.Ended, "recipient"), Percent(r.Totals.Accepted, r.Totals.Ended))}
	}
	return int(worst - Info), word[worst] + " - " + strings.ReplaceAll(strings.Join(said, "; "), "|", "/")
}
