package mail

import "bouncefeed/internal/event"

// A kindRule says what a mail is that no standard marks, if it shows all of some signs, one at least of others and none
// of a third group.
type kindRule struct {
	kind   event.Type // "": a bounce
	all    []sign
	any    []sign // none given: no matter
	none   []sign
	sample string // a mail that this rule decides
}

// kind says what the message is, "" for a bounce: what the first rule says whose signs it shows. Without any it is
// ordinary mail.
func (p *prose) kind() event.Type {
	if at := p.kindRule(); at >= 0 {
		return kindRules[at].kind
	}
	return event.Ordinary
}

// kindRule is the place of the rule that decides, -1 if none does.
func (p *prose) kindRule() int {
	for i := range kindRules {
		if r := &kindRules[i]; (len(r.any) == 0 || p.showsOne(r.any)) && p.showsAll(r.all) && !p.showsOne(r.none) {
			return i
		}
	}
	return -1
}

// Groups of signs that several rules share.
var (
	// reporting is whoever may tell of a delay: a subject that names a failure is enough.
	reporting = []sign{fromSystem, statusReport, subjectFails}
	// notForSender are the signs of what is written for somebody else than the sender of a returned message.
	notForSender = []sign{forReader, personal}
	// notTrouble are the signs of what a mail system passes on or tells its own user.
	notTrouble = []sign{personal, repliesForSomebody, textAutoreplies, textIncoming, textOfList}
	// notVacation are the signs of a bounce that is marked as an automatic answer, as Exim's and Gmail's are.
	notVacation = []sign{daemonFails, failedHeader}
)

