package event

import (
	"fmt"

	"bouncefeed/internal/address"
)

// Bucket spreads events over 256 buckets, "00" to "ff", by whom they are about: all of one recipient, however written, are in
// one, so that receivers which share the work each see all of a recipient's.
func (e *Event) Bucket() string {
	who := address.Key(e.Recipient)
	if who == "" {
		who = e.SubscriberUUID
	}
	k := key("bucket", who)
	return fmt.Sprintf("%02x", k[0])
}
