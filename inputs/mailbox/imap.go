package mailbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"

	"bouncefeed/inputs"
	"bouncefeed/internal/config"
)

type imapConfig struct {
	mailSettings   `yaml:",inline"`
	serverSettings `yaml:",inline"`
	Folder         string `yaml:"folder"`
	MoveTo         string `yaml:"move_to"` // the folder of after: move
}

const (
	tlsUpgradeIMAP = "starttls" // RFC 3501 §6.2.1

	// For reports, as delete-reports is: what was not understood and ordinary mail stay as they are.
	afterFlag = "flag" // as \Seen
)

func init() {
	inputs.Register("imap", imapConfig{
		mailSettings:   mailSettings{Settings: inputs.Settings{Parser: config.Section{Type: "mail"}}, After: afterLeave},
		serverSettings: serverSettings{TLS: tlsImplicit, Auth: authPassword, Poll: config.Duration(5 * time.Minute)},
		Folder:         "INBOX",
	}, buildIMAP)
}

func buildIMAP(env config.Env, section config.Section, c *imapConfig) (inputs.Input, error) {
	errs := []error{c.mailSettings.check(section, afterFlag, afterMove), c.serverSettings.check(section, tlsUpgradeIMAP)}
	if c.Folder == "" {
		errs = append(errs, section.Errorf("folder", "the folder to read, such as INBOX"))
	}
	if c.After == afterMove && (c.MoveTo == "" || c.MoveTo == c.Folder) {
		errs = append(errs, section.Errorf("move_to", "after: move needs the name of another folder here"))
	}
	if err := config.Join("", errs...); err != nil {
		return nil, err
	}
	if c.Port == 0 {
		c.Port = 143
		if c.TLS == tlsImplicit {
			c.Port = 993
		}
	}
	in := &imapInput{config: *c, log: env.Log, version: env.Version}
	in.connect = in.config.serverSettings.connect
	return in, nil
}

// imapInput reads one folder by IMAP (RFC 3501). UIDs only grow, so the state is the one that comes next and the few
// messages still to be cleared away or tried again. Where the server can, it says when a message comes (IDLE, RFC 2177);
// the folder is looked at every poll anyway.
type imapInput struct {
	config  imapConfig
	log     *slog.Logger
	connect func(context.Context) (net.Conn, error) // with the deadline of the first operation
	broke   imap.UID                                // the message at which the last session broke: put off
	where   atomic.Pointer[inputs.Position]
	version string // of this program

	saidPending bool // that messages can't be cleared away
}

func (p *imapInput) String() string {
	return p.config.serverSettings.String() + ", folder " + p.config.Folder
}

// Report tells how many messages are still to be read.
func (p *imapInput) Report() inputs.Position {
	if w := p.where.Load(); w != nil {
		return *w
	}
	return inputs.Position{At: p.String(), Lag: -1, Unit: "messages"}
}

// Run reads until ctx ends. A server that can't be reached or used is an error at once.
func (p *imapInput) Run(ctx context.Context, sink inputs.Sink) error {
	for first := true; ctx.Err() == nil; first = false {
		if err := p.session(ctx, sink, first); err != nil && ctx.Err() == nil {
			return err
		}
		pause(ctx, p.config.Poll.Std())
	}
	return nil
}

// session reads what is there and, where the server tells of new messages, stays. The first one commits once the server
// works, be it nothing.
func (p *imapInput) session(ctx context.Context, sink inputs.Sink, first bool) error {
	state, err := loadIMAPState(sink)
	if err != nil {
		return err
	}
	s, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	s.sink, s.state, s.changed = sink, state, first
	for {
		began := time.Now()
		if err := s.read(ctx); err != nil {
			return err
		}
		if !s.caps.Has(imap.CapIdle) {
			s.logout()
			return nil
		}
		if err := s.idle(ctx); errors.Is(err, errHungUp) { // and is asked again at the next poll
			return nil
		} else if err != nil || ctx.Err() != nil {
			return err
		}
		pause(ctx, max(0, minMailPoll-time.Since(began))) // a server may tell without end
	}
}

// Probe logs in, looks at the folder and logs out.
func (p *imapInput) Probe(ctx context.Context) error {
	s, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	s.state = &imapState{}
	if err := s.selectFolder(); err != nil {
		return err
	}
	s.logout()
	return nil
}

// imapState is what is known of the folder; the checkpoint holds it under these keys.
type imapState struct {
	validity uint32     // "uidvalidity": what the UIDs belong to
	next     imap.UID   // "next": all below is committed, but for
	retry    []imap.UID // "retry": what the server did not give
	toClear  []imap.UID // "doomed": committed, and to be cleared away
}

func loadIMAPState(sink inputs.Sink) (*imapState, error) {
	checkpoint, err := sink.Checkpoint()
	if err != nil {
		return nil, err
	}
	number := func(key string) (n uint64) {
		if checkpoint[key] != "" && err == nil {
			n, err = strconv.ParseUint(checkpoint[key], 10, 32)
		}
		return n
	}
	s := &imapState{validity: uint32(number("uidvalidity")), next: imap.UID(number("next"))}
	for key, to := range map[string]*[]imap.UID{"retry": &s.retry, "doomed": &s.toClear} {
		for word := range strings.FieldsSeq(checkpoint[key]) {
			n, perr := strconv.ParseUint(word, 10, 32)
			if perr != nil {
				err = perr
			}
			*to = append(*to, imap.UID(n))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	return s, nil
}

func (s *imapState) checkpoint() map[string]string {
	words := func(uids []imap.UID) string {
		var b strings.Builder
		for _, uid := range uids {
			fmt.Fprintf(&b, "%d ", uid)
		}
		return strings.TrimSpace(b.String())
	}
	return map[string]string{
		"uidvalidity": strconv.FormatUint(uint64(s.validity), 10), "next": strconv.FormatUint(uint64(s.next), 10),
		"retry": words(s.retry), "doomed": words(s.toClear),
	}
}
