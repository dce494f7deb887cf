package webhook

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// webhookTLS names the listeners' certificate.
type webhookTLS struct {
	Cert string `yaml:"cert"` // PEM file with the chain
	Key  string `yaml:"key"`  // PEM file
}

// certificate is read when a client first comes, and again when its files have changed. One that can't be read leaves
// the last in use.
type certificate struct {
	webhookTLS
	log *slog.Logger

	mu     sync.Mutex
	loaded *tls.Certificate
	at     [2]time.Time // modification times of what is loaded
	looked time.Time
}

const certificateLook = time.Second

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) > certificateLook {
		c.looked = now
		if at := c.modified(); c.loaded == nil || at != c.at {
			fresh, err := c.load()
			switch {
			case err == nil:
				c.loaded, c.at = fresh, at
			case c.loaded == nil:
				c.looked = time.Time{}
				c.log.Error("no TLS without a certificate", "error", err)
				return nil, err
			default:
				c.at = at
				c.log.Error("the new certificate can't be used, the old one stays", "error", err)
			}
		}
	}
	return c.loaded, nil
}

func (c *certificate) modified() (at [2]time.Time) {
	for i, file := range []string{c.Cert, c.Key} {
		if info, err := os.Stat(file); err == nil {
			at[i] = info.ModTime()
		}
	}
	return at
}

func (c *certificate) load() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("load certificate %s: %w", c.Cert, err)
	}
	return &pair, nil
}
