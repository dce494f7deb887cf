package parsers

import "strings"

// Phrases are lower case; a message's words are compared in lower case with its white space collapsed.

// failureSubjects name a bounce in a Subject.
var failureSubjects = phrases(`
undeliver
delivery status notification
delivery failure
delivery failed
delivery has failed
delivery error
delivery report
delivery notification
delivery problem
delivery unsuccessful
delivery did not succeed
failed delivery
failure delivery
failure notice
failure notification
failed mail
mail failed
mail failure
message failed
message failure
returned mail
returned to sender
returned email
return to sender
returning message
could not be delivered
could not deliver
couldn't be delivered
cannot be delivered
can't be delivered
unable to deliver
not be delivered
not delivered
wasn't delivered
failed to deliver
failed to send
non-deliver
nondeliver
non delivery
mail system error
mail error
error sending your mail
bounce notification
bounced mail
message bounced
mail bounced
message rejected
mail rejected
rejected mail
rejected message
user unknown
unknown user
unknown recipient
invalid recipient
recipient rejected
address not found
no such user
delevery
unzustellbar
nicht zustellbar
nicht zugestellt
zustellung fehlgeschlagen
zustellungsfehler
zustellfehler
zustellproblem
übermittlungsfehler
fehler bei der zustellung
nicht ausgeliefert
unbekannter empfänger
non remis
non délivr
non distribu
non livré
échec de la remise
échec de remise
échec d'envoi
échec de l'envoi
échec de la livraison
échec de distribution
notification d'échec
remise impossible
courrier retourné
message retourné
no se puede entregar
no se pudo entregar
no se ha podido entregar
no entregado
no entregable
no fue entregado
error de entrega
error en la entrega
fallo en la entrega
fallo de entrega
entrega fallida
correo devuelto
mensaje devuelto
imposible entregar
não entregue
nao entregue
não foi entregue
não pôde ser entregue
não é possível entregar
não entregável
falha na entrega
falha de entrega
falha ao entregar
erro de entrega
erro na entrega
mensagem devolvida
non recapitabile
mancata consegna
mancato recapito
consegna non riuscita
recapito non riuscito
non consegnat
non recapitat
impossibile recapitare
impossibile consegnare
errore di consegna
niet bezorgd
niet afgeleverd
niet besteld
onbestelbaar
bezorging mislukt
aflevering mislukt
kan niet worden bezorgd
nie dostarczono
nie można dostarczyć
nie została dostarczona
nie mogła zostać dostarczona
niedostarcz
niedoręcz
błąd dostarcz
zwrot wiadomości
не доставлен
недоставлен
не удалось доставить
ошибка доставки
невозможно доставить
не может быть доставлен
доставка не удалась
недоставк
возврат письма
配信不能
配達不能
配送不能
配信できません
配送できません
送信できません
送達できません
お届けできません
届きませんでした
送信エラー
配信エラー
配送エラー
配信に失敗
送信に失敗
未配信
未達
エラーメール
宛先不明
退信
退件
未送达
未能送达
无法送达
无法投递
无法传递
投递失败
传递失败
发送失败
無法傳遞
無法投遞
無法送達
無法遞送
傳遞失敗
傳送失敗
郵件退回
邮件退回
邮件被退回
반송
배달 실패
배달되지
전송 실패
전달할 수 없
olevererbar
kunde inte levereras
kunne ikke leveres
kan ikke leveres
uleverbar
ei voitu toimittaa
toimitus epäonnistui
nedoruč
nelze doručit
nebylo možné doručit
iletilemedi
teslim edilemedi
kézbesíthetetlen
kézbesítés sikertelen
nu a putut fi livrat
не вдалося доставити
`)

// failureTexts say in a body that a message was not delivered.
var failureTexts = append(phrases(`
could not send
couldn't send
unable to send
was not able to deliver
wasn't able to deliver
not able to deliver
delivery to the following
deliver to the following
deliver the following
deliver your message
deliver your mail
did not reach
not reached
could not be reached
could not be sent
could not be completed
could not be accepted
permanent error
permanent fatal error
permanent failure
fatal error
failed permanently
failed for
delivery of your
delivering your
delivery problems
recipients of your message
problem delivering
trouble delivering
error delivering
error while attempting to deliver
error occurred while trying to deliver
errors while trying to deliver
transcript of session
not accepted for
has been rejected
was rejected
been returned
being returned
is returned
returned because
undelivered
unreachable
mailbox is full
mailbox full
over quota
exceeded quota
does not exist
not a valid
no such
unknown to
unknown address
rejected your message
message was refused
account that you tried to reach
address(es) failed
recipients failed
nicht zustellen
nicht übermittelt
nicht erreicht
nicht gesendet
folgenden empfänger
folgende adresse
zurückgewiesen
abgelehnt
unbekannt
pas pu être remis
pas pu être délivré
pas pu être distribué
pas pu être envoyé
pas pu être livré
n'a pu être
destinataire inconnu
n'existe pas
destinataires suivants
refusé
no pudo ser entregado
no se ha podido
no se pudo
no existe
siguientes destinatarios
rechazad
não pôde
não foi possível
não existe
rejeitad
seguintes destinatários
non è stato possibile
non può essere
non esiste
seguenti destinatari
rifiutat
kon niet
niet worden afgeleverd
bestaat niet
volgende ontvangers
geweigerd
nie mogła
nie można
nie istnieje
odrzucon
не найден
не существует
отклонен
следующим получателям
не было доставлено
存在しません
届きません
届けることができません
送信できませんでした
配信されません
見つかりません
拒否
不存在
拒绝
拒收
失败
无法
無法
被退回
존재하지
`), failureSubjects...)

