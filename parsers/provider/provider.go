// Package provider has the parsers of the webhook requests in which mail providers, other bouncefeeds and scripts tell
// what became of a mail: one file a provider, named like it. A request's signature is verified over the raw bytes before
// anything of it is read.
package provider

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"

	"bouncefeed/internal/address"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
	"bouncefeed/parsers"
	"bouncefeed/parsers/item"
)

// A provider reads requests that are a JSON object, or an array of them, each about one recipient: of the shape I. Most
// providers' are. Their files say how an item is read and what its categories mean; the rest is here.
type provider[I any] struct {
	item.JSON
	kind string
	read func(item *I, emit func(notice) error) error // does not call emit where nothing is of interest
}

// registerProvider makes a provider known that signs nothing: its route asks for a password or a token.
func registerProvider[I any](kind string, read func(*I, func(notice) error) error) {
	parsers.RegisterMessage(kind, struct{}{}, func(config.Env, config.Section, *struct{}) (parsers.Parser, error) {
		return &provider[I]{kind: kind, read: read}, nil
	})
}

// A signedProvider signs its requests with a secret that the admin shares with it.
type signedProvider[I any] struct {
	provider[I]
	parsers.Verifier
}

type signedConfig struct {
	Secret config.Secret `yaml:"secret"` // two lines are two secrets
}

func registerSigned[I any](kind string, newSignature func(config.Secret) parsers.Verifier, read func(*I, func(notice) error) error) {
	parsers.RegisterMessage(kind, signedConfig{}, func(_ config.Env, _ config.Section, c *signedConfig) (parsers.Parser, error) {
		return &signedProvider[I]{provider[I]{kind: kind, read: read}, newSignature(c.Secret)}, nil
	})
}

// registerBodySigned makes a provider known that signs the body in a header field and no time, which written gives instead.
func registerBodySigned[I any](kind, header string, written func(*I) item.Loose, read func(*I, func(notice) error) error) {
	parsers.RegisterMessage(kind, signedConfig{}, func(env config.Env, _ config.Section, c *signedConfig) (parsers.Parser, error) {
		signature := bodySignature{sharedSecret{c.Secret}, header}
		return &signedProvider[I]{provider[I]{kind: kind, read: read}, datedBody{signature, writtenAt(written), env.Retain}}, nil
	})
}

// A notice is what an item says. Diagnostic, Code and Status are a server's reply, the classifier's to judge, unless OwnWords
// or the meaning says that they are the provider's own; the provider's category counts where they say nothing.
type notice struct {
	event.Event
	meaning
	id      string            // the provider's own of this very event
	at      item.Loose        // when it happened
	carried []json.RawMessage // header fields, metadata, custom arguments: what came with the message
}

// A meaning is what a provider's category says. The zero value: a failure, and no more.
type meaning struct {
	kind event.Type   // of what is no failure
	hint event.Reason // of a failure
	soft bool         // whatever else is said: "blocked" and "spam" are never the recipient's fault
	own  bool         // no server was asked: all that is said beside it is the provider's own words
}

// meanings are a provider's categories.
type meanings map[string]meaning

// suppressed is what every provider's suppression list means: mail to this address bounced, was complained of or
// unsubscribed from before, and so nobody was asked now. Why is not said, and it is not the sender's fault.
var suppressed = meaning{hint: event.RecipientFiltered, soft: true, own: true}

// nothing is what tells nothing of the recipient: our account, its quota, a message that could not be made.
var nothing = meaning{kind: event.Ordinary}

// sayings are what a provider says in words of its own, in lower case, where it has no category; the first that fits counts.
type sayings []struct {
	words string
	meaning
}

func (s sayings) find(text string) (m meaning, found bool) {
	text = strings.ToLower(text)
	for _, one := range s {
		if strings.Contains(text, one.words) {
			return one.meaning, true
		}
	}
	return meaning{}, false
}

// holdsReply says whether text has a server's reply in it, or an enhanced status code, beside words of whomever.
func holdsReply(text string) bool {
	code, _ := smtp.FindReply(text)
	return code != 0 || smtp.FindStatus(text, "45") != ""
}

