package outputs

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// contacts is what stands behind a double of a list manager: who is known by e-mail, and what became of them.
type contacts struct {
	known map[string]string // e-mail → number
	fate  map[string]string
	wrong []string
}

// recipe builds the output of docs/recipes/NAME.yaml, with url and secret of a double.
func recipe(t *testing.T, name string, handler http.Handler) Output {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	text, err := os.ReadFile(filepath.Join("../docs/recipes", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	here := regexp.MustCompile(`https://[a-z.]+`).ReplaceAllString(string(text), s.URL)
	here = regexp.MustCompile(`password_file: .*`).ReplaceAllString(here, "password_file: "+tokenFile(t))
	c, err := config.Parse(name+".yaml", []byte(here))
	if err != nil {
		t.Fatal(err)
	}
	built, err := Modules.Build(config.Env{Name: name, Host: "mx1", Version: "1.0"}, c.Outputs[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	return built.Output
}

// try sends a bounce of one who is known, a complaint, and a bounce of somebody unknown.
func (c *contacts) try(t *testing.T, out Output, unknown bool, bounced, complained string) {
	t.Helper()
	one := func(id, recipient string, kind event.Type) error {
		e := someEvent(id)
		e.Type, e.Recipient, e.Diagnostic = kind, recipient, "550 5.1.1 no \"such\" user & more\r\n=?x"
		return out.Send(t.Context(), []event.Event{e})
	}
	if err := one("a", "o'jo+x&y@example.org", event.Hard); err != nil {
		t.Error(err)
	}
	if err := one("b", "al@example.org", event.Complaint); err != nil {
		t.Error(err)
	}
	_, is := errors.AsType[*UnknownError](one("c", "who@example.org", event.Hard))
	if is != unknown {
		t.Errorf("unknown: %v", is)
	}
	if c.fate["o'jo+x&y@example.org"] != bounced || c.fate["al@example.org"] != complained || len(c.wrong) > 0 {
		t.Errorf("%q, wrong %q", c.fate, c.wrong)
	}
}

func newContacts() *contacts {
	return &contacts{known: map[string]string{"o'jo+x&y@example.org": "47", "al@example.org": "48"}, fate: map[string]string{}}
}

func (c *contacts) object(w http.ResponseWriter, r *http.Request, wrong bool) {
	if wrong {
		c.wrong = append(c.wrong, r.Method+" "+r.URL.String())
		w.WriteHeader(http.StatusTeapot)
	}
}

// https://developer.mautic.org/#contacts
func TestRecipeMautic(t *testing.T) {
	c := newContacts()
	mux := http.NewServeMux()
	login := func(r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		return user == "bouncefeed" && password == token
	}
	mux.HandleFunc("GET /api/contacts", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if !login(r) || q.Get("where[0][col]") != "email" || q.Get("where[0][expr]") != "eq" {
			c.object(w, r, true)
			return
		}
		if id := c.known[q.Get("where[0][val]")]; id != "" {
			io.WriteString(w, `{"total":"1","contacts":{"`+id+`":{"id":`+id+`,"isPublished":true}}}`)
			return
		}
		io.WriteString(w, `{"total":"0","contacts":[]}`)
	})
	mux.HandleFunc("POST /api/contacts/{id}/dnc/email/add", func(w http.ResponseWriter, r *http.Request) {
		for email, id := range c.known {
			if id == r.PathValue("id") && login(r) && strings.Contains(r.FormValue("comments"), `no "such" user & more`) {
				c.fate[email] = r.FormValue("reason")
				io.WriteString(w, `{"contact":{"id":`+id+`}}`)
				return
			}
		}
		c.object(w, r, true)
	})
	c.try(t, recipe(t, "mautic", mux), true, "2", "1")
}

// https://www.keila.io/docs/api
func TestRecipeKeila(t *testing.T) {
	c := newContacts()
	mux := http.NewServeMux()
	mux.HandleFunc("PATCH /api/v1/contacts/{id}", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Data struct{ Status string } }
		err := json.NewDecoder(r.Body).Decode(&body)
		if c.object(w, r, err != nil || r.Header.Get("Authorization") != "Bearer "+token || r.FormValue("id_type") != "email" || r.Header.Get("Content-Type") != "application/json"); c.known[r.PathValue("id")] == "" {
			http.Error(w, `{"errors":[{"status":"404","title":"Not found"}]}`, http.StatusNotFound)
			return
		}
		c.fate[r.PathValue("id")] = body.Data.Status
		io.WriteString(w, `{"data":{"id":"nc_1"}}`)
	})
	c.try(t, recipe(t, "keila", mux), true, "unreachable", "unsubscribed")
}

// https://github.com/phpList/rest-api
func TestRecipePhplist(t *testing.T) {
	c := newContacts()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v2/blacklist/add", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Email, Reason string }
		err := json.NewDecoder(r.Body).Decode(&body)
		_, password, _ := r.BasicAuth()
		c.object(w, r, err != nil || password != token)
		c.fate[body.Email], _, _ = strings.Cut(body.Reason, ":")
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"email":"x"}`)
	})
	c.try(t, recipe(t, "phplist", mux), false, "hard bounce", "complaint bounce")
}

// https://github.com/Mailtrain-org/mailtrain: Account → API
func TestRecipeMailtrain(t *testing.T) {
	c := newContacts()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/blacklist/add", func(w http.ResponseWriter, r *http.Request) {
		c.object(w, r, r.Header.Get("access-token") != token || r.Header.Get("Authorization") != "" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded")
		c.fate[r.FormValue("EMAIL")] = "blacklisted"
		io.WriteString(w, `{"data":[]}`)
	})
	c.try(t, recipe(t, "mailtrain", mux), false, "blacklisted", "blacklisted")
}