// delaySubjects and delayTexts mark a notice that the server still tries (RFC 3464 "delayed").
var delaySubjects = phrases(`
delayed
(delay)
warning: message
warning: could not send
mail delivery warning
delivery delay
temporarily undeliver
temporary failure
still trying
still not delivered
will retry
will be retried
delivery incomplete
verzögert
verzögerung
zustellung verzögert
retardé
remise différée
retard de
retrasad
demorad
aplazad
atrasad
atraso
in ritardo
ritardat
ritardo
vertraagd
vertraging
opóźni
задерж
отложен
遅延
遅れ
延迟
延遲
försenad
forsinket
viivästy
zpožděn
gecik
지연
`)

var delayTexts = phrases(`
will be retried
will retry
will continue to try
will continue trying
will keep trying
will keep on trying
will try again
will try to deliver
will attempt to deliver
keep trying
still trying
still being retried
still being attempted
attempts will continue
attempts to deliver the message will continue
continue to attempt
continue attempting
delivery attempts will be
further attempts
has not yet been delivered
not yet been delivered
not yet delivered
not been delivered yet
been delayed
is delayed
delivery delayed
warning message only
do not need to resend
don't need to resend
no need to resend
no action is required
temporarily undeliver
temporary problem delivering
delivery is delayed
remain in the queue
remains in the queue
message is still in the queue
retry until
nicht erneut senden
weitere zustellversuche
weiterhin versuch
weiter versucht
verzögert
tentatives se poursuivent
de nouvelles tentatives
nouvelle tentative
a été retardé
est retardé
se seguirá intentando
seguirá intentando
se reintentará
continuará tentando
novas tentativas
verranno effettuati altri tentativi
continuerà a tentare
blijven proberen
opnieuw geprobeerd
będą podejmowane
będzie ponawiać
попытки будут продолжены
попытки доставки продолж
будет продолжать
再送を試み
再度配信
配信が遅
遅延して
将继续尝试
继续尝试
會繼續嘗試
繼續嘗試
延迟
延遲
`)

// finalTexts say that a notice is not about a delay after all.
var finalTexts = phrases(`
giving up
given up
gave up
no further attempts
will not be retried
will not retry
will not try again
not going to try again
won't try again
no longer be attempted
failed permanently
permanent error
permanent fatal errors
permanent failure
this is a permanent
delivery failed
final failure
retry timeout exceeded
could not be delivered for
queue too long
has been removed from the queue
is being returned
expired
endgültig
aufgegeben
définitive
definitiv
permanente
окончательн
`)

// expiredTexts say that a server gave up after trying for long; the last temporary reply is then the reason.
var expiredTexts = phrases(`
retry timeout exceeded
retry time not reached
retry time exceeded
been in the queue too long
queue too long
not delivered within
could not be delivered for
couldn't be delivered for
after multiple retries
after several retries
after repeated attempts
after several attempts
too many retries
retries exceeded
maximum retries
retry limit
message expired
message has expired
delivery expired
expired, returned to sender
delivery time expired
delivery timeout
timed out waiting
message timeout
undeliverable for
has been queued for too long
could not be sent for
giving up after
wird nicht weiter versucht
配信期限
`)

// autoreplySubjects begin or name an automatic answer (RFC 3834 asks for "Auto:").
var autoreplySubjects = phrases(`
out of office
out of the office
out-of-office
ooo:
automatic reply
automated reply
automatic response
automated response
auto reply
auto-reply
autoreply
auto response
auto-response
autoresponse
autoresponder
autosvar
auto:
vacation
on holiday
on leave
away from
i am away
i'm away
away until
away message
currently away
abwesen
automatische antwort
autom. antwort
autoantwort
nicht im büro
nicht im haus
im urlaub
réponse automatique
reponse automatique
absence du bureau
message d'absence
absent du bureau
en congé
respuesta automática
respuesta automatica
fuera de la oficina
fuera de oficina
ausente
resposta automática
resposta automatica
fora do escritório
ausência
risposta automatica
risponditore automatico
fuori sede
fuori ufficio
assenza
automatisch antwoord
automatische beantwoording
afwezig
niet aanwezig
odpowiedź automatyczna
automatyczna odpowiedź
autoodpowiedź
nieobecno
poza biurem
автоответ
автоматический ответ
нет на месте
в отпуске
отсутствую
自動応答
自動返信
不在
休暇
自动回复
自動回覆
自动答复
自動回復
外出
休假
자동 회신
자동응답
부재중
automatiskt svar
frånvaro
automatisk svar
fravær
ikke til stede
automaattinen vastaus
poissa
automatická odpověď
mimo kancelář
automatikus válasz
otomatik yanıt
ofis dışında
răspuns automat
автоматична відповідь
`)