// Parse implements parsers.Parser.
func (p *provider[I]) Parse(rec event.Record, emit func(event.Event)) error {
	return item.Each(rec.Body, func(raw []byte) error {
		var one I
		if err := item.Read(raw, &one); err != nil {
			return err
		}
		return p.read(&one, func(n notice) error {
			e, err := n.complete(p.kind, rec.Time)
			if err == nil {
				emit(e)
			}
			return err
		})
	})
}

// complete makes the event of a notice that came at the time read.
func (n *notice) complete(provider string, read time.Time) (event.Event, error) {
	e, fields := n.Event, readCarried(n.carried)
	e.MessageID = listmonk.CleanMessageID(cmp.Or(fields.get("Message-ID"), e.MessageID))
	identify(&e, fields.get)
	named := strings.TrimSpace(e.Recipient) != ""
	e.Recipient = address.Of(e.Recipient)
	switch {
	case named && e.Recipient == "":
		return e, event.Refuse(event.WhyMalformed, "the recipient is no address")
	case e.Recipient == "" && e.SubscriberUUID == "":
		return e, event.Refuse(parsers.WhyNobody, "names no recipient")
	}
	e.Sender = senderOf(cmp.Or(e.Sender, fields.get("Return-Path"), fields.get("From")))
	if n.id != "" {
		e.ProviderID = provider + ":" + text.Cut(n.id, parsers.MaxName)
	}
	e.Time = timeOf(string(n.at), read)
	if e.Type = n.kind; e.Type == "" {
		e.Hint, e.NeverHard, e.OwnWords = n.hint, n.soft, e.OwnWords || n.own
		readReply(&e)
	} else {
		e.Code, e.Status = 0, ""
	}
	parsers.Tidy(&e)
	return e, nil
}

// senderOf is the envelope sender, or the author that stands for it: the first of a From field.
func senderOf(field string) string {
	if all := address.List(field); len(all) > 0 {
		return all[0]
	}
	return ""
}

// readReply takes code and status out of a diagnostic, where the provider does not give them apart.
func readReply(e *event.Event) {
	code, at := smtp.FindReply(e.Diagnostic)
	if e.Code == 0 {
		e.Code = code
	}
	if n := smtp.StatusLength([]byte(e.Status)); n == 0 || n < len(e.Status) {
		e.Status = ""
	}
	if e.Status == "" && at >= 0 {
		e.Status = smtp.ReplyStatus(e.Diagnostic[at:])
	}
}

// timeLayouts are how providers write the time, where it is no number. Without a zone they mean UTC.
var timeLayouts = []string{time.RFC3339, "2006-01-02 15:04:05.999999999Z07:00", time.DateTime, "2006-01-02T15:04:05", time.RFC1123Z, time.RFC1123}

// timeOf reads when something happened that was told of at the time read. What can't be is not believed.
func timeOf(s string, read time.Time) time.Time {
	t, ok := readTime(s)
	if !ok {
		return read
	}
	return event.BelieveTime(t, read)
}

func readTime(s string) (t time.Time, ok bool) {
	t, ok = unixTime(s)
	for i := 0; !ok && i < len(timeLayouts); i++ {
		var err error
		t, err = time.Parse(timeLayouts[i], s)
		ok = err == nil
	}
	return t, ok
}

// identify fills in whose mail and of which campaign e is, from what the provider hands back of our own: header fields,
// metadata or custom arguments, in the order of who is asked. Test mails keep their dummy UUID, which the agent knows.
func identify(e *event.Event, get func(name string) string) {
	uuid := func(names ...string) string {
		for _, name := range names {
			if u := listmonk.UUID(get(name)); u != "" {
				return u
			}
		}
		return ""
	}
	listmonk.Identify(e, uuid("X-Listmonk-Campaign", "XListmonkCampaign", "campaign_uuid"),
		uuid("X-Listmonk-Subscriber", "XListmonkSubscriber", "subscriber_uuid"))
	if e.SubscriberUUID == "" { // who sends a campaign's notices by the thousand knows its UUID
		e.Evidence = ""
	}
}
