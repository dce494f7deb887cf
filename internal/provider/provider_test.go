package provider

import (
	"fmt"
	"strings"
	"testing"
)

// TestHosts: each with one that nearly fits.
func TestHosts(t *testing.T) {
	for host, want := range map[string]string{
		"gmail-smtp-in.l.google.com":                "google",
		"ASPMX.L.GOOGLE.COM.":                       "google",
		"notgoogle.com":                             "",
		"google.com.evil.example":                   "",
		"outlook-com.olc.protection.outlook.com":    "microsoft",
		"eur.olc.protection.outlook.com":            "microsoft",
		"olc.protection.outlook.com.evil.example":   "",
		"example-com.mail.protection.outlook.com":   "microsoft-365",
		"example-com.x-v1.mx.microsoft":             "microsoft-365",
		"smtp.outlook.com":                          "",
		"mta5.am0.yahoodns.net":                     "yahoo",
		"mx-att.mail.am0.yahoodns.net":              "yahoo",
		"mx1.mail.yahoo.co.jp":                      "yahoo-jp",
		"mx01.mail.icloud.com":                      "apple",
		"mx01.emig.gmx.net":                         "gmx",
		"mx-ha02.web.de":                            "gmx",
		"notweb.de":                                 "",
		"mx01.mail.com":                             "mail.com",
		"mx00.kundenserver.de":                      "ionos",
		"mx03.t-online.de":                          "t-online",
		"mx.yandex.net":                             "yandex",
		"xmx.yandex.net":                            "",
		"mxs.mail.ru":                               "mailru",
		"hotmail.ru":                                "",
		"inbound-smtp.eu-west-1.amazonaws.com":      "amazon",
		"inbound-smtp.amazonaws.com":                "",
		"inbound-smtp.eu-west-1.amazonaws.com.evil": "",
		"eu-smtp-inbound-1.mimecast.com":            "mimecast",
		"mx0a-001.pphosted.com":                     "proofpoint",
		"mx1-us1.ppe-hosted.com":                    "proofpoint",
		"d123.a.ess.barracudanetworks.com":          "barracuda",
		"mx1.hc1234-5.eu.iphmx.com":                 "cisco",
		"cluster5.eu.messagelabs.com":               "broadcom",
		"mx01.hornetsecurity.com":                   "hornetsecurity",
		"in1-smtp.messagingengine.com":              "fastmail",
		"route1.mx.cloudflare.net":                  "cloudflare",
		"mail.protonmail.ch":                        "proton",
		".google.com":                               "",
		"":                                          "",
		".":                                         "",
		strings.Repeat("a.", 4000) + "google.com":   "google",
		"mx.olc.protection.outlook.com.mail.protection.outlook.com": "microsoft-365",
	} {
		if got, _ := Default().ByHost(host); got != want {
			t.Errorf("%.80s: %q, want %q", host, got, want)
		}
	}
}

func TestDomains(t *testing.T) {
	for domain, want := range map[string]string{
		"gmail.com": "google", "GMAIL.com": "google", "hotmail.co.uk": "microsoft", "hotmail.com.br": "microsoft", "outlook.de": "microsoft",
		"hotmail.evil.example": "", "hotmail": "", "nothotmail.com": "", "live.staff.example.org": "", "yahoo.co.jp": "yahoo-jp", "yahoo.fr": "yahoo",
		"example.org": "", "mail.gmail.com": "", "": "",
	} {
		if got, _ := Default().ByDomain(domain); got != want {
			t.Errorf("%s: %q, want %q", domain, got, want)
		}
	}
}

// TestEverySuffix: a host below each entry is found, one that only ends in the same letters is not.
func TestEverySuffix(t *testing.T) {
	table := Default()
	for suffix, id := range table.suffixes {
		if got, _ := table.ByHost("mx1" + suffix); got != id {
			t.Errorf("mx1%s: %q, want %q", suffix, got, id)
		}
		_, parent, _ := strings.Cut(suffix[1:], ".") // .mail.icloud.com stands beside .icloud.com
		if got, _ := table.ByHost("mx1.not" + suffix[1:]); got == id && table.suffixes["."+parent] != id {
			t.Errorf("mx1.not%s is taken for %s", suffix[1:], id)
		}
		if got, _ := table.ByHost("mx1" + suffix + ".evil.example"); got != "" {
			t.Errorf("mx1%s.evil.example is taken for %s", suffix, got)
		}
	}
	if len(table.suffixes) < 80 {
		t.Errorf("%d suffixes", len(table.suffixes))
	}
}

func TestGroup(t *testing.T) {
	g := NewGroup(Default())
	for _, one := range []struct{ host, domain, want string }{
		{"", "shop.example", Other},
		{"aspmx.l.google.com", "shop.example", "google"},
		{"", "Shop.example", "google"},             // learned
		{"mx.shop.example", "shop.example", Other}, // and moved away
		{"mx.sky.example", "gmail.com", "google"},  // behind a host of its own
		{"", "gmail.com", "google"},
		{"local", "gmail.com", Local},
		{"mx1.example.org[private/dovecot-lmtp]", "example.org", Local},
		{"mx1.example.org[/run/lmtp]", "example.org", Local},
		{"127.0.0.1[127.0.0.1]:10024", "gmail.com", Local},
		{"amavis[::1]:10024", "gmail.com", Local},
		{"mx1.example.org[192.0.2.1]", "example.org", Other},
	} {
		if got := g.Of(one.host, one.domain); got != one.want {
			t.Errorf("%s for %s: %s, want %s", one.host, one.domain, got, one.want)
		}
	}
	for i := range 50_000 { // strangers' domains
		g.Of("aspmx.l.google.com", fmt.Sprint(i, ".example"))
		g.Of(fmt.Sprint("mx.", i, ".example"), "a.example")
	}
	if len(g.learned) > maxLearned || len(g.hosts) > maxHosts {
		t.Errorf("%d domains, %d hosts remembered", len(g.learned), len(g.hosts))
	}
}

func TestOwnEntriesComeFirst(t *testing.T) {
	table, err := New(map[string]Entry{"ours": {Name: "Our relay", MX: []string{"relay.example.net", "aspmx.l.google.com"}, Domains: []string{"gmail.com"}}})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"relay.example.net": "ours", "a.relay.example.net": "ours", "aspmx.l.google.com": "ours", "alt1.aspmx.l.google.com": "ours", "x.google.com": "google"} {
		if got, _ := table.ByHost(host); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
	if id, _ := table.ByDomain("gmail.com"); id != "ours" || table.Name(id) != "Our relay" {
		t.Error(id, table.Name(id))
	}
	for id, e := range map[string]Entry{
		"other": {}, "Big": {}, "": {}, "a": {MX: []string{"."}}, "b": {MX: []string{"*"}}, "c": {MX: []string{"mx*.example"}}, "d": {Domains: []string{"*.example"}}, "e": {Domains: []string{""}},
	} {
		if _, err := New(map[string]Entry{id: e}); err == nil {
			t.Errorf("%s %+v is taken", id, e)
		}
	}
}

func BenchmarkOf(b *testing.B) {
	g := NewGroup(Default())
	for b.Loop() {
		g.Of("gmail-smtp-in.l.google.com", "gmail.com")
	}
}
