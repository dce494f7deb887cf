package outputs

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"bouncefeed/internal/config"
)

// newPoster checks c. example is a right URL for the messages, ways are the values that `auth` may have.
func newPoster(env config.Env, section config.Section, c HTTP, example string, ways ...string) (*poster, error) {
	u, why := parseURL(c.URL)
	if why != "" {
		return nil, config.Join("", section.Errorf("url", "%s: write it like %s", why, example), c.checkLogin(section, ways))
	}
	p := &poster{HTTP: c, url: u, userAgent: "bouncefeed/" + env.Version}
	return p, config.Join("", c.checkTransport(section, u), c.checkLogin(section, ways))
}

// parseURL says what is wrong with raw without repeating it: it may hold a password.
func parseURL(raw string) (u *url.URL, why string) {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return nil, "is missing"
	case strings.ContainsAny(raw, " \t\r\n"):
		return nil, "holds a space"
	case err != nil || u.Opaque != "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, "is no address that begins with https:// or http://"
	case u.User != nil:
		return nil, "must not hold the login, which goes into username and password_file"
	case u.Hostname() == "":
		return nil, "lacks the host"
	case strings.Contains(raw, "#"):
		return nil, "has a part after '#', which no server ever sees"
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, "has no usable port"
		}
	}
	return u, ""
}

func (c *HTTP) checkTransport(section config.Section, u *url.URL) error {
	var errs []error
	if c.Timeout <= 0 {
		errs = append(errs, section.Errorf("timeout", "must be more than 0"))
	}
	if (c.ClientCert == "") != (c.ClientKey == "") {
		errs = append(errs, section.Errorf("client_cert", "goes with client_key: name both files, or one that holds both in each"))
	}
	if u.Scheme == "http" && c.ClientCert != "" {
		errs = append(errs, section.Errorf("client_cert", "serves https:// only, and url begins with http://"))
	}
	if c.Proxy != "" && c.Proxy != noProxy {
		if p, err := url.Parse(c.Proxy); err != nil || p.Host == "" || p.User != nil || p.Scheme != "http" && p.Scheme != "https" && p.Scheme != "socks5" {
			errs = append(errs, section.Errorf("proxy", "must be none, or an address like http://proxy.example.com:3128, without a login (HTTPS_PROXY in the unit's environment may have one)"))
		}
	}
	if u.Scheme == "http" && c.CAFile != "" {
		errs = append(errs, section.Errorf("ca_file", "serves https:// only, and url begins with http://"))
	}
	if u.Scheme == "http" && c.Password.Set() && !c.InsecureHTTP && !config.IsLoopback(u.Hostname()) {
		errs = append(errs, section.Errorf("url", "the login would cross the network readable to all: use https://, or say insecure_http: true if nobody else is on that network"))
	}
	return config.Join("", errs...)
}

func (c *HTTP) checkLogin(section config.Section, ways []string) error {
	nameless := c.Auth == "bearer" || c.Auth == "header"
	switch {
	case !slices.Contains(ways, c.Auth):
		return section.Errorf("auth", "%q is none of %s", c.Auth, strings.Join(ways, ", "))
	case nameless && c.Username != "":
		return section.Errorf("username", "a %s token goes without a name: remove it, or have auth: basic alone", c.Auth)
	case nameless && !c.Password.Set():
		return section.Errorf("auth", "%s needs the token: name it with password_file, password_env or password_credential", c.Auth)
	case !nameless && c.Username != "" && !c.Password.Set():
		return section.Errorf("username", "has no password beside it: name it with password_file, password_env or password_credential")
	case !nameless && c.Username == "" && c.Password.Set():
		return section.Errorf("username", "is missing beside the password%s", map[bool]string{true: "; a token that goes without a name needs auth: bearer"}[slices.Contains(ways, "bearer")])
	case strings.ContainsFunc(c.Username, func(r rune) bool { return r == ':' || r < ' ' || r == 0x7f }):
		return section.Errorf("username", "holds a ':' or a control character, which no login may")
	}
	return nil
}
