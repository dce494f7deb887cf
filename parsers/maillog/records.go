package maillog

import (
	"strings"

	"bouncefeed/internal/config"
	"bouncefeed/internal/listmonk"
)

// recordConfig is the section of a log that has a record for each recipient, and among them what strangers mailed:
// bounces that came later by mail, and feedback reports.
type recordConfig struct {
	VERP       string          `yaml:"verp"`       // shape of envelope senders that name the subscriber
	MyNetworks config.Networks `yaml:"mynetworks"` // clients whose header fields are believed
	Trust      string          `yaml:"trust"`      // of what strangers mailed: proof, or any
}

var defaultRecords = recordConfig{VERP: listmonk.DefaultVERP, MyNetworks: config.PrivateNetworks(), Trust: "proof"}

func (c *recordConfig) check(section config.Section) (v listmonk.VERP, err error) {
	if v, err = listmonk.NewVERP(c.VERP); err != nil {
		return v, section.Errorf("verp", "%v", err)
	}
	if c.Trust != "proof" && c.Trust != "any" {
		return v, section.Errorf("trust", "%q is neither proof nor any", c.Trust)
	}
	return v, nil
}

// isForeign says whether a client is told and none of ours: "192.0.2.7", "mail.example.org (192.0.2.7)".
func (c *recordConfig) isForeign(client string) bool {
	if client == "" {
		return false
	}
	if _, inner, ok := strings.Cut(client, "("); ok {
		client, _, _ = strings.Cut(inner, ")")
	}
	t := tracker{mynetworks: c.MyNetworks}
	return t.askForeign("[" + client + "]")
}
