package provider

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/parsertest"
)

func certificate(t *testing.T, key *rsa.PrivateKey) []byte {
	t.Helper()
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: parsertest.Time.Add(-time.Hour), NotAfter: parsertest.Time.Add(240 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

const sesTopic = "arn:aws:sns:eu-west-1:123456789012:bounces"

// sns is a parsers.Verifier of one topic whose network is fetch, and what signs for it.
func snsTest(t *testing.T) (p *ses, sign func(fields map[string]string) event.Record, fetched *[]string) {
	t.Helper()
	key, _ := twoRSAKeys(t)
	cert := certificate(t, key)
	p = build(t, "ses", "topics: '"+sesTopic+"'").(*ses)
	fetched = &[]string{}
	p.sns.now = func() time.Time { return parsertest.Time }
	p.sns.page = func(_ context.Context, url string) ([]byte, error) {
		*fetched = append(*fetched, url)
		if strings.Contains(url, "Token=lost") {
			return nil, errors.New("no answer")
		}
		return cert, nil
	}
	sign = func(change map[string]string) event.Record {
		fields := map[string]string{
			"Type": snsNotification, "MessageId": "1", "TopicArn": sesTopic, "Message": "{}",
			"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
		}
		for k, v := range change {
			fields[k] = v
		}
		body, _ := json.Marshal(fields)
		return event.Record{Time: parsertest.Time, Body: []byte(signSNS(t, "2", key)(body, parsertest.Time)[""])}
	}
	return p, sign, fetched
}

func TestSESBelievesOnlyItsTopicsAndTheirHost(t *testing.T) {
	t.Parallel()
	p, sign, fetched := snsTest(t)
	for what, c := range map[string]struct{ key, value, why string }{
		"another topic":    {"TopicArn", "arn:aws:sns:eu-west-1:999999999999:bounces", parsers.WhyWrongAccount},
		"no topic":         {"TopicArn", "", parsers.WhyWrongAccount},
		"another host":     {"SigningCertURL", "https://sns.eu-west-1.amazonaws.com.example.org/SimpleNotificationService-1.pem", parsers.WhyBadSignature},
		"another region":   {"SigningCertURL", "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem", parsers.WhyBadSignature},
		"a bucket":         {"SigningCertURL", "https://s3.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem", parsers.WhyBadSignature},
		"a login in front": {"SigningCertURL", "https://sns.eu-west-1.amazonaws.com@example.org/SimpleNotificationService-1.pem", parsers.WhyBadSignature},
		"a port":           {"SigningCertURL", "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-1.pem", parsers.WhyBadSignature},
		"without TLS":      {"SigningCertURL", "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem", parsers.WhyBadSignature},
		"no certificate":   {"SigningCertURL", "https://sns.eu-west-1.amazonaws.com/?Action=Publish", parsers.WhyBadSignature},
	} {
		err := p.Verify(t.Context(), sign(map[string]string{c.key: c.value}))
		if refused, ok := errors.AsType[*event.RefusedError](err); !ok || refused.Why != c.why {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(*fetched) > 0 {
		t.Errorf("fetched %q", *fetched)
	}
	for range 3 {
		if err := p.Verify(t.Context(), sign(nil)); err != nil {
			t.Error(err)
		}
	}
	if len(*fetched) != 1 {
		t.Errorf("the certificate is fetched %d times", len(*fetched))
	}
}

func TestSESConfirmsSubscriptions(t *testing.T) {
	t.Parallel()
	const url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + sesTopic + "&Token=abc"
	p, sign, fetched := snsTest(t)
	subscription := func(url, topic string) event.Record {
		return sign(map[string]string{"Type": snsSubscription, "Token": "abc", "SubscribeURL": url, "TopicArn": topic})
	}
	confirm := func(rec event.Record) error {
		if err := p.Verify(t.Context(), rec); err != nil {
			return err
		}
		_, err := p.Handshake(t.Context(), rec)
		return err
	}
	if err := p.Verify(t.Context(), subscription(url, sesTopic)); err != nil || slices.Contains(*fetched, url) {
		t.Errorf("%v, fetched %q before the handshake", err, *fetched)
	}
	if err := confirm(subscription(url, sesTopic)); err != nil || (*fetched)[len(*fetched)-1] != url {
		t.Errorf("%v, fetched %q", err, *fetched)
	}
	before := len(*fetched)
	for _, rec := range []event.Record{
		subscription(url, "arn:aws:sns:eu-west-1:999999999999:bounces"),
		subscription("https://example.org/?Action=ConfirmSubscription&TopicArn="+sesTopic, sesTopic),
		subscription("https://sns.eu-west-1.amazonaws.com/?Action=DeleteTopic&TopicArn="+sesTopic, sesTopic),
		subscription(strings.Replace(url, "123456789012", "999999999999", 1), sesTopic),
	} {
		if err := confirm(rec); !errors.Is(err, event.ErrRefused) {
			t.Errorf("%v: %s", err, rec.Body)
		}
	}
	if err := confirm(sign(nil)); err != nil {
		t.Errorf("a notification: %v", err)
	}
	if len(*fetched) != before {
		t.Errorf("fetched %q", (*fetched)[before:])
	}
	if err := confirm(subscription(strings.Replace(url, "abc", "lost", 1), sesTopic)); err == nil || errors.Is(err, event.ErrRefused) {
		t.Errorf("SNS did not answer: %v, and it would not try again", err)
	}
}

// The examples of https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html.
func TestSNSSignedText(t *testing.T) {
	t.Parallel()
	const notification = `{"Type":"Notification","MessageId":"4d4dc071-ddbf-465d-bba8-08f81c89da64","TopicArn":"arn:aws:sns:us-east-2:123456789012:My-Topic",
		SUBJECT"Message":"My Test Message","Timestamp":"2019-01-31T04:37:04.321Z","UnsubscribeURL":"https://sns.us-east-2.amazonaws.com/?Action=Unsubscribe"}`
	for what, c := range map[string]struct{ body, want string }{
		"with a subject": {
			strings.Replace(notification, "SUBJECT", `"Subject":"My subject",`, 1),
			"Message\nMy Test Message\nMessageId\n4d4dc071-ddbf-465d-bba8-08f81c89da64\nSubject\nMy subject\n" +
				"Timestamp\n2019-01-31T04:37:04.321Z\nTopicArn\narn:aws:sns:us-east-2:123456789012:My-Topic\nType\nNotification\n",
		},
		"without": {
			strings.Replace(notification, "SUBJECT", "", 1),
			"Message\nMy Test Message\nMessageId\n4d4dc071-ddbf-465d-bba8-08f81c89da64\n" +
				"Timestamp\n2019-01-31T04:37:04.321Z\nTopicArn\narn:aws:sns:us-east-2:123456789012:My-Topic\nType\nNotification\n",
		},
		"a subscription": {
			`{"Type":"SubscriptionConfirmation","MessageId":"3d891288-136d-417f-bc05-901c108273ee","Token":"233412f3","TopicArn":"arn:aws:sns:us-east-2:123456789012:My-Topic",
			"Message":"You have chosen to subscribe","SubscribeURL":"https://sns.us-east-2.amazonaws.com/?Action=ConfirmSubscription","Timestamp":"2019-01-31T04:37:04.321Z","Subject":"x"}`,
			"Message\nYou have chosen to subscribe\nMessageId\n3d891288-136d-417f-bc05-901c108273ee\nSubscribeURL\nhttps://sns.us-east-2.amazonaws.com/?Action=ConfirmSubscription\n" +
				"Timestamp\n2019-01-31T04:37:04.321Z\nToken\n233412f3\nTopicArn\narn:aws:sns:us-east-2:123456789012:My-Topic\nType\nSubscriptionConfirmation\n",
		},
	} {
		m, err := readSNS([]byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(m.signed()); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}

// A certificate is known for a day, and as long as it is valid.
func TestSNSCertificateIsFetchedAgain(t *testing.T) {
	t.Parallel()
	p, sign, fetched := snsTest(t)
	now := parsertest.Time
	p.sns.now = func() time.Time { return now }
	for _, step := range []struct {
		later   time.Duration
		fetches int
		valid   bool
	}{
		{0, 1, true}, {23 * time.Hour, 0, true}, {2 * time.Hour, 1, true}, {8*24*time.Hour + 12*time.Hour, 1, true},
		{10 * time.Hour, 0, true}, {2 * time.Hour, 1, false}, {0, 1, false},
	} {
		now, *fetched = now.Add(step.later), nil
		err := p.Verify(t.Context(), sign(nil))
		if len(*fetched) != step.fetches || step.valid != (err == nil) || err != nil && !errors.Is(err, event.ErrRefused) {
			t.Errorf("%s: %d fetches, %v", now.Sub(parsertest.Time), len(*fetched), err)
		}
	}
}

func TestSNSCertificateIsNotValidYet(t *testing.T) {
	t.Parallel()
	p, sign, _ := snsTest(t)
	p.sns.now = func() time.Time { return parsertest.Time.Add(-2 * time.Hour) }
	if err := p.Verify(t.Context(), sign(nil)); !errors.Is(err, event.ErrRefused) {
		t.Error(err)
	}
}

// Only what SNS calls a notification is one of SES.
func TestSESReadsNotificationsOnly(t *testing.T) {
	t.Parallel()
	const message = `{"notificationType":"Complaint","complaint":{"complainedRecipients":[{"emailAddress":"jo@example.org"}]}}`
	for typ, want := range map[string]int{snsNotification: 1, snsSubscription: 0, "UnsubscribeConfirmation": 0} {
		body, err := json.Marshal(map[string]string{"Type": typ, "Message": message})
		if err != nil {
			t.Fatal(err)
		}
		if events, refused := parseBody(t, build(t, "ses"), body); len(events) != want || len(refused) > 0 {
			t.Errorf("%s: %d events, refused %q", typ, len(events), refused)
		}
	}
}

// What comes without SNS's envelope is unsigned, and the remedy is the admin's to know.
func TestSESNamesRawDelivery(t *testing.T) {
	t.Parallel()
	p, _, _ := snsTest(t)
	for _, body := range []string{`{"notificationType":"Bounce","bounce":{},"mail":{}}`, `{"eventType":"Complaint","mail":{}}`} {
		err := p.Verify(t.Context(), posted(map[string]string{"X-Amz-Sns-Rawdelivery": "true"}, []byte(body)))
		if refused, ok := errors.AsType[*event.RefusedError](err); !ok || refused.Why != whyRawDelivery || !strings.Contains(refused.Detail, "raw message delivery") {
			t.Errorf("%s: %v", body, err)
		}
	}
}
