package smtp

import (
	"strings"
	"testing"
)

func TestCode(t *testing.T) {
	for s, want := range map[string]int{
		"550 5.1.1 unknown": 550, "550-5.1.1 more": 550, "421": 421, "550:": 550, "571 denied": 571, "250 ok": 250, "550.": 550,
		"": 0, "55": 0, "5500": 0, "550a": 0, "550.1": 0, "192.0.2.1": 0, "600 no": 0, "5x0 no": 0, " 550 no": 0,
	} {
		if got := Code(s); got != want {
			t.Errorf("Code(%q) = %d, expected %d", s, got, want)
		}
	}
}

func TestFindReply(t *testing.T) {
	for s, want := range map[string]int{
		"550 unknown": 550,
		"host mx.example.org[192.0.2.1] said: 550 5.1.1 no": 550,
		"smtp; 452 full":               452,
		"<<< 554 no":                   554,
		"error 550 no such user":       550,
		"it went to 500 recipients":    0,
		"port 465 does not answer":     0,
		"port 587: 550 no":             550,
		"on 192.0.2.1 port 587":        0,
		"mail of 550 5.1.1":            550,
		"delivered: 250 ok":            0,
		"the year 2026, room 451, see": 0,
	} {
		if got, at := FindReply(s); got != want || got != 0 && Code(s[at:]) != got || got == 0 && at != -1 {
			t.Errorf("FindReply(%q) = %d at %d, expected %d", s, got, at, want)
		}
	}
}

func TestStatus(t *testing.T) {
	for s, want := range map[string]Status{
		"5.1.1": {5, 1, 1}, "4.7.650 later": {4, 7, 650}, "2.0.0.": {2, 0, 0}, "5.1.10)": {5, 1, 10},
		"": {}, "5.1": {}, "5.1.": {}, "5..1": {}, "3.1.1": {}, "5.1.1234": {}, "5.1234.1": {}, "5.1.1.1": {}, "5.1.1a": {}, "192.0.2.1": {},
	} {
		got, n := ParseStatus(s)
		if got != want || (n > 0) != want.Known() || n != StatusLength([]byte(s)) {
			t.Errorf("ParseStatus(%q) = %v, %d, expected %v", s, got, n, want)
		}
	}
	if !(Status{5, 0, 0}).Vague() || (Status{5, 1, 1}).Vague() || (Status{}).Known() {
		t.Error("Vague, Known")
	}
}

func TestFindStatus(t *testing.T) {
	for s, want := range map[string]string{
		"Error: 5.1.1":                              "5.1.1",
		"no (#5.7.1)":                               "5.7.1",
		"错误代码：5.1.1":                                "5.1.1",
		"refused by 192.0.2.1 and 5.1.1.1":          "",
		"Postfix 3.7.2, mark5.1.1":                  "",
		"exim 4.9.1 said 4.2.2":                     "4.2.2",
		"SpamAssassin version 4.0.1":                "",
		"2.0.0 from MTA: 5.1.1":                     "5.1.1",
		"https://support.example/5.7.1 [5.7.26]":    "5.7.26",
		"user@5.1.1 and _5.1.1 and 5.1.1e and 5.1.": "",
	} {
		if got := FindStatus(s, "45"); got != want {
			t.Errorf("FindStatus(%q) = %q, expected %q", s, got, want)
		}
	}
	if got := FindStatus("2.0.0 ok", "245"); got != "2.0.0" {
		t.Errorf("of all classes: %q", got)
	}
}

func TestReplyStatus(t *testing.T) {
	for s, want := range map[string]string{
		"550 5.1.1 no": "5.1.1", "550-5.1.1 no": "5.1.1", "5.1.1 no": "5.1.1", "550 no 5.1.1": "", "550": "", "": "", "mailbox full": "",
	} {
		if got := ReplyStatus(s); got != want {
			t.Errorf("ReplyStatus(%q) = %q, expected %q", s, got, want)
		}
	}
}

func TestEximIDLength(t *testing.T) {
	for s, want := range map[string]int{
		"1xV1UT-0001VG-2g": 16, "1tJ2Yb-00000000abc-1a2B": 23, "1xV1UT-0001VG-2g <= jo@example.org": 16, "1tJ2Yb-00000000abc-1a2B rest": 23,
		"": 0, "1xV1UT-0001VG-2": 0, "1xV1UT_0001VG-2g": 0, "1xV1U-T0001VG-2g": 0, "1xV1UT-0001VG-2/": 0, "1tJ2Yb-00000000ab-1a2Bc": 0,
	} {
		if got := EximIDLength(s); got != want || got != EximIDLength([]byte(s)) {
			t.Errorf("EximIDLength(%q) = %d, expected %d", s, got, want)
		}
	}
}

func FuzzSMTP(f *testing.F) {
	for _, s := range []string{"550 5.1.1 <jo@example.org>: unknown", "host said: 452-4.2.2 full", "5.1.1.1 Postfix 3.7.2", "4.\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if code := Code(s); code != 0 && (code < 200 || code > 599) {
			t.Errorf("Code(%q) = %d", s, code)
		}
		if code, at := FindReply(s); (at < 0) != (code == 0) || code != 0 && (code < 400 || Code(s[at:]) != code) {
			t.Errorf("FindReply(%q) = %d, %d", s, code, at)
		}
		if found := FindStatus(s, "245"); found != "" && (!strings.Contains(s, found) || StatusLength(found) != len(found)) {
			t.Errorf("FindStatus(%q) = %q", s, found)
		}
		if found := ReplyStatus(s); found != "" && StatusLength(found) != len(found) {
			t.Errorf("ReplyStatus(%q) = %q", s, found)
		}
	})
}
