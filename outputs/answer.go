package outputs

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"bouncefeed/internal/event"
)

// UncertainError is an attempt after which nobody knows whether the receiver has the events: there was no answer, or one
// that was not the receiver's own.
type UncertainError struct{ Err error }

func (e *UncertainError) Error() string { return e.Err.Error() }

// Unwrap gives the failure.
func (e *UncertainError) Unwrap() error { return e.Err }

// LaterError is a temporary answer with the receiver's own wish of how long to wait.
type LaterError struct {
	After time.Duration // from Retry-After, at most an hour; 0: it named none
	Err   error
}

func (e *LaterError) Error() string { return e.Err.Error() }

// Unwrap gives the answer.
func (e *LaterError) Unwrap() error { return e.Err }

// AnswerError is an HTTP answer that was not the one hoped for.
type AnswerError struct {
	Status int
	text   string
}

func (e *AnswerError) Error() string { return e.text }

const (
	afterAtMost = time.Hour
	textLimit   = 300 // characters of a receiver's words in an error
)

// answer is what a receiver said.
type answer struct {
	status     int
	text       string // its words: one line, without addresses and login, at most textLimit characters
	json       bool   // a JSON object: an API spoke, not a web server in front of it
	own        bool   // one with a "message", as listmonk says everything but yes
	page       bool   // a web page (or other markup)
	taken      bool   // listmonk's {"data":true}, nothing else
	body       []byte
	plainToTLS bool   // we spoke plain HTTP to a TLS port
	location   string // where a 3xx points: scheme and host
	retryAfter time.Duration
}

// readAnswer never fails: the status says what became of the request, even if the body then breaks off.
func readAnswer(resp *http.Response, hide []string, limit int64) *answer {
	a := &answer{status: resp.StatusCode, retryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	if to, err := resp.Location(); err == nil {
		a.location = redact(clean(to.Scheme+"://"+to.Host, textLimit), hide)
	}
	var body []byte
	var broken error
	if resp.StatusCode >= 200 { // after 101 the "body" is an open connection
		body, broken = io.ReadAll(io.LimitReader(resp.Body, limit))
	}
	a.body, a.taken = body, saysTaken(body, broken != nil)
	// Not by Content-Type: Flask and PHP call even an empty answer text/html.
	a.page = bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
	a.plainToTLS = resp.Request.URL.Scheme == "http" && saysTLS(body)
	if !a.page && len(body) <= answerLimit {
		var words string
		words, a.json, a.own = wordsOf(body)
		a.text = clean(redact(words, hide), textLimit)
	}
	return a
}

// saysTaken recognizes listmonk's {"data":true}, or its beginning where the rest was cut off.
func saysTaken(body []byte, cut bool) bool {
	if cut {
		return len(body) > 0 && bytes.HasPrefix([]byte(`{"data":true}`), body)
	}
	var says map[string]any
	return json.Unmarshal(body, &says) == nil && len(says) == 1 && says["data"] == true
}

// saysTLS recognizes the 400 of nginx, Apache and Go to plain HTTP on their TLS port. It says nothing of the event.
func saysTLS(body []byte) bool {
	start := strings.ToLower(string(body[:min(len(body), 512)]))
	for _, words := range []string{"plain http request was sent to https port", "speaking plain http to an ssl-enabled", "http request to an https server"} {
		if strings.Contains(start, words) {
			return true
		}
	}
	return false
}

// wordsOf finds the message in a JSON answer: {"message":"…"} of listmonk, {"error":"…"} of others.
func wordsOf(body []byte) (words string, isObject, isMessage bool) {
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil {
		return string(bytes.TrimSpace(body)), false, false
	}
	for _, key := range []string{"message", "error"} {
		if json.Unmarshal(object[key], &words) == nil && words != "" {
			return words, true, key == "message"
		}
	}
	return string(bytes.TrimSpace(body)), true, false
}

// verdict is what Send makes of an answer: nil for 2xx, a permanent error for 400, 413 and 422, else a LaterError.
// remedy says what the admin can do; empty: the general advice.
func (a *answer) verdict(remedy string) error {
	if a.status/100 == 2 {
		return nil
	}
	switch a.status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		if !a.plainToTLS {
			return event.Permanent(a.failure(remedy))
		}
	}
	return a.later(remedy)
}

// later is the answer as a temporary one.
func (a *answer) later(remedy string) error {
	return &LaterError{After: a.retryAfter, Err: a.failure(remedy)}
}

// failure is the answer in words: its status, what can be done, what it said.
func (a *answer) failure(remedy string) error {
	if remedy == "" {
		remedy = a.remedy()
	}
	text := fmt.Sprintf("%d: %s", a.status, remedy)
	if a.text != "" {
		text += " (it said: " + a.text + ")"
	}
	return &AnswerError{a.status, text}
}

// remedy is the advice that holds for any receiver.
func (a *answer) remedy() string {
	switch {
	case a.plainToTLS:
		return "the receiver speaks TLS on this port: write https:// in url"
	case a.location != "":
		return "redirects are not followed: it points to " + a.location + ", write the final address into url"
	}
	switch a.status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "the receiver refuses the event"
	case http.StatusRequestEntityTooLarge:
		return "the receiver finds the event too large"
	case http.StatusUnauthorized, http.StatusForbidden:
		return "the receiver refuses the login: check username, password and auth"
	case http.StatusNotFound, http.StatusGone:
		return "nothing there: check url"
	case http.StatusMethodNotAllowed:
		return "takes no POST: check the path in url"
	case http.StatusProxyAuthRequired:
		return "the proxy of HTTPS_PROXY or HTTP_PROXY wants a login"
	case http.StatusTooManyRequests:
		return "too many requests: lower max_rate"
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "the receiver is down, restarting or overloaded"
	}
	if text := http.StatusText(a.status); text != "" {
		return strings.ToLower(text)
	}
	return "an answer without a known meaning"
}

// retryAfter reads seconds or a date (RFC 9110 §10.2.3).
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(afterAtMost/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(time.Until(at), 0), afterAtMost)
	}
	return 0
}

// secrets are the strings that no error may repeat, though a receiver might echo them.
func (p *poster) secrets(u *url.URL, login string) []string {
	secrets := []string{u.RawQuery}
	if login != "" {
		secrets = append(secrets, base64.StdEncoding.EncodeToString([]byte(p.Username+":"+login)), login)
	}
	return secrets
}

// address is anything like one, also as URLs and JSON spell the "@".
var address = regexp.MustCompile(`(?i)("[^"]*"|[^\s<>"'(),;:=/]+)(@|%40|\\u0040)[^\s<>"'(),;]*`)

// redact takes addresses and the given secrets out of a receiver's words.
func redact(s string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "[hidden]")
		}
	}
	return address.ReplaceAllString(s, "[address]")
}

// clean makes s fit for a log line and for PostgreSQL's jsonb: valid UTF-8, one line, no control characters, at most
// limit characters.
func clean(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s))
	n := 0
	for i := range s {
		if n++; n > limit {
			return s[:i] + "…"
		}
	}
	return s
}
