package provider

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strings"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/item"
)

func init() {
	registerSigned("lettermint", func(s config.Secret) parsers.Verifier { return lettermintSignature{sharedSecret{s}} }, (*lettermint).notices)
}

// lettermint is one request of Lettermint (https://docs.lettermint.co/platform/webhooks/introduction):
//
//	{"id":"9b1c…","event":"message.hard_bounced","timestamp":"2026-11-22T07:01:02Z","data":{"message_id":"7f3e…","recipient":"jo@example.org",
//	 "metadata":{"X-Listmonk-Campaign":"…"},"response":{"status_code":550,"enhanced_status_code":"5.1.1","content":"user unknown"}}}
type lettermint struct {
	ID    string     `json:"id"`
	Event string     `json:"event"`
	At    item.Loose `json:"timestamp"`
	Data  struct {
		MessageID string          `json:"message_id"`
		Recipient string          `json:"recipient"`
		Metadata  json.RawMessage `json:"metadata"`
		Headers   json.RawMessage `json:"headers"`
		Response  struct {
			Code    item.Loose `json:"status_code"`
			Status  item.Loose `json:"enhanced_status_code"`
			Content string     `json:"content"`
		} `json:"response"`
	} `json:"data"`
}

var lettermintEvents = meanings{
	"message.hard_bounced":   {hint: event.UserUnknown},
	"message.soft_bounced":   {},
	"message.failed":         {},
	"message.suppressed":     suppressed,
	"message.spam_complaint": {kind: event.Complaint},
	"message.delivered":      {kind: event.Delivered},
}

func (l *lettermint) notices(emit func(notice) error) error {
	m, known := lettermintEvents[l.Event]
	if !known { // message.created, sent, opened, clicked, unsubscribed; webhook.test
		return nil
	}
	d := &l.Data
	return emit(notice{
		Event: event.Event{
			Recipient: d.Recipient, MessageID: d.MessageID,
			Code: d.Response.Code.Reply(), Status: string(d.Response.Status), Diagnostic: d.Response.Content,
		},
		meaning: m, id: l.ID, at: l.At, carried: []json.RawMessage{d.Metadata, d.Headers},
	})
}

// lettermintSignature is "X-Lettermint-Signature: t=1795330862,v1=5257…": HMAC-SHA256 over "t.body".
type lettermintSignature struct{ sharedSecret }

// Verify implements parsers.Verifier.
func (s lettermintSignature) Verify(_ context.Context, rec event.Record) error {
	var timestamp string
	var macs [][]byte
	for part := range strings.SplitSeq(rec.Request.Field("X-Lettermint-Signature"), ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "t":
			timestamp = value
		case "v1":
			if mac, err := hex.DecodeString(value); err == nil {
				macs = append(macs, mac)
			}
		}
	}
	if len(macs) == 0 || timestamp == "" {
		return event.Refuse(parsers.WhyNoSignature, "no X-Lettermint-Signature of the form t=…,v1=…")
	}
	if err := signedBy(s.secret, macs, hmacSHA256([]byte(timestamp+"."), rec.Body)); err != nil {
		return err
	}
	return freshAt(timestamp, rec)
}