// kindRules in their order. What a header marks comes before what words tell, and of those what passes before what ends.
var kindRules = []kindRule{
	{
		kind:   event.Complaint,
		all:    []sign{complains},
		sample: "From: 1@reports.spamcop.net\nSubject: [SpamCop (192.0.2.25) id:1]news\nX-SpamCop-sourceip: 192.0.2.25\n\nOffending message",
	},
	{
		kind:   event.Challenge,
		all:    []sign{textChallenges},
		any:    []sign{statusReport, automatic, replySubject},
		none:   []sign{subjectFails, fromDaemon},
		sample: "From: dan@el.example\nSubject: Re: news\n\nTo be added to my list of approved senders, please fill out the short request form.",
	},
	{
		kind:   event.Ordinary,
		all:    []sign{aggregateReport},
		sample: "From: noreply-dmarc@x.example\nSubject: Report domain: example.com\nContent-Type: application/zip\n\nUEsDBA==",
	},
	{
		kind:   event.Ordinary,
		all:    []sign{fromPerson},
		sample: "From: Dan <dan@ex.example>\nSubject: Re: news\n\nThank you.",
	},
	{
		kind:   event.Ordinary,
		all:    []sign{subjectOfList},
		none:   []sign{subjectFails},
		sample: "From: list-request@lists.example\nSubject: The results of your email commands\n\nThe results are provided below.",
	},
	{
		kind:   event.Ordinary,
		all:    []sign{textToPostmaster},
		sample: "From: MAILER-DAEMON@x.example\nSubject: failure notice\n\nI tried to deliver a bounce message to this address, but the bounce bounced!",
	},
	{ // a newsletter about bounces
		kind:   event.Ordinary,
		all:    []sign{listHeader},
		none:   []sign{statusReport, fromSystem},
		sample: "From: Weekly <weekly@x.example>\nSubject: Undelivered mail\nList-Unsubscribe: <https://x.example/u>\n\nYour message to <dan@x.example>: 550 5.1.1",
	},
	{
		kind:   event.Autoreply,
		any:    []sign{subjectAutoreplies, autoreplyHeader},
		none:   notVacation,
		sample: "From: Dan <dan@oo.example>\nSubject: Automatic reply: news\n\nBack on Monday.",
	},
	{
		kind:   event.Autoreply,
		all:    []sign{textAutoreplies},
		any:    []sign{autoReplied, replySubject, answers},
		none:   append([]sign{ownSubjectFails}, notVacation...),
		sample: "From: Dan <dan@oo.example>\nSubject: news\nIn-Reply-To: <1@news.example.com>\n\nI am out of the office.",
	},
	{ // whatever its subject; a mail system's own reports are marked so as well
		kind:   event.Autoreply,
		all:    []sign{autoReplied},
		none:   []sign{fromDaemon, failedHeader, statusReport, returnsMail, showsReply, textFailsByItself, textUndelivered, textOfMailbox, textIsPermanent, textDelays, textSucceeds, textChallenges},
		sample: "Return-Path: <>\nFrom: Dan <dan@oo.example>\nSubject: Undeliverable: news\nAuto-Submitted: auto-replied\n\nThank you, I read my mail on Mondays.",
	},
	// A subject that warns of a delay is worth more than any word in the text, which often says both what is and what will
	// be; so is the one that Postfix gives to final failures only.
	{
		kind:   event.Delayed,
		all:    []sign{subjectDelays},
		any:    reporting,
		none:   []sign{subjectIsFinal},
		sample: "From: MDaemon@md.example\nSubject: WARNING: could not send message for past 4 hours\n\nThe message had delivery errors. dan@md.example",
	},
	{
		kind:   event.Delayed,
		all:    []sign{textDelays},
		any:    reporting,
		none:   []sign{subjectDelays, subjectOfPostfix, textIsFinal},
		sample: "From: MAILER-DAEMON@y.example\nSubject: Your mail\n\nIt has not yet been delivered to <dan@y.example>. We will keep trying.",
	},
	// A report of success that also shows a reply of failure is none.
	{
		kind:   event.Delivered,
		all:    []sign{subjectSucceeds},
		any:    []sign{fromSystem, statusReport},
		none:   []sign{showsReply, subjectFails},
		sample: "From: postmaster@ok.example\nSubject: Delivered: news\n\nThe mailbox is full soon.",
	},
	{
		kind:   event.Delivered,
		all:    []sign{subjectSucceeds},
		any:    []sign{fromSystem, statusReport},
		none:   []sign{showsReply, textFailsByItself},
		sample: "From: MAILER-DAEMON@ok.example\nSubject: Delivery Status Notification (Success)\n\nIt was relayed.",
	},
	{
		kind:   event.Delivered,
		all:    []sign{textSucceeds},
		any:    []sign{fromSystem, statusReport},
		none:   []sign{showsReply, textFailsByItself},
		sample: "From: MAILER-DAEMON@ok.example\nSubject: Your mail\n\nIt was successfully relayed to:\n\n  dan@ok.example",
	},
	{ // a report whose status part was lost or cut off is still one
		all:    []sign{statusReport},
		sample: "From: Dan <dan@x.example>\nSubject: news\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nSee below.\n--b--",
	},
	// Two signs of three: a mail system sent it, the subject names a failure, the text tells of one.
	{
		all:    []sign{fromDaemon, subjectFails},
		none:   notForSender,
		sample: "From: MAILER-DAEMON@x.example\nSubject: Undelivered Mail Returned to Sender\n\nSorry.",
	},
	{
		all:    []sign{fromSystem, failedHeader},
		none:   notForSender,
		sample: "From: MAILER-DAEMON@x.example\nSubject: news\nX-Failed-Recipients: dan@x.example\n\nSorry.",
	},
	{
		all:    []sign{fromSystem, subjectFails, textToSender},
		none:   notForSender,
		sample: "Return-Path: <>\nFrom: Ex <info@x.example>\nSubject: Undelivered\n\nThis is about your message.",
	},
	{
		all:    []sign{fromSystem, subjectFails, returnsMentioned},
		none:   notForSender,
		sample: "Return-Path: <>\nFrom: Ex <info@x.example>\nSubject: Undelivered\n\nSee dan@y.example here.",
	},
	{
		all:    []sign{fromSystem, textFails, returnsLabelled},
		none:   notForSender,
		sample: "Return-Path: <>\nFrom: Ex <info@x.example>\nSubject: news\n\nUser unknown\nTo: dan@y.example",
	},
	{ // in any language, with the reply that it got
		all:    []sign{fromDaemon, textIsPermanent, textNamesRecipient},
		none:   notForSender,
		sample: "From: MAILER-DAEMON@x.example\nSubject: news\n\nmsg: 554 dan@y.example\n\n--- Original message:\n\nReceived: by x.example\nMessage-ID: <1@x.example>\nTo: dan@y.example",
	},
	{
		all:    []sign{fromDaemon, textToSender, returnsInSentence},
		any:    []sign{textFails, textIsPermanent},
		none:   notForSender,
		sample: "From: MAILER-DAEMON@x.example\nSubject: news\n\nYour message to dan@y.example could not be delivered.",
	},
	{
		all:    []sign{subjectFails, textFails, textToSender, returnsInSentence},
		none:   append([]sign{hasReturnPath}, notForSender...),
		sample: "From: Ex <info@x.example>\nSubject: Undelivered\n\nYour message to dan@y.example was rejected.",
	},
	{
		all:    []sign{subjectFails, fromRobot, hasReturnPath, textToSender, returnsLabelled},
		any:    []sign{textFails, textUndelivered},
		none:   append([]sign{article}, notForSender...),
		sample: "Return-Path: <robot@x.example>\nFrom: robot@x.example\nSubject: Undelivered\n\nYour message was rejected.\nTo: dan@y.example",
	},
	{
		all:    []sign{subjectFails, textFails, returnsBeforeReason},
		none:   append([]sign{article}, notForSender...),
		sample: "From: Ex <info@x.example>\nSubject: Undelivered\n\n<dan@y.example>: user unknown",
	},
	// A mail system that words it loosely. One without a return path may also be anybody's autoreply.
	{
		all:    []sign{fromSystem, mailUndelivered, returnsInSentence},
		none:   notTrouble,
		sample: "Return-Path: <>\nFrom: Ex <info@x.example>\nSubject: Your message was declined\n\nWe could not pass your letter on. Mail to dan@y.example is thrown away.",
	},
	{
		all:    []sign{fromSystem, mailUndelivered, namesSomebody},
		any:    []sign{fromDaemon, fromRobot, permanent},
		none:   notTrouble,
		sample: "Return-Path: <>\nFrom: robot@x.example\nSubject: Your message to dan@y.example was declined\n\nThe letter was thrown away.",
	},
	{
		all:    []sign{fromSystem, subjectOfTrouble, namesSomebody},
		any:    []sign{fromDaemon, fromRobot, permanent},
		none:   notTrouble,
		sample: "Return-Path: <>\nFrom: robot@x.example\nSubject: Your message was declined\n\nSee dan@y.example here.",
	},
	{
		all:    []sign{fromSystem, permanent, textOfMailbox, namesSomebody},
		none:   notTrouble,
		sample: "Return-Path: <>\nFrom: Ex <info@x.example>\nSubject: news\n\nThe account is closed (5.2.1): dan@y.example",
	},
	{
		all:    []sign{fromDaemon, subjectOfTrouble, mailUndelivered},
		none:   notTrouble,
		sample: "From: MAILER-DAEMON@x.example\nSubject: Your message was declined\n\nThe letter was thrown away.",
	},
	{
		kind:   event.Challenge,
		all:    []sign{textChallenges, subjectChallenges},
		sample: "From: Dan <dan@tm.example>\nSubject: Please confirm your message\n\nPlease confirm your message.",
	},
}
