package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Alerts is the section `alerts`: who is told of findings, by a request of their own. A mail might not arrive.
type Alerts struct {
	URL      string `yaml:"url"`
	Username string `yaml:"username"`
	Password Secret `yaml:"password"`
	Secret   Secret `yaml:"secret"` // signs each request (Standard Webhooks)
	// MinSeverity is the least that is told: info, warning or critical.
	MinSeverity string   `yaml:"min_severity"`
	Timeout     Duration `yaml:"timeout"`
	CAFile      string   `yaml:"ca_file"`
	Proxy       string   `yaml:"proxy"` // as an output's
	// InsecureHTTP allows a login over http:// to another machine.
	InsecureHTTP bool `yaml:"insecure_http"`

	section Section
}

// Severities are the values of `min_severity`, the least first.
func Severities() []string { return []string{"info", "warning", "critical"} }

func defaultAlerts() Alerts {
	return Alerts{MinSeverity: "warning", Timeout: Duration(30 * time.Second)}
}

// On says whether there is such a section.
func (a *Alerts) On() bool { return a.section.node != nil }

// Section is where it stands in the file.
func (a *Alerts) Section() Section { return a.section }

func (a *Alerts) sane(fail func(key, format string, args ...any)) {
	if !slices.Contains(Severities(), a.MinSeverity) {
		fail("alerts.min_severity", "%s", fmt.Sprintf("%q is none of %s", a.MinSeverity, strings.Join(Severities(), ", ")))
	}
}
