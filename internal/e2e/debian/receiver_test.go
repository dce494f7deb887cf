package debian

import (
	"strings"

	"bouncefeed/internal/e2e/e2etest"
)

// receiver stands in for listmonk, inside the container's network. It knows what was sent to it by way of Postfix.
type receiver struct {
	*e2etest.Receiver
	d    *debian
	sent []string // local parts that bounced
	// again counts the posts that came twice with the same id, for the daemon was killed before it noted the answer: what
	// knows ids takes these for one.
	again int
}

func newReceiver(d *debian) *receiver { return &receiver{Receiver: e2etest.NewReceiver(), d: d} }

func (r *receiver) listen() {
	r.d.t.Helper()
	r.Listen(r.d.t, r.d.listen("127.0.0.1:9000"))
}

// count is how many posts name a recipient.
func (r *receiver) count(localPart string) int {
	n := 0
	for _, p := range r.Seen() {
		if p.Email == localPart+"@localhost" {
			n++
		}
	}
	return n
}

// sendMail sends a mail that Postfix delivers to root and bounces for a local user who does not exist.
func (r *receiver) sendMail(localPart string) {
	r.d.t.Helper()
	r.d.run("printf 'Subject: news\\n\\nhello\\n' | sendmail -f news@localhost root@localhost " + localPart + "@localhost")
	r.sent = append(r.sent, localPart)
}

func (r *receiver) wait(localPart string) {
	r.d.t.Helper()
	r.d.until("the post for "+localPart, func() bool { return r.count(localPart) > 0 })
}

func (r *receiver) bounce(localPart string) {
	r.d.t.Helper()
	r.sendMail(localPart)
	r.wait(localPart)
}

// restarted says whether systemd has restarted the service, by itself, and it is ready again.
func (r *receiver) restarted() bool {
	out, _ := r.d.try("systemctl show -P NRestarts bouncefeed; systemctl is-active bouncefeed")
	return strings.HasSuffix(out, "\nactive") && !strings.HasPrefix(out, "0\n")
}

// account is what became of every bounce so far. foreign are posts of what did not bounce.
type account struct{ sent, received, lost, doubled, foreign, again int }

func (r *receiver) account() account {
	posts := r.Seen()
	a := account{sent: len(r.sent), received: len(posts), foreign: len(posts), again: r.again}
	for _, s := range r.sent {
		n := r.count(s)
		a.foreign -= n
		if n == 0 {
			a.lost++
		}
		a.doubled += max(n-1, 0)
	}
	return a
}

// onceEach checks the account: every bounce was posted once, nothing else was.
func (r *receiver) onceEach() {
	r.d.t.Helper()
	if a := r.account(); a.lost+a.doubled+a.foreign > 0 {
		r.d.t.Errorf("%+v: %q was posted as %+v", a, r.sent, r.Seen())
	}
	for _, bad := range r.Misunderstood() {
		r.d.t.Errorf("listmonk would not understand %s", bad)
	}
}
