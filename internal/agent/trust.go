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
func (s *sink) prove(e *event.Event) bool {
	switch {
	case s.inLedger(e, e.Recipient):
		if !s.inLedger(e, e.OriginalRecipient) {
			e.OriginalRecipient = ""
		}
	case s.inLedger(e, e.OriginalRecipient):
		e.Recipient, e.OriginalRecipient = e.OriginalRecipient, ""
	case e.SubscriberUUID != "" && e.Evidence != "":
		e.Claimed, e.Recipient, e.OriginalRecipient = e.Recipient, "", ""
	default:
		return false
	}
	if e.MessageID != "" { // identity enough; a made-up queue id must not pass for somebody else's
		e.QueueID, e.OtherQueueIDs = "", nil
	}
	return true
}

func (s *sink) inLedger(e *event.Event, address string) bool {
	if address == "" || e.MessageID == "" || s.wasSent == nil {
		return false
	}
	found, err := s.wasSent(event.Sent(s.ledgerKey, e.MessageID, address))
	return found && err == nil // a queue that can't be read fails the Commit, too
}

// enter notes in the ledger that our MTA took e's message for its addresses. Only what a log tells is entered: a mail or
// a webhook would be a stranger's word.
func (s *sink) enter(e *event.Event) {
	if e.MessageID == "" || s.ledgerKey == nil || s.formats != nil || parsers.IsMessage(s.format.Type) {
		return
	}
	for _, address := range []string{e.Recipient, e.OriginalRecipient} {
		if address != "" {
			s.batch.Sent = append(s.batch.Sent, event.Sent(s.ledgerKey, e.MessageID, address))
		}
	}
}
