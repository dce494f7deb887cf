package outputs

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"bouncefeed/internal/event"
)

// endless is a body that ends only after far too much was read.
type endless struct{ read int }

func (b *endless) Read(p []byte) (int, error) {
	if b.read += len(p); b.read > 4*answerLimit {
		return 0, errors.New("read on and on")
	}
	return len(p), nil
}

func (b *endless) Close() error { return nil }

func TestAnswerIsReadUpToALimit(t *testing.T) {
	body := new(endless)
	readAnswer(&http.Response{StatusCode: 200, Body: body, Request: httptest.NewRequest("POST", "/", nil)}, nil, answerLimit)
	if body.read > 2*answerLimit {
		t.Errorf("%d bytes were read", body.read)
	}
}

// After 101 the connection stays open and nothing more comes.
func TestSwitchingProtocols(t *testing.T) {
	url, _ := rawServer(t, func(c net.Conn) {
		answering("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")(c)
		io.Copy(io.Discard, c)
	})
	if err := sendOne(t, t.Context(), posterTo(t, "listmonk", url)); err == nil || event.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
}
