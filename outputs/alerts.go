package outputs

import (
	"context"
	"net/http"
	"time"

	"bouncefeed/internal/config"
)

// Alerts posts what is no event: findings, as JSON, signed as a webhook's requests are.
type Alerts struct{ webhook }

// NewAlerts makes it of a section that is there.
func NewAlerts(env config.Env, c *config.Alerts) (*Alerts, error) {
	post := HTTP{
		URL: c.URL, Auth: "basic", Username: c.Username, Password: c.Password, Timeout: c.Timeout, CAFile: c.CAFile, Proxy: c.Proxy, InsecureHTTP: c.InsecureHTTP,
	}
	p, err := newPoster(env, c.Section(), post, "https://alerts.example.com/bouncefeed", "basic")
	return &Alerts{webhook{poster: p, secret: c.Secret}}, err
}

// Post makes one attempt, with a body and an id that is the same for every attempt. nil: the receiver has it.
func (a *Alerts) Post(ctx context.Context, id string, body []byte) error {
	header := http.Header{"Content-Type": {"application/json"}}
	if err := a.sign(header, id, time.Now(), body); err != nil {
		return err
	}
	answer, err := a.do(ctx, http.MethodPost, a.poster.url, body, header)
	if err != nil {
		return err
	}
	if answer.status/100 == 2 {
		return nil
	}
	return answer.verdict("")
}
