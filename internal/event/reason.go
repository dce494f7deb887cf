package event

// Fault is whose fault a failure is.
type Fault string

// Who is to blame. Only a recipient's fault may count against the recipient.
const (
	FaultRecipient Fault = "recipient"
	FaultSender    Fault = "sender"
	FaultTransient Fault = "transient"
	FaultUnknown   Fault = "unknown"
)

// Reason is why a delivery failed. Type and fault follow from it, never from the first digit of a reply.
type Reason string

// The reasons, in the order of the README's table.
const (
	UserUnknown       Reason = "user_unknown"
	DomainUnknown     Reason = "domain_unknown"
	NullMX            Reason = "null_mx"
	MailboxDisabled   Reason = "mailbox_disabled"
	Moved             Reason = "moved"
	BadAddress        Reason = "bad_address"
	MailboxFull       Reason = "mailbox_full"
	RecipientFiltered Reason = "recipient_filtered"
	MessageTooBig     Reason = "message_too_big"
	Spam              Reason = "spam"
	Content           Reason = "content"
	Blocklisted       Reason = "blocklisted"
	AuthFailed        Reason = "auth_failed"
	ReverseDNS        Reason = "reverse_dns"
	SenderRejected    Reason = "sender_rejected"
	RelayDenied       Reason = "relay_denied"
	Policy            Reason = "policy"
	Protocol          Reason = "protocol"
	RateLimited       Reason = "rate_limited"
	Greylisted        Reason = "greylisted"
	Expired           Reason = "expired"
	Network           Reason = "network"
	RoutingLoop       Reason = "routing_loop"
	RemoteSystem      Reason = "remote_system"
	TLS               Reason = "tls"
	Undetermined      Reason = "undetermined"
)

type outcome struct {
	reason Reason
	typ    Type
	fault  Fault
}

// Only the recipient's fault counts against the recipient: the six hard reasons all have it, every other is soft.
var outcomes = []outcome{
	{UserUnknown, Hard, FaultRecipient},
	{DomainUnknown, Hard, FaultRecipient},
	{NullMX, Hard, FaultRecipient},
	{MailboxDisabled, Hard, FaultRecipient},
	{Moved, Hard, FaultRecipient},
	{BadAddress, Hard, FaultRecipient},
	{MailboxFull, Soft, FaultRecipient},
	{RecipientFiltered, Soft, FaultRecipient},
	{MessageTooBig, Soft, FaultSender},
	{Spam, Soft, FaultSender},
	{Content, Soft, FaultSender},
	{Blocklisted, Soft, FaultSender},
	{AuthFailed, Soft, FaultSender},
	{ReverseDNS, Soft, FaultSender},
	{SenderRejected, Soft, FaultSender},
	{RelayDenied, Soft, FaultSender},
	{Policy, Soft, FaultSender},
	{Protocol, Soft, FaultSender},
	{RateLimited, Soft, FaultTransient},
	{Greylisted, Soft, FaultTransient},
	{Expired, Soft, FaultTransient},
	{Network, Soft, FaultTransient},
	{RoutingLoop, Soft, FaultTransient},
	{RemoteSystem, Soft, FaultTransient},
	{TLS, Soft, FaultTransient},
	{Undetermined, Soft, FaultUnknown},
}

// Reasons lists every reason, in the order of the table.
func Reasons() []Reason {
	all := make([]Reason, len(outcomes))
	for i, o := range outcomes {
		all[i] = o.reason
	}
	return all
}

// Outcome gives the type and fault of r; ok is false for a word that is no reason.
func (r Reason) Outcome() (t Type, f Fault, ok bool) {
	for _, o := range outcomes {
		if o.reason == r {
			return o.typ, o.fault, true
		}
	}
	return "", "", false
}
