#!/bin/sh
# Install what the end-to-end tests run: real servers, from the distribution. Safe to repeat; does nothing once
# everything is there. The tests start the servers themselves, with configurations and namespaces of their own: no
# service is started here, and nothing under /etc is edited.
#
# Debian 12 and 13, as root or with a sudo that asks for no password. Elsewhere it says what to install and ends with 0,
# or with 1 when CI is set: there a missing server is a failure.
set -eu

# A file of the package, and the package.
wanted='
/usr/sbin/postfix               postfix
/usr/sbin/rsyslogd              rsyslog
/usr/lib/dovecot/pop3           dovecot-pop3d
/usr/lib/dovecot/imap           dovecot-imapd
/usr/sbin/logrotate             logrotate
/usr/sbin/dnsmasq               dnsmasq-base
/usr/sbin/nginx                 nginx-light
/usr/sbin/ip                    iproute2
/usr/sbin/debootstrap           debootstrap
/usr/bin/systemd-nspawn         systemd-container
/usr/bin/xz                     xz-utils
/usr/bin/zstd                   zstd
/usr/bin/journalctl             systemd
/usr/lib/systemd/systemd-journal-remote  systemd-journal-remote
/usr/share/zoneinfo/Asia/Tokyo  tzdata
'

# Debian lets no two mail servers be installed beside each other: Exim is only unpacked, and its libraries installed.
exim=/var/cache/bouncefeed-e2e/exim4

missing=$(echo "$wanted" | while read -r file package; do
	[ -z "$file" ] || [ -e "$file" ] || printf '%s ' "$package"
done)
[ -n "$missing" ] || [ ! -x $exim/usr/sbin/exim4 ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then as_root='sudo -n'; fi
if ! command -v apt-get >/dev/null || ! $as_root true 2>/dev/null; then
	echo "The end-to-end tests need these Debian packages, and this is no root shell with apt: $missing(and Exim, unpacked)" >&2
	echo "Install them, or go on: those tests are skipped." >&2
	[ -z "${CI:-}" ] || exit 1
	exit 0
fi

# Package scripts ask policy-rc.d whether a service may start: 101 is no. An admin's own policy stays as it is.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap '$as_root rm -f $policy' EXIT
	printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
	$as_root chmod 755 $policy
fi

apt() {
	# shellcheck disable=SC2086 # a list of words
	$as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 --no-install-recommends "$@"
}
unpack_exim() {
	[ ! -x $exim/usr/sbin/exim4 ] || return 0
	libraries=$(apt-cache depends exim4-daemon-light | sed -n 's/^ *Depends: \(lib[^ ]*\)$/\1/p')
	[ -n "$libraries" ] || return 1 # no package lists yet
	# shellcheck disable=SC2086 # a list of words
	apt install $libraries || return 1
	dir=$(mktemp -d)
	(
		cd "$dir" && apt-get -q -o APT::Sandbox::User=root download exim4-daemon-light && $as_root mkdir -p $exim &&
			$as_root dpkg -x ./exim4-daemon-light_*.deb $exim &&
			$as_root chmod u-s $exim/usr/sbin/exim4 # no second way to root on this machine
	)
	ended=$?
	rm -rf "$dir"
	return $ended
}

# shellcheck disable=SC2086 # a list of words
install_all() {
	if [ -n "$missing" ]; then
		echo "Installing for the end-to-end tests: $missing"
		apt install $missing || return 1
	fi
	unpack_exim
}

echo 'postfix postfix/main_mailer_type select No configuration' | $as_root debconf-set-selections
install_all || { apt update && install_all; }
