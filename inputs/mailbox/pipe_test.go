package mailbox

import (
	"strings"
	"testing"

	"bouncefeed/inputs/inputtest"
)

func TestPipe(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Subject: x\n\ny\n": "Subject: x\n\ny\n",
		"From a@b Mon Nov  2 07:01:02 2026\nSubject: x\n\ny\n": "Subject: x\n\ny\n",
		"Subject: x\n\n" + strings.Repeat("y", 2*maxMessage):   "Subject: x\n\n" + strings.Repeat("y", maxMessage-len("Subject: x\n\n")),
		"From a@b Mon Nov  2 07:01:02 2026":                    "",
		"\r\n":                                                 "",
		"":                                                     "",
	} {
		r := strings.NewReader(text)
		rec, err := pipe{}.Message(r)
		if string(rec.Body) != want || (err == nil) != (want != "") || r.Len() > 0 {
			t.Errorf("%.80q: %.80q, %v, %d bytes not read", text, rec.Body, err, r.Len())
		}
		if truncated := rec.Truncated; truncated != (len(text) > maxMessage) {
			t.Errorf("%.80q: truncated %v", text, truncated)
		}
	}
	in, _ := buildInput(t, "type: pipe\ntrust: proof")
	if err := inputtest.RunUntil(t, in, &inputtest.Sink{}, func() bool { return true }); err != nil {
		t.Error(err)
	}
	_, _, err := tryInput("type: pipe")
	wantError(t, err, "trust: proof", "trust: any")
}
