package maillog

import (
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
)

// TestPutOffBefore: of logs that have a record for each attempt, over a restart between any two.
func TestPutOffBefore(t *testing.T) {
	t.Parallel()
	kumo := func(kind, id, to string, code int) string {
		return fmt.Sprintf(`{"type":%q,"id":%q,"sender":"list@news.example","recipient":%q,"response":{"code":%d,"content":"4.7.1 later"},"peer_address":{"name":"mx.example.net.","addr":"192.0.2.1"},"timestamp":1795161700,"created":1795161600}`, kind, id, to, code)
	}
	pmta := func(kind, queued, to string) string {
		return fmt.Sprintf(`%s,2026-11-20 08:01:40+0000,2026-11-20 %s+0000,list@news.example,%s,,x,4.7.1 (later),smtp;451 4.7.1 later,mx.example.net (192.0.2.1),,smtp,app (127.0.0.1),smtp,198.51.100.1,192.0.2.10,,2841,v1,job7,,example.net/v1,pool1`, kind, queued, to)
	}
	for format, records := range map[string][]string{
		"kumomta": {
			kumo("TransientFailure", "1", "a@example.net", 451), kumo("TransientFailure", "2", "a@example.net", 451), kumo("TransientFailure", "1", "a@example.net", 451),
			kumo("Delivery", "1", "a@example.net", 250), kumo("Expiration", "2", "a@example.net", 551), kumo("Delivery", "1", "a@example.net", 250),
			strings.Replace(kumo("Delivery", "3", "a@example.net", 250), `"type"`, `"num_attempts":2,"type"`, 1),
		},
		"powermta": {
			pmta("t", "08:00:00", "a@example.net"), pmta("t", "08:00:00", "b@example.net"), pmta("t", "08:00:00", "a@example.net"),
			pmta("d", "08:00:00", "a@example.net"), pmta("b", "08:00:00", "b@example.net"), pmta("d", "08:00:00", "a@example.net"),
			pmta("tq", "08:00:01", "b@example.net"),
		},
	} {
		want := []bool{false, false, true, true, true, false, format == "kumomta"}
		stored := map[string][]byte{}
		for i, record := range records {
			p, err := parsers.Modules.Build(config.Env{Host: "mx1", Log: slog.New(slog.DiscardHandler)}, config.Section{Type: format})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.(parsers.Stateful).Load(maps.All(stored)); err != nil {
				t.Fatal(err)
			}
			var got []event.Event
			if err := p.Parse(event.Record{Body: []byte(record)}, func(e event.Event) { got = append(got, e) }); err != nil || len(got) != 1 {
				t.Fatalf("%s, record %d: %v, %v", format, i, got, err)
			}
			if e := got[0]; e.Transit.Before != want[i] || e.Transit.Delay <= 0 || e.Transit.Delay > time.Hour {
				t.Errorf("%s, record %d: before %v, want %v; delay %v", format, i, e.Transit.Before, want[i], e.Transit.Delay)
			}
			if e := got[0]; e.Type == event.Delayed && (e.Code != 451 || e.Status != "4.7.1" || e.RemoteMTA != "mx.example.net") {
				t.Errorf("%s, record %d: put off with %d %s by %s", format, i, e.Code, e.Status, e.RemoteMTA)
			}
			applyChanges(stored, p.(parsers.Stateful).Changes())
		}
		if format == "kumomta" && len(stored) != 0 {
			t.Errorf("%s remembers %v", format, stored)
		}
	}
}
