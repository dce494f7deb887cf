package provider

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/item"
)

// snsMessage is the envelope of Amazon SNS.
// https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
type snsMessage struct {
	Type             string
	MessageID        string `json:"MessageId"`
	TopicArn         string
	Subject          *string
	Message          string
	Timestamp        string
	Token            string
	SignatureVersion string
	Signature        string
	SigningCertURL   string
	SubscribeURL     string

	// Of what SES says, where it comes without its envelope.
	NotificationType, EventType string
}

const (
	snsNotification = "Notification"
	snsSubscription = "SubscriptionConfirmation"
)

func readSNS(body []byte) (*snsMessage, error) {
	body = bytes.TrimSpace(body)
	if err := item.Sound(body); err != nil {
		return nil, err
	}
	var m snsMessage
	if err := item.Read(body, &m); err != nil {
		return nil, err
	}
	if m.Type == "" && cmp.Or(m.NotificationType, m.EventType) != "" {
		return nil, event.Refuse(whyRawDelivery, "raw message delivery: switch it off in the topic's subscription, for what comes so is not signed")
	}
	return &m, nil
}

const whyRawDelivery = "sns_raw_delivery"

// snsSignedWithin is an hour, as Amazon recommends: SNS tries again for a long time, always with the first signature,
// and a bounce must outlast a restart of ours. A repeat is known by its feedbackId.
const snsSignedWithin = time.Hour

func (m *snsMessage) fresh(rec event.Record) error {
	signed, err := time.Parse(time.RFC3339, m.Timestamp)
	if err != nil {
		return event.Refuse(parsers.WhyStale, "no time of signing")
	}
	if age := rec.Time.Sub(signed); !rec.Time.IsZero() && (age > snsSignedWithin || age < -signedWithin) {
		return event.Refuse(parsers.WhyStale, "signed %s ago: replayed, or a clock is wrong", age.Round(time.Second))
	}
	return nil
}

// signed is the text over which the signature is made.
// https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
func (m *snsMessage) signed() []byte {
	var b bytes.Buffer
	add := func(name, value string) { fmt.Fprintf(&b, "%s\n%s\n", name, value) }
	add("Message", m.Message)
	add("MessageId", m.MessageID)
	if m.Type == snsNotification {
		if m.Subject != nil {
			add("Subject", *m.Subject)
		}
	} else {
		add("SubscribeURL", m.SubscribeURL)
	}
	add("Timestamp", m.Timestamp)
	if m.Type != snsNotification {
		add("Token", m.Token)
	}
	add("TopicArn", m.TopicArn)
	add("Type", m.Type)
	return b.Bytes()
}

var snsARN = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):sns:([a-z]{2}[a-z0-9-]{1,30}):[0-9]{12}:[A-Za-z0-9_.-]{1,256}$`)

var snsCertPath = regexp.MustCompile(`^/SimpleNotificationService[A-Za-z0-9-]{0,80}\.pem$`)

// snsHost is the one host that speaks for a topic: that of its region.
func snsHost(arn string) (host string, ok bool) {
	m := snsARN.FindStringSubmatch(arn)
	if m == nil {
		return "", false
	}
	host = "sns." + m[2] + ".amazonaws.com"
	if m[1] == "aws-cn" {
		host += ".cn"
	}
	return host, true
}

// atSNS says whether a URL leads to the host of the topic, and nowhere else.
func (m *snsMessage) atSNS(raw string) (*url.URL, bool) {
	host, ok := snsHost(m.TopicArn)
	u, err := url.Parse(raw)
	return u, ok && err == nil && u.Scheme == "https" && u.Host == host && u.User == nil && u.Opaque == ""
}

// snsVerifier verifies the signatures of SNS with the certificates it publishes, each under its URL.
type snsVerifier struct {
	*publishedKeys
	page func(ctx context.Context, url string) ([]byte, error) // over HTTPS
}

const (
	snsCertKept  = 24 * time.Hour
	snsMaxAnswer = 64 << 10 // bytes
)

func newSNSVerifier() *snsVerifier {
	v := &snsVerifier{page: fetchHTTPS}
	v.publishedKeys = newPublishedKeys(v.certificateKey)
	return v
}

// fetchHTTPS gets a small page. No redirect is followed: the host was checked.
func fetchHTTPS(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, snsMaxAnswer))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", req.URL.Host, resp.Status)
	}
	return body, err
}

func (v *snsVerifier) verify(ctx context.Context, m *snsMessage) error {
	signature, err := base64.StdEncoding.DecodeString(m.Signature)
	if err != nil || len(signature) == 0 {
		return event.Refuse(parsers.WhyNoSignature, "an SNS message without a signature")
	}
	var sum []byte
	var algorithm crypto.Hash
	switch text := m.signed(); m.SignatureVersion {
	case "1":
		h := sha1.Sum(text)
		sum, algorithm = h[:], crypto.SHA1
	case "2":
		h := sha256.Sum256(text)
		sum, algorithm = h[:], crypto.SHA256
	default:
		return event.Refuse(parsers.WhyBadSignature, "an SNS signature of neither version 1 nor 2")
	}
	u, ok := m.atSNS(m.SigningCertURL)
	if !ok || !snsCertPath.MatchString(u.RequestURI()) {
		return event.Refuse(parsers.WhyBadSignature, "a certificate that is not of the topic's SNS")
	}
	key, err := v.get(ctx, m.SigningCertURL, false)
	if err != nil {
		return err
	}
	if rsa.VerifyPKCS1v15(key.keys[0], algorithm, sum, signature) != nil {
		return event.Refuse(parsers.WhyBadSignature, "the signature is made with another key, or the message was changed")
	}
	return nil
}

// certificateKey fetches a certificate; its key is to be known as long as it is valid.
func (v *snsVerifier) certificateKey(ctx context.Context, url string) (keys []*rsa.PublicKey, kept time.Duration, err error) {
	text, err := v.page(ctx, url)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch the certificate of SNS: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, 0, errors.New("fetch the certificate of SNS: the answer is none")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, 0, fmt.Errorf("read the certificate of SNS: %w", err)
	}
	key, isRSA := cert.PublicKey.(*rsa.PublicKey)
	now := v.now()
	if !isRSA || now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return nil, 0, event.Refuse(parsers.WhyBadSignature, "SNS's certificate is not valid now, or of another kind than RSA")
	}
	return []*rsa.PublicKey{key}, min(snsCertKept, cert.NotAfter.Sub(now)), nil
}

// confirm does what SNS asks of the owner of an endpoint before it sends there. m is verified.
func (v *snsVerifier) confirm(ctx context.Context, m *snsMessage) error {
	u, ok := m.atSNS(m.SubscribeURL)
	if !ok || u.Query().Get("Action") != "ConfirmSubscription" || u.Query().Get("TopicArn") != m.TopicArn {
		return event.Refuse(event.WhyMalformed, "a SubscribeURL that does not confirm this topic at its SNS")
	}
	err := v.withSlot(ctx, func() error {
		_, err := v.page(ctx, m.SubscribeURL)
		return err
	})
	if err != nil {
		return fmt.Errorf("confirm the subscription of the SNS topic: %w", err)
	}
	return nil
}
