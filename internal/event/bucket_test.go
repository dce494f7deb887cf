package event

import "testing"

func TestBucketIsTheRecipients(t *testing.T) {
	log := Event{Recipient: "Jo@Example.ORG", SubscriberUUID: "u"}
	report := Event{Recipient: `"Jo"@example.org`}
	if a, b := log.Bucket(), report.Bucket(); a != b || len(a) != 2 {
		t.Errorf("one recipient, two buckets: %s and %s", a, b)
	}
	seen := map[string]bool{}
	for i := range 5000 {
		seen[(&Event{SubscriberUUID: string(rune('a' + i))}).Bucket()] = true
	}
	if len(seen) != 256 {
		t.Errorf("%d buckets of 256 are used", len(seen))
	}
}
