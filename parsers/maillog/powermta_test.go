package maillog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/parsertest"
)

// A restart in the middle of a file does not forget what its columns are.
func TestPowermtaState(t *testing.T) {
	in := "../testdata/powermta/01-header.in"
	data, err := os.ReadFile(in)
	if err != nil {
		t.Fatal(err)
	}
	breakOffEverywhere(t, "powermta", in, strings.Split(string(data), "\n"))
}

// What is no record is refused whole, and the next line is read as if it had not been there.
func TestPowermtaQuotes(t *testing.T) {
	const head, tail = "b,2026-03-01 08:00:01+0000,2026-03-01 08:00:00+0000,list@news.example,jo@example.net,,failed,", ",mx1.example.net (192.0.2.10),bad-mailbox"
	p := newTestLog(t, "powermta")
	for dsn, refused := range map[string]bool{
		`5.1.1,"smtp;550 a ""quoted"", word"`: false, `5.1.1,smtp;550 "no"`: true, `5.1.1,"smtp;550" no`: true,
		"5.1.1,\"smtp;550 a\nb\"": false, "5.1.1,smtp;550 a\nb,list@news.example": true,
	} {
		if said := tellLog(t, p, head+dsn+tail); (said.why == event.WhyMalformed) != refused || (len(said.events) == 1) == refused {
			t.Errorf("%s: %+v", dsn, said)
		}
		if said := tellLog(t, p, head+"5.1.1,smtp;550 no"+tail); len(said.events) != 1 || said.events[0].Diagnostic != "550 no" {
			t.Errorf("behind %s: %+v", dsn, said)
		}
	}
}

// A line end inside quotes begins no record, also over a restart, and what never ends takes little with it.
func TestPowermtaLineEndInQuotes(t *testing.T) {
	const head, tail = "b,2026-03-01 08:00:01+0000,2026-03-01 08:00:00+0000,list@news.example,jo@example.net,,failed,", ",mx1.example.net (192.0.2.10),bad-mailbox"
	p := newTestLog(t, "powermta")
	if said := tellLog(t, p, head+`5.1.1,"smtp;550 no`); len(said.events) > 0 || said.why != "" {
		t.Errorf("%+v", said)
	}
	store := map[string][]byte{}
	applyChanges(store, p.Changes())
	p = newTestLog(t, "powermta")
	if err := p.Load(maps.All(store)); err != nil {
		t.Fatal(err)
	}
	forged := strings.Replace(head, "jo@", "victim@", 1) + "5.1.1,smtp;550 no" + tail
	if said := tellLog(t, p, forged); len(said.events) > 0 {
		t.Errorf("what stands inside quotes: %+v", said)
	}
	if said := tellLog(t, p, `end"`+tail); len(said.events) != 1 || said.events[0].Recipient != "jo@example.net" {
		t.Errorf("the record whole: %+v", said)
	}
	tellLog(t, p, head+`5.1.1,"smtp;550 no`)
	told, refused := 0, 0
	for range 200 {
		said := tellLog(t, p, forged)
		told += len(said.events)
		if said.why != "" {
			refused++
		}
	}
	if refused != 1 || told != 200 { // no field is so long: these are records behind one that was cut off
		t.Errorf("refused %d, told %d", refused, told)
	}
}

// What strangers mailed needs proof, and foreign clients' header fields name nobody.
func TestRecordsOfStrangers(t *testing.T) {
	const kumo = `{"type":"%s","id":"1","sender":"list@news.example","recipient":"jo@example.net","timestamp":1795330862,"response":{"code":550,"content":"no"},"feedback_report":{"feedback_type":"abuse","original_rcpt_to":["jo@example.net"]},"headers":{"X-Listmonk-Subscriber":"6f1c0a52-31ad-4e0b-9d57-0c0de5b2b001"},"meta":{"received_from":"%s:4711"}}`
	const pmta = "type,timeLogged,orig,rcpt,dsnStatus,dsnDiag,srcMta,header_X-Listmonk-Subscriber\n%s,2026-03-01 08:00:01+0000,list@news.example,jo@example.net,5.1.1,smtp;550 no,app (%s),6f1c0a52-31ad-4e0b-9d57-0c0de5b2b001"
	for _, c := range []struct {
		kind, lines  string
		proof, named bool
	}{
		{"kumomta", fmt.Sprintf(kumo, "Bounce", "127.0.0.1"), false, true},
		{"kumomta", fmt.Sprintf(kumo, "Bounce", "203.0.113.5"), false, false},
		{"kumomta", fmt.Sprintf(kumo, "OOB", "203.0.113.5"), true, true},
		{"kumomta", fmt.Sprintf(kumo, "Feedback", "203.0.113.5"), true, true},
		{"powermta", fmt.Sprintf(pmta, "b", "10.0.0.7"), false, true},
		{"powermta", fmt.Sprintf(pmta, "b", "203.0.113.5"), false, false},
		{"powermta", fmt.Sprintf(pmta, "rb", "203.0.113.5"), true, true},
		{"powermta", fmt.Sprintf(pmta, "f", "203.0.113.5"), true, true},
	} {
		p := build(t, c.kind)
		var said said
		for line := range strings.SplitSeq(c.lines, "\n") {
			said = tellLog(t, p, line)
		}
		if len(said.events) != 1 {
			t.Errorf("%+v: %+v", c, said)
		} else if e := said.events[0]; e.NeedsProof != c.proof || (e.SubscriberUUID != "") != c.named || e.Ours != (c.named && !c.proof) {
			t.Errorf("%+v: %+v", c, e)
		}
	}
}

