package config

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// TLS names a listener's certificate.
type TLS struct {
	Cert string `yaml:"cert"` // PEM file with the chain
	Key  string `yaml:"key"`  // PEM file
}

// Set says whether the configuration names one.
func (t TLS) Set() bool { return t.Cert != "" }

// Whole says whether it names both files, or none.
func (t TLS) Whole() bool { return (t.Cert == "") == (t.Key == "") }

// Certificate is read when a client first comes, and again when its files have changed. One that can't be read leaves
// the last in use.
type Certificate struct {
	files TLS
	log   *slog.Logger

	mu     sync.Mutex
	loaded *tls.Certificate
	at     [2]time.Time // modification times of what is loaded
	looked time.Time
}

const certificateLook = time.Second

// NewCertificate is the one that files names.
func NewCertificate(files TLS, log *slog.Logger) *Certificate {
	return &Certificate{files: files, log: log}
}

// Listener has TLS on what inner accepts.
func (c *Certificate) Listener(inner net.Listener) net.Listener {
	return tls.NewListener(inner, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get})
}

func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) > certificateLook {
		c.looked = now
		if at := c.modified(); c.loaded == nil || at != c.at {
			fresh, err := c.files.Load()
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

func (c *Certificate) modified() (at [2]time.Time) {
	for i, file := range []string{c.files.Cert, c.files.Key} {
		if info, err := os.Stat(file); err == nil {
			at[i] = info.ModTime()
		}
	}
	return at
}

// Load reads the files.
func (t TLS) Load() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("load certificate %s: %w", t.Cert, err)
	}
	return &pair, nil
}
