package config

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Network is an IP network, "192.0.2.0/24" or "2001:db8::/32", or one address.
type Network struct{ netip.Prefix }

// UnmarshalText accepts a network or an address.
func (n *Network) UnmarshalText(text []byte) (err error) {
	if addr, err := netip.ParseAddr(string(text)); err == nil {
		n.Prefix, err = addr.Prefix(addr.BitLen())
		return err
	}
	if n.Prefix, err = netip.ParsePrefix(string(text)); err != nil {
		return fmt.Errorf("%q is no network: write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32", text)
	}
	n.Prefix = n.Masked()
	return nil
}

// Networks are several.
type Networks []Network

// Contain says whether addr is in one of them, be it written as IPv4 or as that mapped to IPv6.
func (all Networks) Contain(addr netip.Addr) bool {
	addr = addr.Unmap()
	for _, n := range all {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

// PrivateNetworks are this host and the networks that reach nobody outside: of RFC 1918, 4193, 6598 and link-local ones.
func PrivateNetworks() Networks {
	var all Networks
	for _, s := range []string{
		"127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10",
	} {
		all = append(all, Network{netip.MustParsePrefix(s)})
	}
	return all
}

// IsLoopback says whether host, a name or an address, is this machine's own loopback.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
