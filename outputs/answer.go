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

// LaterError is a temporary answer with the receiver's own wish of how long to wait.
type LaterError struct {
	After time.Duration // from Retry-After, at most an hour; 0: it named none
	Err   error
}

func (e *LaterError) Error() string { return e.Err.Error() }

// Unwrap gives the answer.
func (e *LaterError) Unwrap() error { return e.Err }

const (
	afterAtMost = time.Hour
	textLimit   = 300 // characters of a receiver's words in an error
)

// answer is what a receiver said.
type answer struct {
	status     int
	text       string // its words: one line, without addresses and login, at most textLimit characters
	json       bool   // a JSON object: an API spoke, not a web server in front of it
	page       bool   // a web page (or other markup)
	plainToTLS bool   // we spoke plain HTTP to a TLS port
	location   string // where a 3xx points: scheme and host
	retryAfter time.Duration
}

// readAnswer never fails: the status says what became of the request, even if the body then breaks off.
func readAnswer(resp *http.Response, hide []string) *answer {
	a := &answer{status: resp.StatusCode, retryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	if to, err := resp.Location(); err == nil {
		a.location = redact(clean(to.Scheme+"://"+to.Host, textLimit), hide)
	}
	var body []byte
	if resp.StatusCode >= 200 { // after 101 the "body" is an open connection
		body, _ = io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	}
	// Not by Content-Type: Flask and PHP call even an empty answer text/html.
	a.page = bytes.HasPrefix(bytes.TrimSpace(body), []byte("<"))
	a.plainToTLS = resp.Request.URL.Scheme == "http" && saysTLS(body)
	if !a.page {
		var words string
		words, a.json = wordsOf(body)
		a.text = clean(redact(words, hide), textLimit)
	}
	return a
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
func wordsOf(body []byte) (words string, isObject bool) {
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil {
		return string(bytes.TrimSpace(body)), false
	}
	for _, key := range []string{"message", "error"} {
		if json.Unmarshal(object[key], &words) == nil && words != "" {
			return words, true
		}
	}
	return string(bytes.TrimSpace(body)), true
}

// verdict is what Send makes of an answer: nil for 2xx, a permanent error for 400, 413 and 422, else a LaterError.
// remedy says what the admin can do; empty: the general advice.
func (a *answer) verdict(remedy string) error {
	if a.status/100 == 2 {
		return nil
	}
	if remedy == "" {
		remedy = a.remedy()
	}
	err := fmt.Errorf("%d: %s", a.status, remedy)
	if a.text != "" {
		err = fmt.Errorf("%d: %s (it said: %s)", a.status, remedy, a.text)
	}
	switch a.status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		if !a.plainToTLS {
			return event.Permanent(err)
		}
	}
	return &LaterError{After: a.retryAfter, Err: err}
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
