package outputs

import (
	"slices"
	"strings"
	"testing"

	"bouncefeed/internal/event"
)

// What a stranger wrote must not become another subject, or a wildcard of one.
func TestNATSSubject(t *testing.T) {
	d := startNATSDouble(t)
	out := mustBuild(t, "nats", "servers: ["+d.url+"]", `subject: 'b.{{.host}}.{{.type}}.{{.recipient | lower}}.{{.queue_id}}.{{.bucket}}'`)
	for recipient, want := range map[string]string{
		"jo@example.org":        "jo_example_org",
		`"> *.x"@example.org`:   "_____x__example_org",
		"jö@example.org\r\nPUB": "j__example_org__pub",
		"":                      "_",
	} {
		e := someEvent("0123456789abcdef0123456789abcdef")
		e.Recipient, e.SubscriberUUID = recipient, "u"
		if err := out.Send(t.Context(), []event.Event{e}); err != nil {
			t.Fatal(err)
		}
		_, places := d.seen()
		want = "b.mx1.hard." + want + "._." + e.Bucket()
		if got := places[len(places)-1]; got != want {
			t.Errorf("%q: published to %s, want %s", recipient, got, want)
		}
	}
}

func TestNATSMistakes(t *testing.T) {
	for line, want := range map[string]string{
		"subject: 'bounces.*'":                        "letters, digits, - and _",
		"subject: 'bounces..{{.type}}'":               "letters, digits, - and _",
		"subject: 'bounces.{{json .recipient}}'":      "letters, digits, - and _",
		"subject: 'bounces.{{.nobody}}'":              "nobody",
		"batch: 0":                                    "from 1 to 10000",
		"stream: a.b":                                 "letters, digits, - and _",
		"username: jo":                                "password_file",
		"nkey_file: /x\n    credentials_file: /y":     "several logins",
		"client_cert: /x":                             "client_key",
		"timeout: 0s":                                 "more than 0",
		"servers: [nats://nats.example.com:4222]":     "insecure_tcp",
		"servers: [tls://jo:secret@nats.example.com]": "password_file",
		"servers: [https://nats.example.com]":         "tls://nats1.example.com:4222",
		"servers: []":                                 "missing",
	} {
		lines := []string{line}
		if !strings.HasPrefix(line, "servers") {
			lines = append(lines, "servers: [tls://nats.example.com]")
		}
		if _, err := build(t, "nats", lines...); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

// What the stream answers decides: later, or never.
func TestNATSAnswers(t *testing.T) {
	failure := func(code, text string) string {
		return `{"error":{"code":400,"err_code":` + code + `,"description":"` + text + `"}}`
	}
	for _, c := range []struct {
		reply, want string
		never       bool
	}{
		{failure("10077", "maximum bytes exceeded"), "the stream is full", false},
		{failure("10054", "message size exceeds maximum allowed"), "max_msg_size", true},
		{failure("10060", "expected stream does not match"), "another stream than stream: names", false},
		{failure("10008", "JetStream system temporarily unavailable"), "no leader", false},
		{failure("19999", "something new"), "something new (19999)", false},
		{`{"stream":"OTHER","seq":1}`, "not of stream BOUNCES", false},
		{`+OK`, "no PubAck", false},
		{`{"stream":"BOUNCES","seq":7,"duplicate":true}`, "", false},
	} {
		d := startNATSDouble(t)
		out := mustBuild(t, "nats", "servers: ["+d.url+"]")
		d.be(func(string, string) string { return c.reply })
		err := out.Send(t.Context(), []event.Event{someEvent("a")})
		if c.want == "" && err == nil {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || event.IsPermanent(err) != c.never {
			t.Errorf("%s: %v (permanent: %v), want %q", c.reply, err, event.IsPermanent(err), c.want)
		}
	}
}

// One that will never do must not keep the others from coming again, nor they it from being found.
func TestNATSMixedAnswers(t *testing.T) {
	d := startNATSDouble(t)
	out := mustBuild(t, "nats", "servers: ["+d.url+"]")
	batch := []event.Event{someEvent("good"), someEvent("big"), someEvent("full")}
	batch[1].Diagnostic = strings.Repeat("x", 70_000) // larger than the server's max_payload
	full := true
	d.be(func(_, id string) string {
		if id == "full" && full {
			return `{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}`
		}
		return pubAck
	})
	if err := out.Send(t.Context(), batch); err == nil || event.IsPermanent(err) {
		t.Errorf("while one is to come again: %v", err)
	}
	full = false
	if err := out.Send(t.Context(), batch); !event.IsPermanent(err) || !strings.Contains(err.Error(), "max_payload") {
		t.Errorf("then: %v", err)
	}
	if ids, _ := d.seen(); !slices.Equal(ids, []string{"good", "good", "full"}) {
		t.Errorf("published %q", ids)
	}
}
