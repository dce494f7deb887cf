#!/bin/sh
# Prepares a Debian with systemd, rsyslog and Postfix for tests that boot it, and prints its directory. The tree is kept
# and never booted itself: tests lay an overlay over it. Needs root, debootstrap and a Debian mirror.
#
#	packaging/nspawn-root.sh [SUITE]        SUITE: bookworm (default), trixie
#	packaging/nspawn-root.sh --where SUITE  prints the directory of a tree that is there already, or fails
#
# DEBIAN_MIRROR       where packages come from; default http://deb.debian.org/debian
# XDG_CACHE_HOME      where trees are kept (in bouncefeed-test/); default /var/cache
set -eu

prepare=yes
if [ "${1:-}" = --where ]; then
	prepare=
	shift
fi
suite=${1:-bookworm}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
cache=${XDG_CACHE_HOME:-/var/cache}/bouncefeed-test

packages=systemd,systemd-sysv,dbus,rsyslog,logrotate,iproute2,procps,postfix

# The name carries a hash of the package list: another list makes a new tree.
root=$cache/$suite-$(echo "$packages" | sha256sum | cut -c1-12)
if [ -z "$prepare" ]; then
	[ ! -d "$root" ] || exec echo "$root"
	exit 1
fi
mkdir -p "$cache"
exec 9>"$root.lock"
flock 9
if [ ! -d "$root" ]; then
	rm -rf --one-file-system "$root.partial"
	DEBIAN_FRONTEND=noninteractive debootstrap --variant=minbase --include="$packages" \
		"$suite" "$root.partial" "$mirror" >"$root.log" 2>&1 || { tail -20 "$root.log" >&2; exit 1; }
	rm -rf "$root.partial"/var/cache/apt/archives/*.deb
	: >"$root.partial/etc/machine-id"
	mv "$root.partial" "$root"
fi
echo "$root"
