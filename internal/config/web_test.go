package config

import (
	"strings"
	"testing"
)

// What would show strangers what is not theirs to see, or can't work, is refused with a remedy.
func TestWeb(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "",
		"{listen: 127.0.0.1:8026}":              "",
		"{listen: 'unix:/run/web.sock'}":        "",
		"{listen: ['[::1]:8026', localhost:1]}": "",
		"{listen: ':8026'}":                     "b.yaml:1:15: web.listen: other machines reach this address, and there is no password",
		"{listen: 127.0.0.1.evil.example:1}":    "there is no password",
		"{listen: [127.0.0.1:1, 192.0.2.1:2]}":  "there is no password",
		"{listen: ':1', password_file: /p}":     "the password would cross the network readable to all",
		"{listen: ':1', password_file: /p, insecure_http: true}":      "",
		"{listen: ':1', password_file: /p, tls: {cert: /c, key: /k}}": "",
		"{listen: ':1', password_file: /p, tls: {cert: /c}}":          "b.yaml:1:45: web.tls: takes both cert and key",
		"{listen: 8026}":            `web.listen[0]: "8026" is no address with its port: write 127.0.0.1:8026`,
		"{listen: 'unix:web.sock'}": "the path of a socket begins with /",
		"{listen: 'unix:/" + strings.Repeat("x", maxSocket) + "'}":      "is longer than the 107 bytes",
		"{listen: 'localhost:1', hosts: ['https://mail.example.net/']}": "web.hosts[0]: \"https://mail.example.net/\" is no host name",
		"{listen: 'localhost:1', hosts: [mail.example.net, '*.net']}":   "web.hosts[1]:",
		"{listen: 'localhost:1', password: x}":                          "may not stand in the configuration",
	} {
		file := "web: " + text + "\n"
		if text == "" {
			file = "log: {level: info}\n"
		}
		c, err := Parse("b.yaml", []byte(file))
		switch {
		case want == "" && (err != nil || c.Web.On() != (text != "")):
			t.Errorf("%s: %v, %v", text, c.Web.On(), err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, not %s", text, err, want)
		}
	}
}
