package mail

import (
	"strings"
	"testing"
)

// proseSamples are bounces that somebody worded himself, and letters that sound like them. want is the recipients, or the kind.
var proseSamples = []struct{ name, header, text, want string }{
	{"robot, in a sentence", "Return-Path: <>\nFrom: Ex Mail Robot <robot@ex.example>\nSubject: Your message was turned down",
		"We could not hand your letter to dan@ex.example, because that mailbox was shut down last year.\n", "dan@ex.example"},
	{"recipient in the subject only", "Return-Path: <>\nFrom: <>\nSubject: dan@ex.example: no such mailbox", "Nothing was delivered.\n", "dan@ex.example"},
	{"typographic apostrophe", "Return-Path: <>\nFrom: noreply@ex.example\nSubject: Sorry",
		"Your message couldn’t be delivered to dan@ex.example.\n", "dan@ex.example"},
	{"accents left out", "Return-Path: <>\nFrom: Filtre <filtre@ex.example>\nSubject: Message refuse",
		"Votre message a ete considere comme indesirable et n'a pas ete transmis a dan@ex.example.\n", "dan@ex.example"},
	{"link with another text", "Return-Path: <>\nFrom: noreply@ex.example\nSubject: Not delivered\nContent-Type: text/html",
		`<p>The account <a href="mailto:dan@ex.example?subject=x">Dan E.</a> is closed, your message was not delivered.</p>`, "dan@ex.example"},
	{"lines in pre", "Return-Path: <>\nFrom: noreply@ex.example\nSubject: Your e-mail was declined\nContent-Type: text/html",
		"<p>It was not accepted.</p><pre>\nFrom: news@ours.example\nTo: dan@ex.example\n</pre>", "dan@ex.example"},
	{"another address to use", "Return-Path: <>\nFrom: postmaster@ex.example\nSubject: Undeliverable: news",
		"Your message to dan@ex.example was not delivered. Please re-send it to the new address:\n\n   daniel@new.example\n", "dan@ex.example"},
	{"names that are near", "Return-Path: <>\nFrom: postmaster@ex.example\nSubject: Undeliverable: news",
		"Intended: dan@ex.example\nFinding: no such name\n\nSimilar names:\n  dana@ex.example\n  dani@ex.example\n", "dan@ex.example"},
	{"some got it", "Return-Path: <>\nFrom: Mail Delivery System <root@ex.example>\nSubject: your mail: some failed",
		" ann@ex.example .... put in mailbox\n dan@ex.example .... mailbox is full\n eva@ex.example .... mailbox is full\n", "dan@ex.example eva@ex.example"},
	{"whom to ask", "Return-Path: <>\nFrom: Mail <noreply@ex.example>\nSubject: Ваше письмо отклонено",
		"Письмо для dan@ex.example сервер не принял. Если это ошибка, напишите нам: abuse@ex.example\n", "dan@ex.example"},
	{"numbered", "Return-Path: <>\nFrom: noreply@ex.example\nSubject: 1 recipient failed",
		"Failures:\n  1) dan@ex.example\n     the other server told us 501 5.1.3\n", "dan@ex.example"},
	{"Swedish", "Return-Path: <>\nFrom: postmaster@ex.example\nSubject: Ditt brev kom inte fram",
		"Det finns ingen med adressen dan@ex.example hos oss, och ditt brev har inte lämnats fram.\n", "dan@ex.example"},
	{"Hungarian", "Return-Path: <>\nFrom: mailer@ex.example\nSubject: Kézbesíthetetlen levél",
		"A levelét nem tudtuk kézbesíteni, mert a dan@ex.example postafiók megszűnt.\n", "dan@ex.example"},
	{"Turkish", "Return-Path: <>\nFrom: noreply@ex.example\nSubject: Gönderilemeyen e-posta\nContent-Type: text/html; charset=utf-8",
		"<dl><dt>Alıcı</dt><dd>dan@ex.example</dd><dt>Neden</dt><dd>kotası dolmuş</dd></dl>", "dan@ex.example"},
	{"Chinese", "Return-Path: <>\nFrom: noreply@ex.example\nSubject: 您的郵件未送達 dan@ex.example", "這個帳號已經停用，不再接收郵件。\n", "dan@ex.example"},

	{"still trying, Spanish", "Return-Path: <>\nFrom: sistema@ex.example\nSubject: Mensaje en espera",
		"Todavía no hemos podido entregar su mensaje a dan@ex.example. Seguiremos intentándolo durante dos días.\n", "delayed"},
	{"still trying, Turkish", "Return-Path: <>\nFrom: Posta Sistemi <posta@ex.example>\nSubject: İletiniz henüz teslim edilemedi",
		"dan@ex.example adresine ileti hâlâ kuyrukta bekliyor; denemeyi sürdüreceğiz.\n", "delayed"},
	{"mail for the reader, held", "Return-Path: <x@ex.example>\nFrom: Quarantine <digest@ex.example>\nSubject: 3 messages were not delivered to your inbox",
		"These messages have been quarantined as spam:\nwin@lotto.example  You have won\n", "ordinary"},
	{"the reader's own mailbox", "Return-Path: <>\nFrom: postmaster@ours.example\nSubject: Quota",
		"Your mailbox is 98% full. New mail cannot be delivered when it is full. Ask dan@ours.example.\n", "ordinary"},
	{"on holiday", "Return-Path: <>\nFrom: Dan <dan@ex.example>\nSubject: Re: news",
		"Ich bin im Urlaub, Ihre Mail wird nicht weitergeleitet. In dringenden Fällen: eva@ex.example\n", "autoreply"},
	{"unsubscribed in Apple Mail, its header lost", "Return-Path: <dan@ex.example>\nFrom: Dan <dan@ex.example>\nSubject: unsubscribe",
		"Apple Mail sent this email to unsubscribe from the message \"news\".\n", "complaint"},
	{"VERP only", "Return-Path: <>\nFrom: Mailrobot <robot@ex.example>\nSubject: Fehler beim Zustellen\nDelivered-To: b+dan=ex.example@ours.example",
		"Die Nachricht konnte leider nicht zugestellt werden.\n", "dan@ex.example"},
	{"instead, Danish", "Return-Path: <>\nFrom: postmaster@ex.example\nSubject: Din mail kunne ikke afleveres",
		"Din mail til dan@ex.example er ikke blevet afleveret.\n\n551 5.1.6 Brugeren er flyttet. Benyt venligst i stedet: d@ny.example\n", "dan@ex.example"},
	{"queued", "Return-Path: <>\nFrom: notifications@ex.example\nSubject: [Queued] Email to dan@ex.example is taking longer than expected",
		"The mail server is unavailable (421 4.3.2). We will keep retrying, and let you know if it cannot be delivered.\n", "delayed"},
	{"membership", "Return-Path: <list-bounces@ex.example>\nFrom: list-bounces@ex.example\nSubject: confirm 5fd1b0c1",
		"Your membership in the mailing list has been disabled due to excessive bounces. Contact list-owner@ex.example.\n", "ordinary"},
	{"the reader's own mailbox, quoting the error to come", "Return-Path: <postmaster@ours.example>\nFrom: postmaster@ours.example\nSubject: Warnung",
		"Ihr Postfach bounces@ours.example ist zu 95 % belegt. Dann wird mit \"552 5.2.2 Mailbox full\" abgewiesen.\n", "ordinary"},
	{"phishing", "Return-Path: <x@ex.example>\nFrom: Mail Delivery System <x@ex.example>\nSubject: Undelivered Mail Returned to Sender",
		"Messages failed to deliver to your mailbox due to an error (552 5.2.2 quota exceeded):\nbounces@ours.example  Undelivered\n", "ordinary"},
	{"a deputy, from a role with a machine's name", "Return-Path: <>\nFrom: mail@ex.example\nAuto-Submitted: auto-replied\nSubject: Kanzlei geschlossen",
		"Unser Postfach ist bis Montag geschlossen. Dringendes bitte an eva@other.example.\n", "ordinary"},
	{"a person without a return path", "Return-Path: <>\nFrom: Jo <jo@ex.example>\nSubject: Address no longer valid",
		"Please use eva@ex.example for everything to do with the project. I moved on.\n", "ordinary"},
	{"a person called Postel", "Return-Path: <anna@ex.example>\nFrom: Anna Postel <anna@ex.example>\nSubject: my old account was closed",
		"Your email to me still goes to the old address. The account anna.p@ex.example was closed, please write to anna@ex.example.\n", "ordinary"},
	{"a person tells that it works again", "Return-Path: <k@ex.example>\nFrom: Mailing-Service <k@ex.example>\nSubject: Ihr Newsletter ist nicht angekommen",
		"Ihre Nachricht an eva@ex.example ist nicht angekommen. Es war gesperrt und geht wieder.\n", "ordinary"},
	{"notice of accounts", "Return-Path: <>\nFrom: postmaster@ex.example\nSubject: Welcome",
		"Your new mailbox jo@ex.example is active. The old account jo.alt@ex.example was closed.\n", "ordinary"},
	{"notice of maintenance", "Return-Path: <postmaster@ex.example>\nFrom: postmaster@ex.example\nSubject: Scheduled maintenance",
		"Mail could not be delivered at once. The mailbox jo@ex.example was not affected, the account of max@ex.example has been closed.\n", "ordinary"},
	{"a failed login", "Return-Path: <>\nFrom: noreply@ex.example\nSubject: Login failed",
		"The login to the account jo@ex.example failed three times. The account has been locked.\n", "ordinary"},
	{"the postmaster writes himself", "Return-Path: <jane@ex.example>\nFrom: Postmaster <postmaster@ex.example>\nSubject: your question",
		"I looked why your message to jo@ex.example was rejected yesterday. The mailbox exists and works again.\n", "ordinary"},
	{"label behind a call for help", "Return-Path: <>\nFrom: MAILER-DAEMON@ex.example\nSubject: Undeliverable",
		"User unknown. Please contact support with the following details:\n\nRecipient: dan@ex.example\n", "dan@ex.example"},
	{"reply behind a call for help", "Return-Path: <>\nFrom: MAILER-DAEMON@ex.example\nSubject: Undeliverable",
		"If it persists please contact your administrator and tell him the following:\n\n<dan@ex.example>: host mx said: 550 5.1.1\n", "dan@ex.example"},
	{"a word of success within one of failure", "Return-Path: <>\nFrom: MAILER-DAEMON@ex.example\nSubject: Undeliverable",
		"dan@ex.example : remise impossible, utilisateur inconnu\neva@ex.example : livré\n", "dan@ex.example"},
	{"a sentence that looks like a salutation", "Return-Path: <>\nFrom: MAILER-DAEMON@ex.example\nSubject: Mail",
		"Your mail could not be delivered!\n\n<dan@ex.example>\n", "dan@ex.example"},
	{"staff is no failed recipient", "Return-Path: <>\nFrom: MAILER-DAEMON@ex.example\nSubject: Undeliverable",
		"Your message could not be delivered: unknown user.\nYour message was sent on to:\n\n  eva@ex.example\n", ""},
	{"SpamCop", "From: 1@reports.spamcop.net\nSubject: [SpamCop (192.0.2.25) id:1]news\nX-SpamCop-sourceip: 192.0.2.25",
		"[ SpamCop V4.6.3 ]\n\n[ Offending message ]\nReceived: by mx.ex.example\nFrom: news@ours.example\nTo: x\nSubject: news\n", "complaint"},
}

func TestProse(t *testing.T) {
	for _, p := range proseSamples {
		t.Run(p.name, func(t *testing.T) {
			header := p.header + "\nTo: bounces@ours.example\n"
			if !strings.Contains(header, "Content-Type") {
				header += "Content-Type: text/plain; charset=utf-8\n"
			}
			var got []string
			for _, e := range parseMail(t, header+"\n"+p.text) {
				if e.Type == "" {
					got = append(got, e.Recipient)
				} else {
					got = append(got, string(e.Type))
				}
			}
			if said := strings.Join(got, " "); said != p.want {
				t.Errorf("%q, want %q", said, p.want)
			}
		})
	}
}
