package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"bouncefeed/internal/event"
	"bouncefeed/internal/provider"
)

var update = flag.Bool("update", false, "write the wanted results anew")

var monday = time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC)

// twoWeeks is a period of which the last days have a block at Microsoft, a slow Yahoo and mistyped domains.
func twoWeeks() *Tally {
	t, random := NewTally(), rand.New(rand.NewPCG(1, 2))
	domains := map[string]string{"google": "gmail.com", "microsoft": "hotmail.com", "yahoo": "yahoo.com", "gmx": "web.de", provider.Other: "shop.example"}
	add := func(f Fact) {
		f.Domain, f.Stream = domains[f.Provider], Lists
		t.Add(&f)
	}
	for h := range 14 * 24 {
		at := monday.Add(time.Duration(h) * time.Hour)
		for _, p := range []struct {
			id string
			n  int
		}{{"google", 40}, {"microsoft", 12}, {"yahoo", 15}, {"gmx", 10}, {provider.Other, 8}} {
			id := p.id
			for i := range p.n {
				f := Fact{Stream: Lists, Time: at.Add(time.Duration(i) * time.Minute), Provider: id}
				switch x := random.IntN(1000); {
				case id == "microsoft" && h >= 11*24 && x < 600:
					f.Class, f.Reason, f.Code, f.Status = Ours, event.Blocklisted, 550, "5.7.1"
					f.Text = "550 5.7.1 Unfortunately, messages from [192.0.2.25] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140)."
				case id == "yahoo" && h >= 9*24 && x < 500:
					off := f
					off.Class, off.Reason, off.Code, off.Text = PutOff, event.RateLimited, 421, "421 4.7.0 [TSS04] Messages from 192.0.2.25 temporarily deferred due to unexpected volume or user complaints"
					add(off)
					if x > 480 {
						continue
					}
					f.PutOff, f.Delay = true, time.Duration(x)*time.Minute/2
				case x < 8:
					f.Class, f.Reason, f.Code, f.Status, f.Recipient, f.Text = Hard, event.UserUnknown, 550, "5.1.1", "jo@example.net", "550 5.1.1 <jo@example.net>: user unknown"
				case x < 10:
					f.Class, f.Reason, f.Text = Soft, event.MailboxFull, "552 5.2.2 mailbox of Jo is full"
				case x < 11:
					f.Class, f.Reason, f.PutOff = GaveUp, event.Network, true
				}
				add(f)
			}
		}
	}
	for i := range 5 {
		t.Add(&Fact{Stream: Lists, Time: monday.Add(time.Duration(10*24+i) * time.Hour), Class: Hard, Reason: event.DomainUnknown, Provider: provider.Other, Domain: "gamil.com"})
	}
	for i := range 3 {
		t.Add(&Fact{Stream: Lists, Time: monday.Add(time.Duration(10*24+i) * time.Hour), Class: Complaint, Provider: "microsoft"})
	}
	return t
}

func week() Options {
	return Options{Host: "mx1.example.net", Since: monday.AddDate(0, 0, 7), Until: monday.AddDate(0, 0, 14), Compare: monday, Inputs: []Cover{{"maillog", 7, 0}}}
}

// TestGolden: `go test -update` writes what is wanted anew.
func TestGolden(t *testing.T) {
	r := twoWeeks().Make(week())
	asJSON, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]byte{"report.json": append(asJSON, '\n')}
	for _, by := range Ways() {
		var b bytes.Buffer
		if err := r.WriteText(&b, by, false); err != nil {
			t.Fatal(err)
		}
		got[by+".txt"] = b.Bytes()
	}
	for name, text := range got {
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(text, want) {
			t.Errorf("%s: %v, got\n%s", name, err, text)
		}
		for line := range strings.Lines(string(text)) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); strings.HasSuffix(name, ".txt") && n > width {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
		if bytes.Contains(text, []byte("jo@")) {
			t.Errorf("%s names a recipient", name)
		}
	}
}

