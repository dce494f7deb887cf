package agent

// A Word is one under which `status` counts what an input did not report, with what it means and what can be done.
type Word struct {
	Word    string `json:"word"`
	Refused bool   `json:"refused"` // it looked like something to report and was not believed; else: ignored, of no interest
	Means   string `json:"means"`
	Remedy  string `json:"remedy,omitempty"`
}

// Words are all there are: the manual's glossary (`bouncefeed words`), and what `refused` and `explain` say.
var Words = []Word{
	{"auth_failure_report", false, "a report that a message of somebody's failed DMARC or the like (RFC 6591): not a bounce", ""},
	{"autoreply", false, "an automatic answer: out of office, a ticket system", ""},
	{"challenge", false, "a mail that asks the sender to prove to be human", ""},
	{"copy_failed", false, "a copy, an archive or one of several targets of an alias failed, while the recipient has the message", ""},
	{"delayed", false, "a deferral or a notice of one: the mail server is still trying", ""},
	{"delivered", false, "a message that arrived", ""},
	{"foreign", false, "a message that no client of yours handed in: anybody can make such mail fail in anybody's name",
		"if it is your list manager's, name its address in the parser's mynetworks:, or let it log in"},
	{"forgotten", false, "a failure of a message that the log's parser had no room to remember, and whose line does not say enough by itself",
		"raise the parser's memory:"},
	{"mdn", false, "a receipt: displayed, deleted (RFC 8098)", ""},
	{"no_wrapper", false, "a line that is not in the container's wrapper which container: names, or only a part of one", "take container: out, or name the other wrapper"},
	{"not_spam_report", false, "somebody took back a complaint (RFC 5965 not-spam)", ""},
	{"ordinary", false, "a mail that is no report at all", ""},
	{"other", false, "a line or record about something else", ""},
	{"other_sender", false, "a message of an envelope sender whom senders: does not name", "widen senders: if it should be reported"},
	{"outside", false, "it happened before --since or after --until of a backfill", ""},
	{"repeat", false, "a bounce that was reported before: by another source, or read again", ""},
	{"test_mail", false, "listmonk's test message, which is no subscriber's", ""},
	{"uncounted", false, "what became of it is not known any more: its counter stood in a page of the queue file that was damaged", ""},
	{"wrapped", false, "a line in a container's wrapper", "name it in the input: container: json-file or compose"},

	{"bad_login", true, "a request with a wrong password or token", "give the sender the route's username and password: of the configuration"},
	{"bad_signature", true, "a request whose signature is not made with the configured key, or whose body was changed on the way",
		"compare the key with the provider's settings; a web server before this one must pass the body on unchanged"},
	{"content_type", true, "a request in another form than its provider's, or compressed", "have the provider post to the route of its own kind, uncompressed"},
	{"control_characters", true, "control characters where an address stands", "none: whoever signed up that address meant mischief, or a program broke it"},
	{"interrupted", true, "a request whose body broke off or took too long", "the sender tries again; look at the network and at the web server before this one"},
	{"malformed", true, "it looks like a bounce but is not written as its program or provider writes it",
		"look at it with 'bouncefeed refused show'; is the right parser configured? Otherwise please report it"},
	{"no_message_header", true, "no mail: it does not begin with a header", "is this a mailbox, and whole? See the input's path:"},
	{"no_recipient", true, "a failure that names nobody", "none: whoever it concerns is not said, or only in an address that can't be read whole"},
	{"no_signature", true, "a request without the signature that the configured key asks for", "switch signing on in the provider's settings, or it is a stranger's"},
	{"not_the_mta", true, "a journal entry that says it is the mail server's and was written by another process", "somebody on this machine forges entries: see its fields with 'bouncefeed refused show'"},
	{"parser_panic", true, "a mistake of bouncefeed's", "please report it, with what 'bouncefeed refused show' tells"},
	{"sns_raw_delivery", true, "SNS's raw delivery, which has no signature", "switch off raw message delivery in the subscription"},
	{"stale", true, "a request that was signed too long ago, or in the future: replayed, or a clock is wrong", "compare this machine's clock (timedatectl)"},
	{"too_deep", true, "nested deeper than anything that a mail system writes", "none: look at it with 'bouncefeed refused show'"},
	{"too_long", true, "longer than its limit: a line, an address, a request", "none: look at it with 'bouncefeed refused show'"},
	{"too_many", true, "more items or faults than one request may have", "have the provider send fewer events in one request"},
	{"two_readings", true, "it can be read in two ways, one of which somebody else may have written into it",
		"look at it with 'bouncefeed refused show'; an up-to-date mail server quotes what strangers write"},
	{"unopened_queue_id", true, "a bounce of a message whose beginning is in no log that was read without a gap: made up, or logged elsewhere",
		"are all of the mail server's lines in this log? For old logs: backfill them all, in order"},
	{"wrong_account", true, "rightly signed, for an account or topic that is not configured", "name it in the parser's accounts: or topics:, if it is yours"},
}

// wordOf finds what a word means; the zero Word for one of another version.
func wordOf(word string) Word {
	for _, w := range Words {
		if w.Word == word {
			return w
		}
	}
	return Word{Word: word}
}
