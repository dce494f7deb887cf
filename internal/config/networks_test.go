package config

import (
	"net/netip"
	"strings"
	"testing"
)

func TestNetworks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "192.0.2.77/24": "192.0.2.0/24", "2001:db8::1/32": "2001:db8::/32", "::1": "::1/128",
		"somewhere": "", "10.0.0.0/99": "", "10.0.0": "", "": "", "192.0.2.0/24/24": "",
	} {
		var n Network
		err := n.UnmarshalText([]byte(text))
		if want == "" && (err == nil || !strings.Contains(err.Error(), "is no network")) || want != "" && (err != nil || n.String() != want) {
			t.Errorf("%q: %s, %v", text, n, err)
		}
	}
	for addr, want := range map[string]bool{
		"127.0.0.1": true, "172.31.255.255": true, "172.32.0.0": false, "::ffff:10.1.2.3": true, "fe80::1": true, "192.0.2.1": false, "2001:db8::1": false,
	} {
		if got := PrivateNetworks().Contain(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is private: %v", addr, got)
		}
	}
	if (Networks)(nil).Contain(netip.MustParseAddr("127.0.0.1")) || PrivateNetworks().Contain(netip.Addr{}) {
		t.Error("an address is in no network at all")
	}
}

// A mistake in a list has its own place.
func TestNetworksTellTheirPlace(t *testing.T) {
	t.Parallel()
	c, err := Parse("test.yaml", []byte("inputs:\n  log:\n    type: x\n    from: [10.0.0.0/8, here]\n"))
	if err != nil {
		t.Fatal(err)
	}
	var section struct {
		From Networks `yaml:"from"`
	}
	if err := c.Inputs[0].Value.Decode(&section); err == nil || !strings.Contains(err.Error(), `test.yaml:4:24: inputs.log.from[1]: "here" is no network`) {
		t.Error(err)
	}
}