// TestSums: days, providers and domains each add up to the totals.
func TestSums(t *testing.T) {
	r := twoWeeks().Make(week())
	for name, groups := range map[string][]Group{"providers": r.Providers, "days": r.Days} {
		var sum Counts
		for i := range groups {
			sum.Add(&groups[i].counts)
		}
		if sum != r.Totals.counts {
			t.Errorf("%s: %v, want %v", name, sum, r.Totals.counts)
		}
	}
	var ended uint64
	for i := range r.Domains {
		ended += r.Domains[i].Ended
	}
	if ended != r.Totals.Ended {
		t.Errorf("domains: %d, want %d", ended, r.Totals.Ended)
	}
	c := &r.Totals.counts
	if c.Tried() != c.Ended()-c[Late]-c[FailedOff]+c[PutOff] {
		t.Error("tried")
	}
}

func TestFindings(t *testing.T) {
	found := map[string]Finding{}
	for _, f := range twoWeeks().Make(week()).Findings {
		found[f.ID+" "+f.Provider+f.Subject] = f
	}
	for id, want := range map[string]Severity{"provider_blocks microsoft": Critical, "provider_defers yahoo": Warning, "typo_domains gamil.com": Info} {
		if found[id].Severity != want {
			t.Errorf("%s: %v, want %v", id, found[id].Severity, want)
		}
		delete(found, id)
	}
	if len(found) > 0 {
		t.Errorf("and: %+v", found)
	}
}

// TestFindingEnds: one that has been quiet for a day is over, and told so.
func TestFindingEnds(t *testing.T) {
	tally := NewTally()
	for h := range 100 {
		f := Fact{Stream: Lists, Time: monday.Add(time.Duration(h) * time.Hour), Provider: "google"}
		for i := range 20 {
			if f.Class, f.Reason = Accepted, ""; h >= 30 && h < 35 && i < 15 {
				f.Class, f.Reason = Ours, event.Spam
			}
			tally.Add(&f)
		}
	}
	all := tally.Make(Options{Since: monday, Until: monday.Add(100 * time.Hour)}).Findings
	if len(all) != 1 || all[0].ID != "provider_blocks" || all[0].Since != monday.Add(30*time.Hour) || all[0].Until == nil || all[0].Until.Sub(all[0].Since) < 24*time.Hour {
		t.Errorf("%+v", all)
	}
}

func TestLowerBound(t *testing.T) {
	for _, v := range []struct {
		k, n uint64
		want float64
	}{{0, 10, 0}, {1, 10, .0226}, {3, 10, .1269}, {5, 5, .6488}, {5, 50, .0495}, {11, 100, .0685}, {25, 500, .0362}, {60, 1000, .0488}, {612, 2310, .2501}, {0, 0, 0}} {
		if got := lowerBound(v.k, v.n); math.Abs(got-v.want) > .00006 {
			t.Errorf("%d of %d: %.4f, want %.4f", v.k, v.n, got, v.want)
		}
	}
}

func TestTypos(t *testing.T) {
	for domain, want := range map[string]string{
		"gamil.com": "gmail.com", "gmial.com": "gmail.com", "gmai.com": "gmail.com", "gmaill.com": "gmail.com", "hotmial.com": "hotmail.com", "yaho.com": "yahoo.com",
		"gmail.com": "", "example.net": "", "": "", "mail.com": "", "g.com": "",
	} {
		if got := likelyMeant(domain); got != want {
			t.Errorf("%s: %q, want %q", domain, got, want)
		}
	}
}

// TestRedact: what a reply says of the recipient is not shown; what it says of us is.
func TestRedact(t *testing.T) {
	for _, v := range []struct {
		recipient string
		reason    event.Reason
		text      string
		want      string
		unsafe    bool
	}{
		{"jo@example.net", event.UserUnknown, "550 5.1.1 <jo@example.net>: user unknown", "", true},
		{"jo@example.net", event.UserUnknown, "550 5.1.1 no such user", "550 5.1.1 no such user", false},
		{"jo@example.net", event.UserUnknown, "550 mailbox JO unknown", "", true},
		{"jo@example.net", event.Spam, "554 mail for Jo looks like spam, joke", "554 mail for address looks like spam, joke", false},
		{"jo@example.net", event.Blocklisted, "550 Host [192.0.2.25] blocked using zen.spamhaus.org; see https://check.spamhaus.org/query/ip/192.0.2.25 (8F7BAA2E332)", "550 Host [192.0.2.25] blocked using zen.spamhaus.org; see https://check.spamhaus.org/query/ip/192.0.2.25 (…)", false},
		{"jo@example.net", event.Policy, "554 <eve+7@other.example> b2f6c1de-0000-4000-8000-00000000000a refused", "554 <address@other.example> … refused", false},
		{`"a b"@example.net`, event.Policy, `554 <"a b"@example.net> refused`, "554 <address@example.net> refused", false},
	} {
		got, safe := redact(&Fact{Recipient: v.recipient, Reason: v.reason, Text: v.text})
		if got != v.want || safe == v.unsafe {
			t.Errorf("%s\n got %q, %v\nwant %q, %v", v.text, got, safe, v.want, !v.unsafe)
		}
	}
}