// Who handed a message in stands in its Reception record, where received_from is not logged.
func TestKumomtaReceptions(t *testing.T) {
	const record = `{"type":"%s","id":"%s","sender":"list@news.example","recipient":"jo@example.net","peer_address":{"name":"x","addr":"%s"},"timestamp":1795330862,"response":{"code":550,"content":"no"},"headers":{"X-Listmonk-Subscriber":"6f1c0a52-31ad-4e0b-9d57-0c0de5b2b001"},"meta":%s}`
	p, stored := newTestLog(t, "kumomta"), map[string][]byte{}
	for i, c := range []struct {
		client, meta string
		named        bool
	}{{"10.0.0.7", "{}", true}, {"203.0.113.5", "{}", false}, {"203.0.113.5", `{"authn_id":"app"}`, true}, {"2001:db8::7", "{}", false}} {
		id := fmt.Sprint(i)
		if said := tellLog(t, p, fmt.Sprintf(record, "Reception", id, c.client, c.meta)); len(said.events) > 0 || said.why != "" {
			t.Errorf("%+v", said)
		}
		applyChanges(stored, p.Changes())
		p = newTestLog(t, "kumomta")
		if err := p.Load(maps.All(stored)); err != nil {
			t.Fatal(err)
		}
		tellLog(t, p, fmt.Sprintf(record, "TransientFailure", id, "198.51.100.1", "{}"))
		said := tellLog(t, p, fmt.Sprintf(record, "Bounce", id, "198.51.100.1", "{}"))
		if len(said.events) != 1 || (said.events[0].SubscriberUUID != "") != c.named || said.events[0].Ours != c.named {
			t.Errorf("%+v: %+v", c, said)
		}
		if applyChanges(stored, p.Changes()); len(stored) > 0 {
			t.Errorf("left: %q", stored)
		}
	}
	for i := range 3 * maxRecent {
		tellLog(t, p, fmt.Sprintf(record, "Reception", fmt.Sprint("s", i), "203.0.113.5", "{}"))
		if i%1000 == 0 {
			applyChanges(stored, p.Changes())
		}
	}
	if applyChanges(stored, p.Changes()); len(stored) != maxRecent {
		t.Errorf("%d strangers' messages are remembered", len(stored))
	}
}

func FuzzPowermta(f *testing.F) { parsertest.Fuzz(f, "powermta", parsertest.Lines, checkRecords) }
func FuzzKumomta(f *testing.F)  { parsertest.Fuzz(f, "kumomta", parsertest.Lines, checkRecords) }

// checkRecords holds that recipients have one reading and diagnostics an end, and that what is stored can be loaded.
func checkRecords(_ testing.TB, kind string) parsertest.Check {
	return func(t testing.TB, data []byte) {
		p := build(t, kind)
		store := map[string][]byte{}
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			for _, e := range tellLog(t, p, string(line)).events {
				if checkAddress([]byte(e.Recipient)) != nil || len(e.Diagnostic) > maxDiagnostic+8 {
					t.Errorf("%+v", e)
				}
			}
			if s, ok := p.(parsers.Stateful); ok {
				applyChanges(store, s.Changes())
			}
		}
		if s, ok := p.(parsers.Stateful); ok {
			if err := s.Load(maps.All(store)); err != nil {
				t.Error(err)
			}
		}
	}
}

func writePowermtaLoad(w io.Writer, messages int) (lines, bounces int) {
	for i := range messages {
		kind, said := "d", "smtp;250 ok"
		if i%100 < 3 {
			bounces++
			kind, said = "b", "smtp;550 5.1.1 Recipient address rejected: User unknown in virtual mailbox table"
		}
		fmt.Fprintf(w, "%s,2026-03-01 08:00:01+0000,2026-03-01 08:00:00+0000,list@news.example,u%d@example.net,,failed,5.1.1 (bad destination mailbox address),%s,mx1.example.net (192.0.2.10),bad-mailbox,smtp,app (127.0.0.1),smtp,198.51.100.1,192.0.2.10,\"ENHANCEDSTATUSCODES,PIPELINING\",2841,v1,job7,,example.net/v1,pool1\n", kind, i, said)
	}
	return messages, bounces
}

func BenchmarkPowermta(b *testing.B) { benchmarkLog(b, "powermta", writePowermtaLoad) }

// BenchmarkKumomta reads bounces, of which other benchmarks have few: nothing in such a log is cheap to pass over.
func BenchmarkKumomta(b *testing.B) {
	data, err := os.ReadFile("../testdata/kumomta/01-records.in")
	if err != nil {
		b.Fatal(err)
	}
	line := bytes.Split(data, []byte("\n"))[1]
	p := build(b, "kumomta")
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Parse(event.Record{Time: parsertest.Time, Body: line}, func(event.Event) {}); err != nil {
			b.Fatal(err)
		}
	}
}

// A log hook posts the records that the log holds line by line.
func TestKumomtaByHTTP(t *testing.T) {
	data, err := os.ReadFile("../testdata/kumomta/01-records.in")
	if err != nil {
		t.Fatal(err)
	}
	p := build(t, "kumomta")
	if _, web := p.(parsers.Web); !web {
		t.Fatal("does not come by HTTP")
	}
	var want []event.Event
	var records [][]byte
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); json.Valid(line) && line[0] == '{' {
			want = append(want, tellLog(t, p, string(line)).events...)
			records = append(records, line)
		}
	}
	records = append(records, []byte(`{"type":"Bounce","TYPE":"Delivery"}`))
	body := slices.Concat([]byte("["), bytes.Join(records, []byte(",")), []byte("]"))
	got, refused := parsertest.Read(t, p, event.Record{Time: parsertest.Time, Body: body, Request: &event.Request{Method: "POST"}})
	if len(refused) == 0 || refused[len(refused)-1] != event.WhyTwoReadings {
		t.Errorf("refused %v", refused)
	}
	if len(want) == 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d events, by line %d", len(got), len(want))
	}
}
