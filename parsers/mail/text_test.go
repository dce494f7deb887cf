package mail

import (
	"strings"
	"testing"

	"bouncefeed/internal/event"
)

// parseMail gives the events of a message that it makes of the header's first lines and a text.
func parseMail(t *testing.T, message string) []event.Event {
	t.Helper()
	var events []event.Event
	if err := (parser{}).Parse(event.Record{Body: []byte(message)}, func(e event.Event) { events = append(events, e) }); err != nil {
		t.Fatal(err)
	}
	return events
}

// Wordings of mail systems that no standard describes: each names its recipients in a way of its own.
var wordingSamples = []struct {
	name, from, subject, text string
	want                      string // recipients, or the kind of what is no bounce
	says                      string // in the diagnostic
}{
	{"MailMarshal", "MailMarshal <postmaster@mm.example>", "Undeliverable Mail: news", `
Your message:
   From:    bounces@news.example.com
   Subject: news

Could not be delivered because of

550 5.1.1 User unknown

The following recipients were affected:

    dan@mm.example
`, "dan@mm.example", "550 5.1.1 User unknown"},
	{"InterScan", "InterScan MSS <root@isms.example>", "Mail could not be delivered", `
****** Message from InterScan Messaging Security Suite ******

Sent <<< RCPT TO:<dan@is.example>
Received >>> 550 5.1.1 unknown or illegal user

Unable to deliver message to <dan@is.example>.

************************     End of message     **********************
`, "dan@is.example", "550 5.1.1 unknown or illegal user"},
	{"CommuniGate", "MAILER-DAEMON@cg.example", "Undeliverable mail: news", `
Failed to deliver to 'dan@cg.example'
LOCAL module(account dan) reports:
 account is full (quota exceeded)
`, "dan@cg.example", "account is full"},
	{"GroupWise", "postmaster@gw.example", "Mail System Error - Returned Mail", `
The message that you sent was undeliverable to the following:
	dan@gw.example (user not found)
	eva@gw.example (mailbox is full)
`, "dan@gw.example eva@gw.example", "user not found"},
	{"smail", "Mailer-Daemon@smail.example", "mail failed, returning to sender", `
|------------------------- Message log follows: -------------------------|
 no valid recipients were found for this message
|------------------------- Failed addresses follow: ---------------------|
 <dan@smail.example> ... unknown host
|------------------------- Message text follows: ------------------------|
Received: by smail.example
From: bounces@news.example.com
Subject: news
`, "dan@smail.example", "unknown host"},
	{"Exchange 5.5", "System Administrator <postmaster@ex.example>", "Undeliverable: news", `
Your message

  To:      dan@ex.example
  Subject: news
  Sent:    Sun, 22 Nov 2026 10:00:00 +0000

did not reach the following recipient(s):

dan@ex.example on Sun, 22 Nov 2026 10:00:05 +0000
    The recipient name is not recognized
	The MTS-ID of the original message is: c=us;a= ;p=ex;l=MAIL0001
    MSEXCH:IMS:EX:SITE:MAIL 0 (000C05A6) Unknown Recipient
`, "dan@ex.example", "The recipient name is not recognized"},
	{"IMail", "Postmaster <postmaster@imail.example>", "Undeliverable Mail", `
User mailbox exceeds allowed size: dan@imail.example

Original message follows.

Received: from x by imail.example
From: bounces@news.example.com
To: dan@imail.example
Subject: news
`, "dan@imail.example", "exceeds allowed size"},
	{"OpenSMTPD", "Mailer Daemon <MAILER-DAEMON@osmtpd.example>", "Delivery status notification: error", `
    Hi!

    This is the MAILER-DAEMON, please DO NOT REPLY to this email.

    An error has occurred while attempting to deliver a message for
    the following list of recipients:

dan@osmtpd.example: 550 5.1.1 <dan@osmtpd.example>: Recipient address rejected

    Below is a copy of the original message:

Received: from localhost by osmtpd.example
From: bounces@news.example.com
Date: Sun, 22 Nov 2026 10:00:00 +0000
`, "dan@osmtpd.example", "550 5.1.1"},
	{"OpenSMTPD, delay", "Mailer Daemon <MAILER-DAEMON@osmtpd.example>", "Delivery status notification: warning", `
    A message is delayed for more than 4h for the following list of recipients:

dan@osmtpd.example: Network error on destination MXs

    Please note that this is only a temporary failure report.
    The message is kept in the queue for up to 4d.
`, "delayed", ""},
	{"German", "Mailer-Daemon@de.example", "Unzustellbare Nachricht", `
Ihre Nachricht konnte an folgende Empfänger nicht zugestellt werden:

dan@de.example
    Grund: Postfach voll (552 5.2.2)
`, "dan@de.example", "Postfach voll"},
	{"German, delay", "Mailer-Daemon@de.example", "Zustellung verzögert", `
Die Nachricht an dan@de.example konnte noch nicht zugestellt werden. Es wird weiter versucht.
`, "delayed", ""},
	{"French", "postmaster@fr.example", "Échec de la remise du message", `
Votre message n'a pas pu être remis au destinataire suivant :

    dan@fr.example

Raison : utilisateur inconnu
`, "dan@fr.example", "utilisateur inconnu"},
	{"Spanish", "Administrador del sistema <postmaster@es.example>", "No se puede entregar: noticias", `
No se pudo entregar el mensaje a los siguientes destinatarios:

<dan@es.example>: 550 5.1.1 el usuario no existe
`, "dan@es.example", "el usuario no existe"},
	{"Portuguese", "MAILER-DAEMON@br.example", "Falha na entrega da mensagem", `
A sua mensagem não pôde ser entregue ao destinatário dan@br.example.

Motivo: caixa postal cheia
`, "dan@br.example", "caixa postal cheia"},
	{"Italian", "postmaster@it.example", "Mancata consegna", `
Impossibile consegnare il messaggio al seguente destinatario:
dan@it.example
Errore: utente sconosciuto
`, "dan@it.example", "utente sconosciuto"},
	{"Dutch", "postmaster@nl.example", "Onbestelbaar: nieuws", `
Uw bericht aan <dan@nl.example> kon niet worden afgeleverd.

Reden: onbekende gebruiker
`, "dan@nl.example", "onbekende gebruiker"},
	{"Polish", "MAILER-DAEMON@pl.example", "Niedostarczona wiadomość", `
Wiadomość nie mogła zostać dostarczona do adresata:

dan@pl.example

Powód: skrzynka pełna
`, "dan@pl.example", "skrzynka pełna"},
	{"Russian", "mailer-daemon@ru.example", "Недоставленное сообщение", `
Сообщение не может быть доставлено получателю dan@ru.example.

Причина: 550 5.1.1 пользователь не найден
`, "dan@ru.example", "пользователь не найден"},
	{"Japanese", "MAILER-DAEMON@jp.example", "配信不能通知", `
次の宛先へのメールは配信できませんでした。

<dan@jp.example>

理由：ユーザーが見つかりません
`, "dan@jp.example", "ユーザーが見つかりません"},
	{"Chinese", "postmaster@cn.example", "邮件被退回", `
抱歉，您的邮件无法送达以下收件人：dan@cn.example

退信原因：收件人邮箱不存在
`, "dan@cn.example", "收件人邮箱不存在"},
	{"contact address below", "postmaster@ct.example", "Delivery failure", `
Your message to dan@ct.example could not be delivered: mailbox unavailable.

If you have questions, please contact helpdesk@ct.example
or write to postmaster@ct.example
`, "dan@ct.example", "mailbox unavailable"},
	{"sender named in the reply", "MAILER-DAEMON@sn.example", "Undelivered Mail Returned to Sender", `
<dan@sn.example>: host mx.sn.example[192.0.2.1] said: 550 5.7.1
    <bounces@news.example.com>: Sender address rejected (in reply to RCPT TO
    command)
`, "dan@sn.example", "Sender address rejected"},
	{"parcel", "Parcels <service@parcel.example>", "Your parcel could not be delivered", `
We could not deliver your parcel to the address you gave. Contact service@parcel.example.
`, "ordinary", ""},
	{"newsletter about bounces", "Tips <tips@blog.example>", "Why was my mail rejected?", `
Ten tips against bounces. If a mailbox is full, the mail is returned.
`, "ordinary", ""},
	{"out of office, from nobody", "Dan <dan@oo.example>", "Automatic reply: news", `
I am out of the office. Mail to this mailbox is not delivered to anybody else.
`, "autoreply", ""},
	{"Spanish vacation", "Dan <dan@es.example>", "Respuesta automática: noticias", "\nEstoy fuera de la oficina.\n", "autoreply", ""},
	{"Polish vacation", "Dan <dan@pl.example>", "Odpowiedź automatyczna: nowości", "\nJestem na urlopie.\n", "autoreply", ""},
	{"Chinese vacation", "Dan <dan@cn.example>", "自动回复: 新闻", "\n我正在休假。\n", "autoreply", ""},
	{"list command", "list-request@lists.example", "The results of your email commands", "\nThe results of your email command are provided below.\n", "ordinary", ""},
	{"Postfix, Japanese text", "MAILER-DAEMON@pf.example (Mail Delivery System)", "Undelivered Mail Returned to Sender", `
ホスト pf.example のメールシステムです。

あなたのメールは以下の宛先に配送できませんでした。

<dan@pf.example>: unknown user: "dan"
`, "dan@pf.example", "unknown user"},
	{"Zimbra style", "MAILER-DAEMON@z.example", "Undelivered Mail Returned to Sender", `
<dan@z.example>: Recipient address rejected: z.example
`, "dan@z.example", "Recipient address rejected"},
	{"two sentences", "postmaster@two.example", "Undeliverable", `
Your message to dan@two.example could not be delivered because the mailbox is full.
Your message to eva@two.example could not be delivered because the user is unknown.
`, "dan@two.example eva@two.example", "mailbox is full"},
	{"bullets", "postmaster@b.example", "Mail delivery failed", `
The following recipients could not be reached:

  * dan@b.example
  * eva@b.example

Reason: no such user
`, "dan@b.example eva@b.example", "no such user"},
	{"mail.ru", "mailer-daemon@corp.example", "Mail failure.", `
This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  dan@mr.example
    (ultimately generated from eva@mr.example)
    mailbox is full: retry timeout exceeded

------ This is a copy of the message, including all the headers. ------

Received: from x by corp.example
From: bounces@news.example.com
To: eva@mr.example
`, "eva@mr.example", "mailbox is full"},
	{"MDaemon", "MDaemon@md.example", "Permanent Delivery Failure", `
--------------------------------------------------------------------------
[SMTP] dan@md.example - no such user here
--------------------------------------------------------------------------
Session Transcript:
 --> RCPT To:<dan@md.example>
 <-- 550 <dan@md.example>, Recipient unknown
`, "dan@md.example", "550 <dan@md.example>, Recipient unknown"},
	{"MDaemon, delay", "MDaemon@md.example", "WARNING: could not send message for past 4 hours", `
The attached message had TEMPORARY delivery errors. dan@md.example
`, "delayed", ""},
	{"hMailServer", "mailer-daemon@hm.example", "Message undeliverable", `
Your message did not reach some or all of the intended recipients.

   Sent: Sun, 22 Nov 2026 10:00:00 +0000
   Subject: news

The following recipient(s) could not be reached:

dan@hm.example
   Error Type: SMTP
   Remote server replied: 550 5.1.1 unknown user
`, "dan@hm.example", "550 5.1.1 unknown user"},
	{"MailEnable", "Postmaster <postmaster@me.example>", "Message Delivery Failure", `
MailEnable: Message Delivery Failure.

The following recipient(s) could not be reached:

   Recipient: [SMTP:dan@me.example]
   Reason: Remote SMTP Server Returned: 550 No such user
`, "dan@me.example", "550 No such user"},
	{"Kerio", "postmaster@ke.example", "Mail delivery failed: news", `
Your message wasn't delivered to <dan@ke.example>: 550 5.1.1 User unknown
`, "dan@ke.example", "550 5.1.1 User unknown"},
	{"Haraka", "postmaster@ha.example", "failure notice", `
Hi. This is the Haraka Mailer program at ha.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

Intended Recipients: <dan@ha.example>
Failure Reason: 550 5.1.1 no such mailbox

--- Below this line is a copy of the message.

Received: from x by ha.example
From: bounces@news.example.com
To: dan@ha.example
`, "dan@ha.example", "550 5.1.1 no such mailbox"},
	{"QQ", "PostMaster@qq.example", "系统退信/Systems bounce", `
抱歉，您的邮件被退回来了……
原邮件信息：
时  间  2026-11-22 10:00:00
主  题  news
收件人  dan@qq.example
退信原因  收件人邮件地址（dan@qq.example）不存在，邮件无法送达。
`, "dan@qq.example", "不存在"},
	{"Korean", "MAILER-DAEMON@kr.example", "메일 전송 실패 안내", `
다음 수신자에게 메일을 전달할 수 없습니다.

dan@kr.example

원인: 존재하지 않는 사용자
`, "dan@kr.example", "존재하지 않는"},
	{"Turkish", "postmaster@tr.example", "Teslim edilemedi: haber", `
İletiniz şu alıcıya teslim edilemedi: dan@tr.example

550 5.1.1 kullanıcı yok
`, "dan@tr.example", "550 5.1.1"},
	{"Czech", "MAILER-DAEMON@cz.example", "Nedoručitelná zpráva", `
Vaši zprávu nebylo možné doručit těmto příjemcům:

dan@cz.example: neznámý uživatel
`, "dan@cz.example", "neznámý"},
	{"Swedish", "postmaster@se.example", "Meddelandet kunde inte levereras", `
Meddelandet kunde inte levereras till dan@se.example.

Orsak: 550 användaren finns inte
`, "dan@se.example", "550 användaren finns inte"},
	{"French, delay", "postmaster@fr.example", "Remise différée : nouvelles", `
La remise de votre message à dan@fr.example est retardée. De nouvelles tentatives auront lieu.
`, "delayed", ""},
	{"Russian, delay", "mailer-daemon@ru.example", "Задержка доставки", `
Письмо для dan@ru.example ещё не доставлено. Попытки доставки продолжаются.
`, "delayed", ""},
	{"Yahoo, delay", "MAILER-DAEMON@y.example", "Delivery delayed", `
Your message has not yet been delivered to <dan@y.example>. We will keep trying.
`, "delayed", ""},
	{"Gmail, delay", "Mail Delivery Subsystem <mailer-daemon@g.example>", "Delivery Status Notification (Delay)", `
** Delivery incomplete **

There was a temporary problem delivering your message to dan@g.example. Gmail will retry for 47 more hours.
`, "delayed", ""},
	{"Earthlink challenge", "dan@el.example", "Re: news", `
I apologize for this automatic reply to your email.

To control spam, I now allow incoming messages only from senders I have approved beforehand.
If you would like to be added to my list of approved senders, please fill out the short request form.
`, "challenge", ""},
	{"TMDA challenge", "Dan <dan@tm.example>", "Please confirm your message", `
This message was created automatically by mail delivery software (TMDA).
Your message is being held because the address has not been confirmed. Just reply to this message and it will be delivered.
`, "challenge", ""},
	{"left the company", "Dan <dan@lc.example>", "Automatische Antwort: news", "\nHerr Dan ist nicht mehr bei uns tätig.\n", "autoreply", ""},
	{"Russian vacation", "Dan <dan@ru.example>", "Автоответ: новости", "\nЯ в отпуске до понедельника.\n", "autoreply", ""},
	{"Italian vacation", "Dan <dan@it.example>", "Fuori sede", "\nSono fuori ufficio.\n", "autoreply", ""},
	{"ticket system", "Support <support@ts.example>", "[Ticket#42] We received your mail", "\nThank you for contacting us. Your request could not be delivered yet to an agent.\n", "ordinary", ""},
	{"bank returned payment", "Bank <info@bank.example>", "Payment returned to sender", "\nYour payment to Dan was returned. Write to help@bank.example.\n", "ordinary", ""},
	{"own mailbox over quota", "System Administrator <postmaster@news.example.com>", "Your mailbox is over its size limit", `
Your mailbox has exceeded quota. You cannot send mail until you make room. See help@news.example.com.
`, "ordinary", ""},
	{"success, by words", "MAILER-DAEMON@ok.example", "Delivery Status Notification (Success)", `
This is an automatically generated Delivery Status Notification.

Your message has been successfully relayed to the following recipients:

       dan@ok.example
`, "delivered", ""},
	{"success, Exchange", "postmaster@ok.example", "Delivered: news", `
Your message has been delivered to the following recipients:

dan@ok.example
`, "delivered", ""},
	{"Barracuda quarantine", "postmaster@bq.example", "**Message you sent blocked by our bulk email filter**", `
Your message to: dan@bq.example
was blocked by our Spam Firewall. The email you sent with the following subject has NOT BEEN DELIVERED:

Subject: news
`, "dan@bq.example", "blocked by our Spam Firewall"},
	{"daemon without failure words in the subject", "MAILER-DAEMON@ns.example", "news", `
<dan@ns.example>: 550 5.1.1 User unknown
`, "dan@ns.example", "550 5.1.1"},
	{"several in one line", "MAILER-DAEMON@ol.example", "Delivery failure", `
Your message could not be delivered to: dan@ol.example, eva@ol.example

Reason: user unknown
`, "dan@ol.example eva@ol.example", "user unknown"},
	{"AOL, local parts", "Mail Delivery Subsystem <MAILER-DAEMON@lp.example>", "Mail Delivery Problem", `
Your mail to the following recipients could not be delivered because they are not accepting mail from you:
	dan
`, "dan@lp.example", "not accepting mail"},
	{"transcript with arrows", "MDaemon@md.example", "Permanent Delivery Failure", `
The attached message had PERMANENT fatal delivery errors!

--- Session Transcript ---
 Sun 2026-11-22 10:00:00: To: dan@md.example
 Sun 2026-11-22 10:00:00: --> RCPT To:<dan@md.example>
 Sun 2026-11-22 10:00:01: <-- 550 <dan@md.example>, Recipient unknown
 Sun 2026-11-22 10:00:01: --> QUIT
--- End Transcript ---
`, "dan@md.example", "Recipient unknown"},
	{"reason before the address, advice behind", "Mail Administrator <Postmaster@ow.example>", "Mail System Error - Returned Mail", `
This Message was undeliverable due to the following reason:

The user(s) account is disabled.

     <dan@ow.example>

Please reply to <Postmaster@ow.example>
if you feel this message to be in error.
`, "dan@ow.example", "account is disabled"},
	{"whom to forward it to", "MAILER-DAEMON@fb.example", "Undelivered Mail Returned to Sender", `
For further assistance, forward this whole message to
<delist@gw.example>.

<dan@fb.example>: host mx.fb.example[192.0.2.7] said: 550 blocked
`, "dan@fb.example", "550 blocked"},
	{"introduced by the reason", "postmaster@qm.example", "Undeliverable mail", `
The following addressee(s) could not be found on the server:

  dan@qm.example

Your message has not been delivered to them.
`, "dan@qm.example", "could not be found"},
	{"final, Dutch", "postmaster@nl.example", "Niet-bezorgde e-mail", `
Helaas kon uw bericht niet afgeleverd worden. Dit is een definitieve fout; er wordt niet opnieuw geprobeerd.

<dan@nl.example>:
De mailbox van deze gebruiker is vol. (#5.2.2)
`, "dan@nl.example", "is vol"},
	{"whom a provider's user doesn't want", "MAILER-DAEMON@lp.example", "Mail Delivery Problem", `
Your mail to the following recipients could not be delivered because they are not accepting mail from news@lists.example.com:
	dan
`, "dan@lp.example", "not accepting mail"},
	{"the same in one line", "MAILER-DAEMON@lp.example", "Returned mail", `
lp.example is not currently accepting mail from news@lists.example.com: dan
`, "dan@lp.example", "not currently accepting mail"},
	{"our own address", "MAILER-DAEMON@vp.example", "Mail could not be delivered", `
<bounces+dan=vp.example@news.example.com>: 550 5.1.1 user unknown

------ Original message ------

Received: by vp.example
From: bounces@news.example.com
To: dan@vp.example
Subject: news
`, "dan@vp.example", "user unknown"},
	{"an id that looks like an address", "mailer-daemon@id.example", "Zustellung fehlgeschlagen", `
Dies ist der Zustelldienst, zuständig für dan@id.example.

Die Nachricht konnte nicht zugestellt werden.

Nachrichten-ID: 20261122.1@lists.example.com
`, "dan@id.example", "nicht zugestellt"},
	{"last errors", "mailer-daemon@le.example", "Failed mail", `
Your message could not be delivered:

- Recipient: dan@le.example
- Last error: 550 5.1.1 unknown here

- Recipient: eva@le.example
- Last error: 452 4.2.2 full
`, "dan@le.example eva@le.example", "550 5.1.1 unknown here"},
	{"a user for whom it will deliver", "MAILER-DAEMON@wd.example", "Returned mail", `
   ----- The following addresses had permanent fatal errors -----
<dan@wd.example>
mail.local: user does not exist, but will deliver to /var/mail/dan
mail.local: cannot open /var/mail/dan: Disk quota exceeded
`, "dan@wd.example", "mail.local: cannot open"},
	{"no text at all", "MAILER-DAEMON@nt.example", "Undelivered Mail Returned to Sender", "\n", "", ""},
}

func TestWordings(t *testing.T) {
	for _, w := range wordingSamples {
		t.Run(w.name, func(t *testing.T) {
			events := parseMail(t, "From: "+w.from+"\nTo: bounces@news.example.com\nSubject: "+w.subject+
				"\nContent-Type: text/plain; charset=utf-8\n"+w.text)
			if kind := string(events[0].Type); kind != "" || w.says == "" {
				if kind != w.want {
					t.Errorf("taken as %q, want %q", kind, w.want)
				}
				return
			}
			var recipients []string
			for _, e := range events {
				recipients = append(recipients, e.Recipient)
			}
			if got := strings.Join(recipients, " "); got != w.want {
				t.Errorf("recipients %q, want %q", got, w.want)
			}
			if !strings.Contains(events[0].Diagnostic, w.says) {
				t.Errorf("diagnostic %q does not say %q", events[0].Diagnostic, w.says)
			}
		})
	}
}
