package debian

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// receiver stands in for listmonk, inside the container's network.
type receiver struct {
	d     *debian
	sent  []string // local parts that bounced
	mu    sync.Mutex
	posts []string
}

func (r *receiver) listen() {
	r.d.t.Helper()
	server := &http.Server{Handler: r}
	listener := r.d.listen("127.0.0.1:9000")
	go func(l net.Listener) { _ = server.Serve(l) }(listener)
	r.d.t.Cleanup(func() { server.Close() })
}

// ServeHTTP answers as listmonk does: 403 without its token, 400 to the empty probe.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	user, token, basic := req.BasicAuth()
	known := basic && user == "bouncefeed" && token == "secret-token" || req.Header.Get("Authorization") == "token bouncefeed:secret-token"
	switch {
	case !known:
		http.Error(w, `{"message":"invalid API credentials"}`, http.StatusForbidden)
	case string(body) == "{}":
		http.Error(w, `{"message":"Invalid fields: email / subscriber_uuid"}`, http.StatusBadRequest)
	default:
		r.mu.Lock()
		defer r.mu.Unlock()
		r.posts = append(r.posts, string(body))
		fmt.Fprint(w, `{"data":true}`)
	}
}

func (r *receiver) bodies() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.posts...)
}

// count is how many posts name a recipient.
func (r *receiver) count(localPart string) int {
	n := 0
	for _, b := range r.bodies() {
		if strings.Contains(b, `"`+localPart+`@localhost"`) {
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

// onceEach checks the account: every bounce was posted once, nothing else was.
func (r *receiver) onceEach() {
	r.d.t.Helper()
	for _, s := range r.sent {
		if n := r.count(s); n != 1 {
			r.d.t.Errorf("%s was posted %d times", s, n)
		}
	}
	if posts := r.bodies(); len(posts) != len(r.sent) {
		r.d.t.Errorf("%d bounces, %d posts:\n%s", len(r.sent), len(posts), strings.Join(posts, "\n"))
	}
}
