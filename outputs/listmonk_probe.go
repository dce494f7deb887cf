package outputs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
)

// patientEnough is how long a timeout should be at least: behind a locked table listmonk stores what it was given up for.
const patientEnough = 30 * time.Second

// Probe posts an empty event: listmonk's complaint that nobody is named proves route, login and settings. Before 6.2 only
// a whole event shows that bounces are not processed: it gets one for the subscriber who is nobody, and drops it.
func (l *listmonkReceiver) Probe(ctx context.Context) (found []string, err error) {
	if l.Timeout.Std() < patientEnough {
		found = append(found, fmt.Sprintf("hint: timeout: %s: a post that is given up may still be stored, and is then counted twice: say %s or more", l.Timeout.Std(), patientEnough))
	}
	a, err := l.post(ctx, []byte("{}"))
	if err == nil {
		err = l.understandProbe(ctx, a)
	}
	if err != nil {
		return found, err
	}
	version := l.version(ctx)
	about := "listmonk, version unknown"
	if version != "" {
		about = "listmonk " + version
	}
	if err := l.postNobody(ctx); err != nil {
		return append(found, about), err
	}
	gives, err := l.permissions(ctx)
	return append([]string{about + "; " + gives}, found...), err
}

// understandProbe says what an answer to the empty event means.
func (l *listmonkReceiver) understandProbe(ctx context.Context, a *answer) error {
	switch {
	case a.status == http.StatusBadRequest && strings.Contains(a.text, "subscriber_uuid"):
		return nil
	case a.status == http.StatusForbidden:
		return a.later(l.whyForbidden(ctx, l.remedy(a)))
	case a.status == http.StatusNotFound:
		return a.later(l.whyNotFound(ctx, l.remedy(a)))
	case a.status/100 == 2:
		return fmt.Errorf("%d to an event that names nobody: this is not listmonk's %s; check url, or use type: webhook for another receiver", a.status, listmonkRoute)
	case a.status == http.StatusBadRequest && !a.plainToTLS:
		return a.later("not what listmonk's " + listmonkRoute + " says to an empty event: check url")
	}
	return a.later(l.remedy(a))
}

// postNobody posts a whole event for nobody. Where bounces are not processed, listmonk before 6.2 breaks off.
func (l *listmonkReceiver) postNobody(ctx context.Context) error {
	body, err := encode(bounce{SubscriberUUID: listmonk.NoUUID, Source: l.source, Type: event.Soft})
	if err != nil {
		return err
	}
	a, err := l.do(ctx, http.MethodPost, l.url, body, jsonHeader())
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: bounce processing is switched off in Settings → Bounces (listmonk before 6.2 says it so)", err)
	case err != nil:
		return err
	case a.status == http.StatusBadRequest && a.own: // it is there, and looks at events
		return nil
	}
	return l.understand(a)
}

// api asks listmonk beside its bounce webhook. nil and no error: url does not end as listmonk's does, nobody knows where.
func (l *listmonkReceiver) api(ctx context.Context, path string, query url.Values) (*answer, error) {
	root, found := strings.CutSuffix(l.url.Path, listmonkRoute)
	if !found {
		return nil, nil
	}
	u := *l.url
	u.Path, u.RawPath, u.RawQuery = root+path, "", query.Encode()
	return l.ask(ctx, http.MethodGet, &u, nil, nil, pageBytes)
}

// data reads listmonk's {"data":…}.
func (a *answer) data(v any) bool {
	return a != nil && a.status == http.StatusOK && json.Unmarshal(a.body, &struct {
		Data any `json:"data"`
	}{v}) == nil
}

// version is what listmonk calls itself; "" if it does not tell.
func (l *listmonkReceiver) version(ctx context.Context) string {
	var about struct{ Version string }
	if a, err := l.api(ctx, "/api/about", nil); err == nil && a.data(&about) {
		return clean(about.Version, metaLimit)
	}
	return ""
}

// permissions says what the login may do, and what that gives.
func (l *listmonkReceiver) permissions(ctx context.Context) (string, error) {
	var profile struct {
		UserRole struct{ Permissions []string } `json:"user_role"`
	}
	told := "its permissions are not told"
	if a, err := l.api(ctx, "/api/profile", nil); err == nil && a.data(&profile) && len(profile.UserRole.Permissions) > 0 {
		all := profile.UserRole.Permissions
		slices.Sort(all)
		told = fmt.Sprintf("the API user may %s", clean(strings.Join(all[:min(len(all), 6)], ", "), textLimit))
		if len(all) > 6 {
			told += fmt.Sprintf(" and %d more: give it a role of its own", len(all)-6)
		}
	}
	reads, err := l.Verifies(ctx)
	switch {
	case l.verify == verifyOff:
		return told + "; verify: off: a bounce that listmonk loses after its answer stays lost", nil
	case err != nil:
		return told, err
	case !reads:
		return told + "; it may not read bounces: one that listmonk loses after its answer stays lost (give it bounces:get)", nil
	}
	return told + "; what is posted is read back until it is stored", nil
}

// whyForbidden asks listmonk who we are: it answers every wrong login and every missing permission alike with 403.
func (l *listmonkReceiver) whyForbidden(ctx context.Context, otherwise string) string {
	if !l.Password.Set() {
		return otherwise
	}
	a, err := l.api(ctx, "/api/profile", nil)
	switch {
	case err != nil || a == nil:
	case a.status == http.StatusOK && a.json:
		return "the login is right, but the user's role lacks webhooks:post_bounce (Admin → Users → User roles)"
	case a.status == http.StatusForbidden:
		return "listmonk does not know this username and token, or the user is disabled (Admin → Users)"
	}
	return otherwise
}

// whyNotFound tells a switched-off webhook, of which listmonk has no route, from a place where no listmonk is.
func (l *listmonkReceiver) whyNotFound(ctx context.Context, otherwise string) string {
	a, err := l.api(ctx, "/api/about", nil)
	var data any
	switch {
	case err != nil:
	case a == nil:
		return "the path in url is wrong: listmonk's is " + listmonkRoute
	case a.data(&data), a.own && (a.status == http.StatusForbidden || a.status == http.StatusUnauthorized):
		return "bounce webhooks are switched off in Settings → Bounces"
	case a.status == http.StatusNotFound:
		return "no listmonk there: the host or the path in url is wrong, " + cmp.Or(strings.TrimSuffix(l.url.Path, listmonkRoute), "/") + " is not its root"
	}
	return otherwise
}
