package webhook

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"path"
	"path/filepath"
	"strings"

	"bouncefeed/internal/config"
)

// webhookRoute is one path to which one account of a provider posts, and how it proves itself beside the signature
// that its parser knows. A secret of several lines is several secrets.
type webhookRoute struct {
	Path   string         `yaml:"path"` // default: /webhooks/bounce, or /webhooks/service/ and the parser's name
	Parser config.Section `yaml:"parser"`

	Username string        `yaml:"username"` // basic, or listmonk's `Authorization: token NAME:TOKEN`
	Password config.Secret `yaml:"password"`
	Token    config.Secret `yaml:"token"`  // Authorization: Bearer TOKEN
	Header   string        `yaml:"header"` // a header field of this name that holds the secret
	Query    string        `yaml:"query"`  // a query parameter of this name that holds the secret
	Secret   config.Secret `yaml:"secret"`

	From  config.Networks `yaml:"from"`  // only from these networks
	Files []string        `yaml:"files"` // served beside the path: what a provider fetches to see that the host is ours

	public bool
}

// add checks a route and takes it in; why says what is wrong with it.
func (w *webhook) add(r *webhookRoute, c *webhookConfig) (why string) {
	if r.Parser.Type == "" {
		return "lacks its parser"
	}
	if r.Path == "" {
		r.Path = "/webhooks/service/" + r.Parser.Type
		if r.Parser.Type == "native" {
			r.Path = "/webhooks/bounce"
		}
	}
	if path.Clean(r.Path) != r.Path || !strings.HasPrefix(r.Path, "/") || strings.ContainsAny(r.Path, "?# ") {
		return "path: " + r.Path + " is no path such as /webhooks/bounce"
	}
	if w.routes[r.Path] != nil {
		return "path: " + r.Path + " is another route's already: give each account its own, as " + r.Path + "/2"
	}
	if why = r.checkLogin(c); why != "" {
		return why
	}
	for _, file := range r.Files {
		w.files[path.Join(path.Dir(r.Path), filepath.Base(file))] = file
	}
	r.public = c.public()
	w.routes[r.Path] = r
	w.order = append(w.order, r)
	return ""
}

func (r *webhookRoute) checkLogin(c *webhookConfig) string {
	ways := 0
	for _, set := range []bool{r.Username != "" || r.Password.Set(), r.Token.Set(), r.Header != "", r.Query != ""} {
		if set {
			ways++
		}
	}
	switch {
	case ways > 1:
		return "asks for more than one of username, token, header and query: keep one"
	case (r.Username != "") != r.Password.Set():
		return "takes both username and password_file (or _env, _credential), or neither"
	case strings.Contains(r.Username, ":"):
		return "username: no login holds a ':'"
	case (r.Header != "" || r.Query != "") != r.Secret.Set():
		return "takes secret_file (or _env, _credential) together with header or query, the name of what carries it"
	case ways > 0 && c.Listen.Exposed() && !c.TLS.Set() && !c.InsecureHTTP:
		return "its secret would cross the network readable to all: set tls, listen on 127.0.0.1 behind a proxy that has it, or say insecure_http: true"
	}
	return ""
}

// authenticated says whether the route itself asks for anything.
func (r *webhookRoute) authenticated() bool { return r.secret().Set() || len(r.From) > 0 }

// secret is what a sender must know, "" set if there is none.
func (r *webhookRoute) secret() config.Secret {
	for _, s := range []config.Secret{r.Password, r.Token, r.Secret} {
		if s.Set() {
			return s
		}
	}
	return config.Secret{}
}

// allows says whether a request proves itself as the route wants it; the error says that it can't be told.
func (r *webhookRoute) allows(req *http.Request, sender netip.Addr) (bool, error) {
	if len(r.From) > 0 && !r.From.Contain(sender) {
		return false, nil
	}
	secret := r.secret()
	if !secret.Set() {
		return true, nil
	}
	lines, err := secret.Lines()
	if err != nil {
		return false, err
	}
	given, ok := r.given(req)
	good := false
	for _, line := range lines {
		good = sameSecret(given, line) || good
	}
	return good && ok, nil
}

// given is the secret that a request carries where the route expects it.
func (r *webhookRoute) given(req *http.Request) (secret string, ok bool) {
	switch {
	case r.Username != "":
		name, password, ok := req.BasicAuth()
		if token, found := cutScheme(req.Header.Get("Authorization"), "token"); found {
			name, password, ok = strings.Cut(token, ":")
		}
		return password, ok && sameSecret(name, r.Username)
	case r.Token.Set():
		return cutScheme(req.Header.Get("Authorization"), "Bearer")
	case r.Header != "":
		return req.Header.Get(r.Header), true
	default:
		return req.URL.Query().Get(r.Query), true
	}
}

func cutScheme(authorization, scheme string) (string, bool) {
	word, rest, ok := strings.Cut(authorization, " ")
	return strings.TrimSpace(rest), ok && strings.EqualFold(word, scheme)
}

// sameSecret compares in constant time, also of unlike lengths.
func sameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
