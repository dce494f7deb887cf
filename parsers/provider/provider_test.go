package provider

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
	"bouncefeed/parsers/parsertest"
)

func TestCarried(t *testing.T) {
	t.Parallel()
	const campaign = "3f2a1b4c-5d6e-4f70-8a9b-0c1d2e3f4a5b"
	for in, want := range map[string]string{
		`{"X-Listmonk-Campaign":"` + campaign + `","other":"x"}`:                        campaign,
		`{"x_listmonk_campaign":["` + campaign + `"]}`:                                  campaign,
		`{"ListmonkCampaign":"` + campaign + `"}`:                                       campaign,
		`[{"name":"X-Listmonk-Campaign","value":"` + campaign + `"}]`:                   campaign,
		`[{"Name":"X-Listmonk-Campaign","Value":"` + campaign + `"}]`:                   campaign,
		`[["X-Listmonk-Campaign","` + campaign + `"],["Subject","News"]]`:               campaign,
		`"{\"X-Listmonk-Campaign\":\"` + campaign + `\"}"`:                              campaign,
		`"a:b|X-Listmonk-Campaign: ` + campaign + `|c:d"`:                               campaign,
		`{"Subject":"X-Listmonk-Campaign: ` + campaign + `"}`:                           "",
		`{"X-Listmonk-Campaign":"one","x-listmonk-campaign-":"two"}`:                    "",
		`[{"name":"X-Listmonk-Campaign","value":{"a":1}},null,3,"X-Listmonk-Campaign"]`: "",
		`null`: "", `{}`: "", `""`: "", `[]`: "", `"\"\""`: "", `7`: "",
	} {
		if got := readCarried([]json.RawMessage{json.RawMessage(in)}).get("X-Listmonk-Campaign"); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestTimeOf(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 11, 22, 7, 1, 2, 0, time.UTC)
	for _, s := range []string{
		"1795330862", "1795330862000", "2026-11-22T07:01:02Z", "2026-11-22T08:01:02.000000+01:00", "2026-11-22 07:01:02",
		"2026-11-22T07:01:02", "2026-11-22 07:01:02.000+00:00", "Sun, 22 Nov 2026 07:01:02 +0000", "Sun, 22 Nov 2026 07:01:02 GMT",
	} {
		if got := timeOf(s, parsertest.Time); !got.Equal(want) {
			t.Errorf("%s: %s", s, got)
		}
	}
	for _, s := range []string{"", "x", "0", "-1", "NaN", "1e300", "2027-11-22T07:01:02Z", "1970-01-02T00:00:00Z"} {
		if got := timeOf(s, parsertest.Time); !got.Equal(parsertest.Time) {
			t.Errorf("%q is believed: %s", s, got)
		}
	}
}

// Only "blocked", "spam" and their like are soft whatever else is said, and never is a hint of theirs hard.
func TestWhatTheProvidersWordsMean(t *testing.T) {
	t.Parallel()
	drops := meanings{}
	for _, d := range sendgridDrops {
		drops[d.words] = d.meaning
	}
	for _, table := range []meanings{
		postmarkTypes, mailgunReasons, brevoEvents, forwardEmailCategories, lettermintEvents, azureStatuses, postalEvents,
		mailjetErrors, sparkPostClasses, mailerSendTypes, sendgridClasses, drops,
	} {
		for word, m := range table {
			typ, fault, known := m.hint.Outcome()
			switch {
			case m.hint != "" && !known:
				t.Errorf("%s: %q is no reason", word, m.hint)
			case m.kind != "" && (m.hint != "" || m.soft):
				t.Errorf("%s is %s, and more", word, m.kind)
			case m.soft && typ == event.Hard && m.hint != event.BadAddress:
				t.Errorf("%s is soft, its hint hard", word)
			case m.hint != "" && fault == event.FaultSender && !m.soft && m.hint != event.MessageTooBig && m.hint != event.RelayDenied && m.hint != event.Protocol:
				t.Errorf("%s is the sender's fault and could become hard", word)
			case strings.Contains(strings.ToLower(word), "block") && !m.soft:
				t.Errorf("%s could become hard", word)
			}
		}
	}
}

func FuzzAzure(f *testing.F) { parsertest.Fuzz(f, "azure", parsertest.Items, checkProvider) }
func FuzzBrevo(f *testing.F) { parsertest.Fuzz(f, "brevo", parsertest.Items, checkProvider) }
func FuzzForwardEmail(f *testing.F) {
	parsertest.Fuzz(f, "forwardemail", parsertest.Items, checkProvider)
}
func FuzzLettermint(f *testing.F) { parsertest.Fuzz(f, "lettermint", parsertest.Items, checkProvider) }
func FuzzMailerSend(f *testing.F) { parsertest.Fuzz(f, "mailersend", parsertest.Items, checkProvider) }
func FuzzMailgun(f *testing.F)    { parsertest.Fuzz(f, "mailgun", parsertest.Items, checkProvider) }
func FuzzMailjet(f *testing.F)    { parsertest.Fuzz(f, "mailjet", parsertest.Items, checkProvider) }
func FuzzPostal(f *testing.F)     { parsertest.Fuzz(f, "postal", parsertest.Items, checkProvider) }
func FuzzPostmark(f *testing.F)   { parsertest.Fuzz(f, "postmark", parsertest.Items, checkProvider) }
func FuzzResend(f *testing.F)     { parsertest.Fuzz(f, "resend", parsertest.Items, checkProvider) }
func FuzzSendGrid(f *testing.F)   { parsertest.Fuzz(f, "sendgrid", parsertest.Items, checkProvider) }
func FuzzSparkPost(f *testing.F)  { parsertest.Fuzz(f, "sparkpost", parsertest.Items, checkProvider) }

// checkProvider is checkBody, and holds that events of the providers are whole.
func checkProvider(t testing.TB, kind string) parsertest.Check {
	p := build(t, kind)
	return func(t testing.TB, body []byte) {
		for _, e := range readBody(t, p, kind, body) {
			if e.Recipient == "" && e.SubscriberUUID == "" || e.Recipient != "" && !address.Valid(e.Recipient) {
				t.Errorf("names nobody: %+v", e)
			}
			if e.ProviderID != "" && !strings.HasPrefix(e.ProviderID, kind+":") {
				t.Errorf("an id of %q", e.ProviderID)
			}
			if e.Type.Reported() && e.Type != event.Complaint {
				t.Errorf("the parser decides what is the classifier's: %s", e.Type)
			}
		}
	}
}