var autoreplyTexts = phrases(`
out of the office
out of office
on vacation
on holiday
on annual leave
maternity leave
away from my
away from the office
limited access to email
limited access to my email
i will be back
i will respond
i'll respond
i will reply
will reply to your
will respond to your
will be returning
upon my return
when i return
this is an automatic reply
this is an automated reply
this is an automatic response
this is an automated response
thank you for your email
thank you for your message
thank you for contacting
thank you for your mail
we have received your
no longer with
no longer works
no longer employed
bin ich nicht im
ich bin nicht im
nicht im büro
im urlaub
außer haus
abwesenheit
vielen dank für ihre
je suis absent
je suis en congé
absent jusqu'au
de retour le
estoy fuera de
estaré fuera
vacaciones
estou ausente
estarei ausente
férias
sono fuori
sarò assente
in ferie
ik ben afwezig
niet aanwezig
op vakantie
jestem na urlopie
poza biurem
я в отпуске
буду отсутствовать
отпуске
不在にして
休暇
休んで
自動返信
自动回复
休假
我正在休假
`)

var challengeTexts = phrases(`
confirm your message
confirm that you sent
confirm that you are
confirm your email by
please confirm your
sender verification
verify that you are
verify yourself
verify your e-mail
verify your email
verification required
requires verification
awaiting verification
awaiting your confirmation
waiting for your confirmation
to have your message delivered
to release your message
to release this message
release your mail
complete this verification
one-time verification
one time verification
challenge
prove that you are
prove you are
you are not on
not on my approved
approved sender
approved senders
allowed senders list
guest list
waitlisted
whitelist
spam blocker
spamblocker
spam arrest
tmda
click the link below to
click on the link below
click the following link
reply to this message to confirm
reply to this message and
reply to this email to
bestätigen sie
confirmer votre
confirme su
`)

// copyMarks begin the copy of the returned message in a text.
var copyMarks = phrases(`
below this line is a copy
this is a copy of
copy of the message
copy of your message
copy of the original
original message
original mail
message headers follow
message header follow
message follows
returned message
unsent message
undelivered message
unsent mail
the header of the original
headers of the original
header of the message
header of your message
headers of the message
headers from the
text of your message
message text follows
your message follows
ursprüngliche nachricht
originalnachricht
message d'origine
message original
mensaje original
mensagem original
messaggio originale
oorspronkelijk bericht
исходное сообщение
元のメッセージ
原始邮件
`)

// senderWords mark a line whose address is not the failed recipient.
var senderWords = phrases(`
contact
support
help desk
helpdesk
assistance
questions
please send
please forward
abuse@
sender:
from:
mail from
reply-to:
return-path
message-id
message id
envelope-from
envelope from
originator
sent by
http
www.
cc:
your address
postmaster@
postmaster at
administrator
kontakt
absender:
von:
de :
expéditeur
remitente
remetente
mittente
afzender
nadawca
от кого:
отправитель
差出人
发件人
寄件者
`)

// recipientWords name the failed recipient in a line, before or after the address.
var recipientWords = phrases(`
recipient
deliver
address
mailbox
rcpt to
sent to
failed
reach
user
account
unknown
not found
does not exist
no such
empfänger
adresse
postfach
konto
an:
destinataire
boîte
compte
à l'adresse
destinatario
dirección
buzón
cuenta
destinatário
endereço
caixa
indirizzo
casella
ontvanger
adres
odbiorc
skrzynk
adresat
получател
адрес
ящик
кому
宛
受信者
アドレス
收件人
地址
郵箱
邮箱
받는
수신자
`)

// reasonLabels stand before the reply or the reason in a text nobody standardised.
var reasonLabels = phrases(`
reason:
reason was
because:
because
error:
error was
error message
diagnostic
diagnostic information
said:
remote host said
following reason
following error
server responded
server returned
response was
the response
details:
technical details
grund:
fehler:
fehlermeldung
raison
motif
erreur
motivo
causa
error fue
razón
razão
erro:
errore
reden:
fout
powód
błąd
причина
ошибка
理由
原因
エラー
错误
錯誤
사유
원인
`)

func phrases(lines string) []string {
	return strings.Split(strings.Trim(lines, "\n"), "\n")
}

func containsAny(s string, list []string) bool {
	for _, p := range list {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}
