package mailbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"bouncefeed/internal/config"
)

// oauthSettings are where access tokens are asked for (RFC 6749): with a refresh token that a person got by logging in once,
// or else in the name of an application (client credentials).
type oauthSettings struct {
	Provider     string        `yaml:"provider"`  // microsoft | google: their token_url and scope
	Tenant       string        `yaml:"tenant"`    // microsoft: the organization, by its id or a domain
	TokenURL     string        `yaml:"token_url"` // of any other
	ClientID     string        `yaml:"client_id"`
	ClientSecret config.Secret `yaml:"client_secret"`
	RefreshToken config.Secret `yaml:"refresh_token"`
	Scope        string        `yaml:"scope"` // with spaces between several
}

const (
	providerMicrosoft = "microsoft"
	providerGoogle    = "google"
)

// set says whether the section is there at all.
func (o *oauthSettings) set() bool { return *o != oauthSettings{} }

// check holds the keys to what they may be, and fills in what a provider's name stands for.
func (o *oauthSettings) check(wrong func(key, format string, args ...any)) {
	switch o.Provider {
	case providerMicrosoft:
		if o.Tenant == "" || strings.ContainsAny(o.Tenant, "/?#% ") {
			wrong("oauth.tenant", "is missing: the organization's id, or one of its domains")
		}
		o.TokenURL = cmp.Or(o.TokenURL, "https://login.microsoftonline.com/"+o.Tenant+"/oauth2/v2.0/token")
		if o.Scope == "" && !o.RefreshToken.Set() { // a refresh token has the scope it was given for
			o.Scope = "https://outlook.office365.com/.default"
		}
	case providerGoogle:
		o.TokenURL = cmp.Or(o.TokenURL, "https://oauth2.googleapis.com/token")
		if !o.RefreshToken.Set() {
			wrong("oauth.refresh_token_file", "is missing: Google lets no application into a mailbox without a login in its owner's name")
		}
	case "":
		if o.TokenURL == "" {
			wrong("oauth.provider", "is missing: %s or %s, or the token_url of another", providerMicrosoft, providerGoogle)
		}
	default:
		wrong("oauth.provider", "%q is none of %s, %s; any other is named by its token_url", o.Provider, providerMicrosoft, providerGoogle)
	}
	if o.ClientID == "" {
		wrong("oauth.client_id", "is missing: the id that the provider gave the application")
	}
	if !o.RefreshToken.Set() && !o.ClientSecret.Set() {
		wrong("oauth.client_secret_file", "is missing: without a refresh_token_file the application shows that it is itself")
	}
	if o.TokenURL == "" {
		return
	}
	u, err := url.Parse(o.TokenURL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && config.IsLoopback(u.Hostname())) {
		wrong("oauth.token_url", "is no address that begins with https://")
	}
}

// accessTokens asks for access tokens, and keeps the last one while it is good.
type accessTokens struct {
	oauthSettings
	mu      sync.Mutex
	last    *oauth2.Token
	read    string // the refresh token as it stands in its file
	refresh string // and the one that the provider gave in its place
}

// get gives a token that has not expired.
func (a *accessTokens) get(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last.Valid() {
		return a.last.AccessToken, nil
	}
	fresh, err := a.ask(ctx)
	if err != nil {
		return "", err
	}
	if strings.ContainsFunc(fresh.AccessToken, control) {
		return "", fmt.Errorf("ask %s for an access token: what it gave is none", a.host())
	}
	a.last = fresh
	if fresh.RefreshToken != "" {
		a.refresh = fresh.RefreshToken
	}
	return fresh.AccessToken, nil
}

// forget drops a token that a server has refused.
func (a *accessTokens) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = nil
}

func (a *accessTokens) host() string {
	u, _ := url.Parse(a.TokenURL) // checked
	return u.Host
}

func (a *accessTokens) ask(ctx context.Context) (*oauth2.Token, error) {
	secret := ""
	if a.ClientSecret.Set() {
		var err error
		if secret, err = a.ClientSecret.Read(); err != nil {
			return nil, err
		}
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, tokenClient)
	endpoint := oauth2.Endpoint{TokenURL: a.TokenURL, AuthStyle: oauth2.AuthStyleInParams}
	if !a.RefreshToken.Set() {
		c := clientcredentials.Config{ClientID: a.ClientID, ClientSecret: secret, TokenURL: a.TokenURL, Scopes: strings.Fields(a.Scope), AuthStyle: endpoint.AuthStyle}
		token, err := c.Token(ctx)
		return token, a.explain(err, secret)
	}
	read, err := a.RefreshToken.Read()
	if err != nil {
		return nil, err
	}
	if read != a.read { // somebody has logged in anew
		a.read, a.refresh = read, read
	}
	c := oauth2.Config{ClientID: a.ClientID, ClientSecret: secret, Endpoint: endpoint, Scopes: strings.Fields(a.Scope)}
	token, err := c.TokenSource(ctx, &oauth2.Token{RefreshToken: a.refresh}).Token()
	return token, a.explain(err, secret, a.refresh)
}

// tokenClient follows no redirect: the secrets are for one host.
var tokenClient = &http.Client{
	Timeout:       maxOperation,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// explain says what an admin can do about an answer without a token. secrets are what must not be repeated of it.
func (a *accessTokens) explain(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	words, remedy := err.Error(), "check token_url and the network"
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		words = strings.TrimSpace(refused.ErrorCode + " " + refused.ErrorDescription)
		if words == "" && refused.Response != nil {
			words = refused.Response.Status
		}
		switch refused.ErrorCode { // RFC 6749 §5.2
		case "invalid_grant":
			remedy = "the refresh token has expired or was withdrawn: log in anew and put the new one into " + a.RefreshToken.String()
		case "invalid_client", "unauthorized_client":
			remedy = "check client_id and " + a.ClientSecret.String() + ", which may have expired"
		case "invalid_scope":
			remedy = "check scope"
		}
	}
	for _, secret := range secrets {
		words = serverWords(words, secret)
	}
	return fmt.Errorf("ask %s for an access token: %s: %s", a.host(), words, remedy)
}
