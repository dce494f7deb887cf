package jetstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/nats-io/nats.go"

	"bouncefeed/internal/event"
)

// meanings are the error codes of JetStream's answers that an admin can do something about
// (https://github.com/nats-io/nats-server/blob/main/server/errors.json). never: this event will never be taken.
var meanings = map[nats.ErrorCode]struct {
	words string
	never bool
}{
	10008: {words: "JetStream has no leader at the moment: more than half of the servers must be up and see each other"},
	10009: {words: "this server is not the leader, and none is chosen yet"},
	10014: {words: "there is no such consumer: 'bouncefeed nats setup' makes it"},
	10023: {words: "the servers lack room or memory for it: see max_file_store and max_memory_store in their configuration"},
	10028: {words: "the account's memory is used up: give it more, or the stream file storage"},
	10035: {words: "the account is not known"},
	10039: {words: "JetStream is not switched on for this account"},
	10047: {words: "the account's or the servers' storage is used up: give them more, or lower the stream's max_bytes"},
	10054: {words: "the event is larger than the stream takes: raise its max_msg_size", never: true},
	10059: {words: "there is no such stream: 'bouncefeed nats setup' makes it"},
	10060: {words: "the subject belongs to another stream than stream: names"},
	10074: {words: "one server keeps one copy only: replicas need a cluster"},
	10076: {words: "JetStream is not switched on in the server"},
	10077: {words: "the stream is full: raise its max_bytes or max_msgs, or let its consumers catch up and lower max_age"},
	10167: {words: "too many messages at once: lower batch"},
}

// Explain says in an admin's words what err of the client or of a server means; it stays err for errors.Is.
func (s *Server) Explain(err error) error {
	var done *worded
	if errors.As(err, &done) {
		return err
	}
	var api *nats.APIError
	if errors.As(err, &api) {
		m := meanings[api.ErrorCode]
		said := fmt.Sprintf("%s (%d)", oneLine(api.Description), api.ErrorCode)
		if m.words == "" {
			return &worded{"JetStream says: " + said, err}
		}
		err = &worded{m.words + " (it said: " + said + ")", err}
		if m.never {
			return event.Permanent(err)
		}
		return err
	}
	if words := s.meaning(err); words != "" {
		return &worded{words, err}
	}
	return &worded{oneLine(strings.TrimPrefix(err.Error(), "nats: ")), err}
}

// meaning is for what does not come as a code.
func (s *Server) meaning(err error) string {
	text := oneLine(strings.TrimPrefix(err.Error(), "nats: "))
	var expired x509.CertificateInvalidError
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err.Error()
	case errors.As(err, &expired) && expired.Reason == x509.Expired:
		return "the server's certificate has expired, or this machine's clock is wrong: renew the one or set the other (" + text + ")"
	case errors.As(err, &untrusted):
		return "the server's certificate is not trusted: name its CA with ca_file, or write the name in the certificate into servers (" + text + ")"
	case strings.Contains(text, "tls: expired certificate"):
		return "our certificate has expired: renew client_cert (" + text + ")"
	case strings.Contains(text, "remote error: tls: "), strings.Contains(text, "closed by remote after TLS handshake"):
		return "the server refuses our certificate: see client_cert and client_key (" + text + ")"
	case errors.Is(err, nats.ErrSecureConnWanted):
		return "the server speaks no TLS: write nats:// if that is meant, or switch TLS on there"
	case errors.Is(err, nats.ErrSecureConnRequired):
		return "the server asks for TLS: write tls:// into servers"
	case errors.Is(err, nats.ErrPermissionViolation):
		return "this account may not do that: allow it in the server's permissions (" + text + ")"
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAccountAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return "the server refuses the login, or it has expired: check username and password, credentials or nkey (" + text + ")"
	case errors.Is(err, nats.ErrNoResponders):
		return "nobody answers: no stream takes this subject ('bouncefeed nats setup' makes one), JetStream has no leader at the moment, or this server or account has none (domain: names a leaf node's)"
	case errors.Is(err, nats.ErrNoServers):
		return "no server can be reached: are they up, and does the way there let port 4222 through?"
	case errors.Is(err, nats.ErrMaxPayload):
		return "larger than the server's max_payload"
	case errors.Is(err, nats.ErrSlowConsumer):
		return "we read too slowly, and the client dropped what came: it is asked for again"
	case errors.Is(err, nats.ErrConnectionClosed):
		return "the server closed the connection"
	}
	return ""
}

// worded is words for a log, with the cause for errors.Is.
type worded struct {
	words string
	cause error
}

func (e *worded) Error() string { return e.words }
func (e *worded) Unwrap() error { return e.cause }

const maxWords = 300

// oneLine makes what a server says fit for a log line.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > maxWords {
		s = strings.ToValidUTF8(s[:maxWords], "") + "…"
	}
	return s
}
