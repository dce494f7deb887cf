package mailbox

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// tokenServer answers as a provider does; what it was asked goes into asked.
type tokenServer struct {
	*httptest.Server
	asked  []string
	answer func(w http.ResponseWriter, r *http.Request)
}

func startTokenServer(t *testing.T) *tokenServer {
	s := &tokenServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		s.asked = append(s.asked, r.PostForm.Encode())
		w.Header().Set("Content-Type", "application/json")
		s.answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// tokens are those of a section with these further keys.
func (s *tokenServer) tokens(t *testing.T, keys string) *accessTokens {
	t.Helper()
	in, _ := buildInput(t, oauthSection("token_url: '"+s.URL+"/token', client_id: app, "+keys))
	return in.(*imapInput).config.tokens
}

func gives(format string, args ...any) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, format, args...) }
}

func TestRefreshToken(t *testing.T) {
	t.Parallel()
	s, file := startTokenServer(t), tempFile(t, "first-login\n")
	a := s.tokens(t, "refresh_token_file: "+file+", scope: 'a b'")
	want := func(token string, asked int) {
		t.Helper()
		if got, err := a.get(t.Context()); got != token || err != nil || len(s.asked) != asked {
			t.Fatalf("%q %v after %d requests, want %q after %d", got, err, len(s.asked), token, asked)
		}
	}
	s.answer = gives(`{"access_token":"t1","token_type":"Bearer","expires_in":3600,"refresh_token":"second"}`)
	want("t1", 1)
	want("t1", 1) // kept while it is good
	a.forget()
	s.answer = gives(`{"access_token":"t2","token_type":"Bearer","expires_in":1}`)
	want("t2", 2)
	want("t2", 3) // one that is about to expire is not used again
	if err := os.WriteFile(file, []byte("new login"), 0o600); err != nil {
		t.Fatal(err)
	}
	want("t2", 4)
	for i, refresh := range []string{"first-login", "second", "second", "new+login"} {
		if !strings.Contains(s.asked[i], "grant_type=refresh_token") || !strings.Contains(s.asked[i], "refresh_token="+refresh) || !strings.Contains(s.asked[i], "client_id=app") {
			t.Errorf("request %d: %s", i, s.asked[i])
		}
	}
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	s := startTokenServer(t)
	a := s.tokens(t, "client_secret_file: "+tempFile(t, "hush")+", scope: 'https://outlook.office365.com/.default'")
	s.answer = gives(`{"access_token":"t1","token_type":"Bearer","expires_in":3600}`)
	if got, err := a.get(t.Context()); got != "t1" || err != nil {
		t.Fatal(got, err)
	}
	if want := "client_id=app&client_secret=hush&grant_type=client_credentials&scope=https%3A%2F%2Foutlook.office365.com%2F.default"; s.asked[0] != want {
		t.Errorf("asked %s\n want %s", s.asked[0], want)
	}
}

// TestNoToken: what a provider answers is told with the remedy, and without what is secret.
func TestNoToken(t *testing.T) {
	t.Parallel()
	s := startTokenServer(t)
	a := s.tokens(t, "client_secret_file: "+tempFile(t, "hush")+", refresh_token_file: "+tempFile(t, "deep-secret"))
	for want, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"log in anew": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":"invalid_grant","error_description":"deep-secret has expired, and hush is \r\nno better"}`)
		},
		"check client_id and file:": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(401)
			fmt.Fprint(w, `{"error":"invalid_client"}`)
		},
		"502 Bad Gateway": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(502); fmt.Fprint(w, "<html>deep-secret") },
		"307": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusTemporaryRedirect)
		},
		"check token_url":      gives(`{}`),
		"what it gave is none": gives(`{"access_token":"a\nb","token_type":"Bearer","expires_in":3600}`),
	} {
		s.answer = answer
		got, err := a.get(t.Context())
		if err == nil || got != "" || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret has") || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "<html>") {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
}

// TestProviders: what their names stand for.
func TestProviders(t *testing.T) {
	t.Parallel()
	for keys, want := range map[string]string{
		"provider: microsoft, tenant: example.com, client_id: c, client_secret_file: /x": "https://login.microsoftonline.com/example.com/oauth2/v2.0/token https://outlook.office365.com/.default",
		"provider: microsoft, tenant: example.com, client_id: c, refresh_token_file: /x": "https://login.microsoftonline.com/example.com/oauth2/v2.0/token ",
		"provider: google, client_id: c, refresh_token_file: /x":                         "https://oauth2.googleapis.com/token ",
	} {
		in, _ := buildInput(t, oauthSection(keys))
		if a := in.(*imapInput).config.tokens; a.TokenURL+" "+a.Scope != want {
			t.Errorf("%s: %s %s", keys, a.TokenURL, a.Scope)
		}
	}
}
