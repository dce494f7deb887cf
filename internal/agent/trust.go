package agent

import (
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
)

// trustProof is the `trust:` of a source to which strangers can write: an event counts only as far as it is proven.
const trustProof = "proof"

// whyUnproven is shown with an event that is held.
const whyUnproven = "no proof: no subscriber UUID of ours in the returned message, no VERP address of ours, and no log " +
	"input saw this Message-ID going to this address within the last days"

// prove asks whether we sent the message to the recipient that e names, and takes from e what is not proven. Proof is
// the ledger, which the log inputs write, or a subscriber's UUID, which strangers can't guess; who knows his own can
// speak for himself only, so the address beside it is not believed. false: e is to be held.
func (d *draft) prove(e *event.Event) bool {
	switch {
	case d.ledger.has(e.MessageID, e.Recipient):
		if e.Proof = event.ProofRecipient; !d.ledger.has(e.MessageID, e.OriginalRecipient) {
			e.OriginalRecipient = ""
		}
	case d.ledger.has(e.MessageID, e.OriginalRecipient):
		e.Proof, e.Recipient, e.OriginalRecipient = event.ProofRecipient, e.OriginalRecipient, ""
	case e.SubscriberUUID != "" && e.Evidence != "":
		e.Proof, e.Claimed, e.Recipient, e.OriginalRecipient = event.ProofSubscriber, e.Recipient, "", ""
	default:
		e.Proof = event.ProofNone
		return false
	}
	return true
}

// enter notes in the ledger that our MTA took a message for its recipient. Only what a log tells is entered: a mail or
// a webhook would be a stranger's word.
func (d *draft) enter(messageID, recipient, original string) {
	if messageID == "" || d.ledger.key == nil || d.formats != nil || parsers.IsMessage(d.format.Type) {
		return
	}
	d.entered = append(d.entered, sentTo{messageID, recipient, original})
}

// A sentTo is what becomes an entry of the ledger, or two.
type sentTo struct{ messageID, recipient, original string }

// hashEntered makes the ledger's entries.
func (d *draft) hashEntered() {
	for _, s := range d.entered {
		d.batch.Sent = append(d.batch.Sent, event.Sent(d.ledger.key, s.messageID, s.recipient))
		if s.original != "" {
			d.batch.Sent = append(d.batch.Sent, event.Sent(d.ledger.key, redirected(s.messageID), s.original))
		}
	}
	d.entered = nil
}

// redirected is the id under which the ledger holds where an alias led to: a second address of the same recipient.
func redirected(messageID string) string { return messageID + "\x00redirected" }

// ledger is what is known of the messages that we sent; the zero value knows of none and takes no entries.
type ledger struct {
	key     []byte // of its hashes
	wasSent func([8]byte) (bool, error)
}

// has says whether we sent the message to that address, as far as is known.
func (l ledger) has(messageID, address string) bool {
	if address == "" || messageID == "" || l.wasSent == nil {
		return false
	}
	for _, id := range [...]string{messageID, redirected(messageID)} {
		if found, err := l.wasSent(event.Sent(l.key, id, address)); found && err == nil {
			return true
		}
	}
	return false // a queue that can't be read fails the Commit, too
}
