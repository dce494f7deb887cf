package page

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// logged is what is logged.
type logged struct{ strings.Builder }

// TestExplain: what is pasted is answered, neither kept nor logged.
func TestExplain(t *testing.T) {
	t.Parallel()
	f := busy()
	var got string
	answer := f.explain
	f.explain = func(ctx context.Context, as string, pasted []byte) (*Explained, error) {
		got = as + ":" + string(pasted)
		return answer(ctx, as, pasted)
	}
	var log logged
	h := New(f, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	status, _, doc := ask(t, h, post("postfix", "550+gone"))
	text := said(doc)
	if status != http.StatusOK || got != "postfix:550 gone" {
		t.Fatalf("%d, %q was explained", status, got)
	}
	for _, want := range []string{"line 2 Hard bounce: the recipient can't be reached for good user_unknown", "Nobody has this mailbox", "Reported: yes, as hard", "Recipient jo@example.org", "Read as postfix: 2 lines.", "line 1 Nothing to report delivered A message that arrived", "550 gone"} {
		if !strings.Contains(text, want) {
			t.Errorf("the answer does not say %q: %s", want, text)
		}
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", log.String())
	}
}

// TestExplainRefuses what is too much, and too many at a time.
func TestExplainRefuses(t *testing.T) {
	t.Parallel()
	f := busy()
	started, end := make(chan bool), make(chan bool)
	answer := f.explain
	f.explain = func(ctx context.Context, as string, pasted []byte) (*Explained, error) {
		switch string(pasted) {
		case "wait":
			started <- true
			<-end
		case "slow":
			<-ctx.Done()
			return nil, fmt.Errorf("read: %w", ctx.Err())
		}
		return answer(ctx, as, pasted)
	}
	p := newPage(f, quiet())
	p.patience = time.Millisecond
	h := p.routes()
	file := func(content string) *http.Request {
		r := httptest.NewRequest("POST", "/explain", strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n"+content+"\r\n--b--\r\n"))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		return r
	}
	for name, c := range map[string]struct {
		request *http.Request
		status  int
		said    string
	}{
		"nothing":     {post("", ""), 400, "Paste something"},
		"format":      {post("evil", "x"), 400, "no such format"},
		"long text":   {post("", strings.Repeat("x", 200<<10)), 413, "more than can be pasted"},
		"long body":   {post("", strings.Repeat("x", 4<<20)), 413, "more than can be pasted"},
		"a file":      {file("550 gone"), 200, "Answer"},
		"large file":  {file(strings.Repeat("x", 2<<20)), 413, "more than can be pasted"},
		"broken form": {post("%zz", ""), 400, "did not arrive whole"},
		"slow":        {post("", "slow"), 200, "takes too long"},
	} {
		if status, _, doc := ask(t, h, c.request); status != c.status || !strings.Contains(said(doc), c.said) {
			t.Errorf("%s: %d %s", name, status, said(doc))
		}
	}
	for range explainers {
		go h.ServeHTTP(httptest.NewRecorder(), post("", "wait"))
		<-started
	}
	if status, _, doc := ask(t, h, post("", "x")); status != http.StatusServiceUnavailable || !strings.Contains(said(doc), "try again") {
		t.Errorf("one too many: %d %s", status, said(doc))
	}
	close(end)
}
