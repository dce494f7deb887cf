package mailbox

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/config"
)

type pop3Config struct {
	mailSettings   `yaml:",inline"`
	serverSettings `yaml:",inline"`
}

const tlsUpgradePOP3 = "stls" // RFC 2595

func init() {
	inputs.Register("pop3", pop3Config{
		mailSettings:   mailSettings{Settings: inputs.Settings{Parser: config.Section{Type: "mail"}}, After: afterLeave},
		serverSettings: serverSettings{TLS: tlsImplicit, Auth: authPassword, Poll: config.Duration(5 * time.Minute)},
	}, buildPOP3)
}

func buildPOP3(env config.Env, section config.Section, c *pop3Config) (inputs.Input, error) {
	if err := config.Join("", c.mailSettings.check(section), c.serverSettings.check(section, tlsUpgradePOP3)); err != nil {
		return nil, err
	}
	if c.Port == 0 {
		c.Port = 110
		if c.TLS == tlsImplicit {
			c.Port = 995
		}
	}
	p := &pop3Input{mailbox: c.mailSettings, server: &c.serverSettings, log: env.Log}
	p.connect = p.server.connect
	return p, nil
}

// pop3Input reads one mailbox by POP3 (RFC 1939), polling. A message is known by its UIDL, so that one that stays on the
// server is not fetched again. A message to be deleted is committed first, with its UIDL and what its header looks like
// in the same transaction. A session cut before the server's answer to QUIT leaves it there: the next one deletes it,
// unless another message goes by that UIDL meanwhile, which is then read.
//
// A server without UIDL is asked for every header at every poll (TOP), which suits small mailboxes only.
type pop3Input struct {
	mailbox mailSettings
	server  *serverSettings
	log     *slog.Logger
	connect func(context.Context) (net.Conn, error) // with the deadline of the first operation
	slow    map[uint64]bool                         // messages that broke a session: tried last
	warned  int                                     // how many messages the server was last said to refuse
	where   atomic.Pointer[inputs.Position]
}

func (p *pop3Input) String() string { return p.server.String() }

// Report tells how many messages are still to be read.
func (p *pop3Input) Report() inputs.Position {
	if w := p.where.Load(); w != nil {
		return *w
	}
	return inputs.Position{At: p.String(), Lag: -1, Unit: "messages"}
}

// Run polls until ctx ends. A server that can't be reached or used is an error at once.
func (p *pop3Input) Run(ctx context.Context, sink inputs.Sink) error {
	for started := false; ; started = true {
		again, err := p.poll(ctx, sink, !started)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if !again && !pause(ctx, p.server.Poll.Std()) {
			return nil
		}
	}
}

// poll is one session. again says that there is more to read than one session takes. The first session that
// works commits, be it nothing.
func (p *pop3Input) poll(ctx context.Context, sink inputs.Sink, first bool) (again bool, err error) {
	batch, err := newMailBatch(&p.mailbox, sink)
	if err != nil {
		return false, err
	}
	s, err := p.open(ctx)
	if err != nil {
		return false, err
	}
	defer s.close()
	batch.changed = first
	s.mailBatch = batch
	return s.work(ctx)
}

// Probe logs in and out.
func (p *pop3Input) Probe(ctx context.Context) error {
	s, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if _, _, err := s.list(); err != nil {
		return err
	}
	return s.pop.Quit()
}
