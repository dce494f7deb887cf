// Package mailbox reads the mails in which bounces come: by POP3 and IMAP, from a Maildir or an mbox, or from a pipe of the
// mail server's. It also reads finished mailboxes to their end, for backfill and explain.
package mailbox

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// mailSettings are the keys of every input that reads messages; a module's configuration embeds them.
type mailSettings struct {
	inputs.Settings `yaml:",inline"`
	Trust           mailTrust `yaml:"trust"` // who may be believed; no default
	After           string    `yaml:"after"` // what becomes of a message once it is committed: see the after… words
}

// What may become of a message after Commit. Those that were refused, held or not understood always stay.
const (
	afterLeave         = "leave"
	afterDeleteReports = "delete-reports" // bounces, complaints, notices and automatic replies
	afterDeleteAll     = "delete-all"     // ordinary mail, too
)

// Limits on what a mailbox holds.
const (
	maxMessage = 1 << 20 // bytes of a message that are read; the rest is skipped, and the record flagged
	batchBytes = 2 << 20 // of messages in one Commit
	batchCount = 500     // messages in one Commit
)

// mailTrust is "proof" or "any".
type mailTrust string

// UnmarshalText accepts proof and any.
func (t *mailTrust) UnmarshalText(text []byte) error {
	switch *t = mailTrust(text); *t {
	case "proof", "any":
		return nil
	}
	return fmt.Errorf("%q is neither proof nor any", text)
}

// check says what trust is for where it was not given.
func (t mailTrust) check(section config.Section) error {
	if t != "" {
		return nil
	}
	return section.Errorf("trust", `is missing: anybody can send a mail that looks like a bounce. Say who is believed:
  trust: proof   a bounce is reported if it proves that we sent that message to that recipient (by the subscriber's UUID, a VERP address, or our own log); others are held for you to look at
  trust: any     every bounce is reported: right only where strangers can't send mail to this mailbox`)
}

// check holds the keys to what they may be; further are the words that `after` takes in this module beside the common.
func (m *mailSettings) check(section config.Section, further ...string) error {
	errs := []error{m.Trust.check(section)}
	words := append([]string{afterLeave, afterDeleteReports, afterDeleteAll}, further...)
	if !slices.Contains(words, m.After) {
		errs = append(errs, section.Errorf("after", "%q is none of %s", m.After, strings.Join(words, ", ")))
	}
	m.Settings.Trust = string(m.Trust)
	return config.Join("", errs...)
}

// deletes says whether a message of that fate is to be deleted.
func (m *mailSettings) deletes(fate event.Fate) bool {
	switch m.After {
	case afterDeleteReports:
		return fate == event.Understood
	case afterDeleteAll:
		return fate != event.Kept
	}
	return false
}

// commitFates commits to any Sink; one that can't tell fates has kept everything.
func commitFates(ctx context.Context, sink inputs.Sink, recs []event.Record, checkpoint func([]event.Fate) map[string]string) error {
	if f, ok := sink.(inputs.FateSink); ok {
		return f.CommitFates(ctx, recs, checkpoint)
	}
	return sink.Commit(ctx, recs, checkpoint(make([]event.Fate, len(recs))))
}

// messageRecord is the record of a message that came at a time the source knows; zero: the newest Received field tells,
// so that the message has the same time whenever it is read.
func messageRecord(body []byte, truncated bool, came time.Time) event.Record {
	if came.IsZero() {
		came = receivedTime(body, time.Now())
	}
	return event.Record{Time: came, Body: body, Truncated: truncated}
}

// maxHeader is how much of a message is looked at for fields of its header.
const maxHeader = 64 << 10

// headerOf is the header of a message with LF line ends, with the empty line behind it, if it is there. It is a cut, made for
// every message that is listed; parsers/mail, which reads the fields, also knows where a header ends that lacks that line.
func headerOf(message []byte) []byte {
	message = message[:min(len(message), maxHeader)]
	if bytes.HasPrefix(message, []byte("\n")) {
		return message[:1]
	}
	if i := bytes.Index(message, []byte("\n\n")); i >= 0 {
		return message[:i+2]
	}
	return message
}

// receivedTime is when our side took the message, by its first Received field (RFC 5321 §4.4); now if there is none, or
// none to be believed.
func receivedTime(message []byte, now time.Time) time.Time {
	var field []byte
	for line := range bytes.Lines(headerOf(message)) {
		folded := line[0] == ' ' || line[0] == '\t'
		switch {
		case field != nil && folded:
			field = append(field, line...)
		case field != nil:
			return fieldTime(field, now)
		case len(line) >= 9 && bytes.EqualFold(line[:9], []byte("Received:")):
			field = append([]byte{}, line...)
		}
	}
	return fieldTime(field, now)
}

func fieldTime(received []byte, now time.Time) time.Time {
	t, err := event.MailDate(string(received[bytes.LastIndexByte(received, ';')+1:]))
	if err != nil || t.After(now) { // it can't come before it was sent on
		return now
	}
	return event.BelieveTime(t, now)
}

// jitter is d, a tenth more or less, so that many do not ask at once.
func jitter(d time.Duration) time.Duration { return d*9/10 + rand.N(d/5+1) }

// pause waits about d; false: ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(jitter(d))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