// TestBounded: what strangers name does not make a tally grow, and is counted all the same.
func TestBounded(t *testing.T) {
	tally := NewTally()
	for i := range 20_000 {
		tally.Add(&Fact{Stream: Lists, Time: monday, Class: Hard, Provider: provider.Other, Reason: event.UserUnknown, Domain: strings.Repeat("x", i%200) + ".example" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))})
	}
	r := tally.Make(Options{Since: monday, Until: monday.Add(time.Hour)})
	var sum uint64
	for i := range r.Domains {
		sum += r.Domains[i].Ended
	}
	if len(r.Domains) > maxDomainsADay+1 || sum != 20_000 {
		t.Errorf("%d domains, %d of 20000 counted", len(r.Domains), sum)
	}
}

func TestAdviceFile(t *testing.T) {
	for _, a := range advised().Advice {
		for _, r := range a.Reasons {
			if _, _, ok := r.Outcome(); !ok {
				t.Errorf("no such reason: %s", r)
			}
		}
		for _, p := range a.Providers {
			if _, known := provider.Default().ByDomain(p); !known && provider.Default().Name(p) == p && !strings.Contains(" google microsoft microsoft-365 yahoo t-online apple proofpoint ", " "+p+" ") {
				t.Errorf("no such provider: %s", p)
			}
		}
		if a.Text == "" || len(a.Links) > 0 && a.Checked == "" && a.Providers == nil {
			t.Errorf("%+v", a)
		}
	}
	for _, b := range advised().Blocklists {
		if a := b.advice(); (b.Closed == "") == (b.Link == "") || a.Text == "" {
			t.Errorf("%+v", b)
		}
		if blocklistIn("550 listed at "+strings.ToUpper(b.Phrases[0])).Name != b.Name {
			t.Errorf("%s is not found", b.Name)
		}
	}
}

func TestEmpty(t *testing.T) {
	var b bytes.Buffer
	if err := NewTally().Make(week()).WriteText(&b, ByProvider, false); err != nil || !strings.Contains(b.String(), "Nothing was sent") {
		t.Error(err, b.String())
	}
}

// TestCampaigns: what failed, by the campaign that the mail names, whatever its letters.
func TestCampaigns(t *testing.T) {
	tally := NewTally()
	const one, two = "6f1c0a52-31ad-4e0b-9d57-0c0de5b2a001", "6f1c0a52-31ad-4e0b-9d57-0c0de5b2a002"
	for i, f := range []Fact{
		{Class: Hard, Reason: event.UserUnknown, Campaign: one}, {Class: Hard, Reason: event.UserUnknown, Campaign: strings.ToUpper(one)},
		{Class: Ours, Reason: event.Spam, Campaign: one}, {Class: Complaint, Campaign: two}, {Class: Soft, Reason: event.MailboxFull, Campaign: two}, {Class: Soft, Reason: event.MailboxFull},
	} {
		f.Time, f.Stream, f.Provider = monday.Add(time.Duration(i)*time.Hour), Lists, "google"
		tally.Add(&f)
	}
	r := tally.Make(Options{Since: monday, Until: monday.AddDate(0, 0, 7)})
	if len(r.Campaigns) != 2 || r.Campaigns[0].ID != one || r.Campaigns[0].Ended != 3 || r.Campaigns[0].Failed["ours"] != 1 || r.Campaigns[1].Complaints != 1 {
		t.Errorf("%+v", r.Campaigns)
	}
	var b bytes.Buffer
	if err := r.WriteText(&b, ByCampaign, false); err != nil || !strings.Contains(b.String(), one+"         3       2       0       1       -") && !strings.Contains(b.String(), one+"         3       2       0       1       0") {
		t.Errorf("%v\n%s", err, b.String())
	}
}
