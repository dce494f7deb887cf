#!/bin/sh
# Prepares a Debian for tests in a cache of the project's own, and prints its directory. Nothing is installed on the
# machine itself. The tree is kept and never changed again: tests lay an overlay over it. Needs root, wget, and
# debootstrap or apt, which then fetches debootstrap into the same cache.
#
#	packaging/test-root.sh KIND           KIND: bookworm or trixie, to boot; servers, which the other tests run; browser,
#	                                      which looks at the page; prometheus, whose promtool checks metrics and rules
#	packaging/test-root.sh --where KIND   prints the directory of a tree that is there already, or fails
#	packaging/test-root.sh --clean        removes the cache
#
# DEBIAN_MIRROR       where packages come from; default http://deb.debian.org/debian
# XDG_CACHE_HOME      where trees are kept (in bouncefeed-test/); default /var/cache
set -eu

mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
cache=${XDG_CACHE_HOME:-/var/cache}/bouncefeed-test

action=prepare
case ${1:-} in
--clean)
	rm -rf --one-file-system "$cache" /var/cache/bouncefeed-e2e
	exit
	;;
--where)
	action=where
	shift
	;;
esac
kind=${1:?bookworm, trixie, servers, browser or prometheus}

suite=$kind
packages='systemd systemd-sysv dbus rsyslog logrotate iproute2 procps postfix unattended-upgrades'
mailer='Internet Site' # what Postfix is set up for
spare=exim4-daemon-light # beside Postfix it can't be installed: it is ready in the tree's apt cache
if [ "$kind" = servers ]; then
	suite=bookworm
	mailer='No configuration'
	packages='postfix rsyslog logrotate dovecot-pop3d dovecot-imapd dnsmasq-base nginx-light procps iproute2 tzdata
		systemd systemd-container systemd-journal-remote strace xz-utils zstd
		lintian apt-utils gpg gpg-agent createrepo-c rpm'
fi
if [ "$kind" = browser ]; then
	suite=bookworm
	packages='chromium fonts-noto-core fonts-noto-mono openjdk-17-jre-headless'
	spare=
fi
if [ "$kind" = prometheus ]; then
	suite=bookworm
	packages=
	spare=prometheus # only unpacked: it needs no library of another package
fi

# The name carries a hash of what makes the tree: another list makes a new tree.
root=$cache/$kind-$(echo "4 $suite $packages $spare${mailer#No configuration}" | sha256sum | cut -c1-12)
if [ $action = where ]; then
	[ ! -d "$root" ] || exec echo "$root"
	exit 1
fi

# unpack_debootstrap prints where debootstrap is: the machine's, or one fetched by apt with lists of our own.
unpack_debootstrap() {
	if command -v debootstrap; then return; fi
	own=$cache/debootstrap
	exec 8>"$own.lock"
	flock 8
	if [ ! -x "$own/usr/sbin/debootstrap" ]; then
		rm -rf "$own.partial"
		mkdir -p "$own.partial/lists/partial" "$own.partial/archives/partial"
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main" >"$own.partial/sources.list"
		(
			cd "$own.partial"
			set -- -q -o Dir::State::lists="$PWD/lists" -o Dir::Cache="$PWD" -o Dir::Etc::sourcelist="$PWD/sources.list" \
				-o Dir::Etc::sourceparts=/dev/null -o APT::Sandbox::User=root
			apt-get "$@" update
			apt-get "$@" download debootstrap debian-archive-keyring
			for deb in ./*.deb; do dpkg -x "$deb" .; done
			rm -rf lists archives ./*.bin ./*.deb
		) >"$own.log" 2>&1 || { cat "$own.log" >&2; return 1; }
		mv "$own.partial" "$own"
	fi
	exec 8>&-
	echo "$own/usr/sbin/debootstrap"
}

# base prints where the smallest Debian of the suite is.
base() {
	base=$cache/base-$suite
	exec 7>"$base.lock"
	flock 7
	if [ ! -d "$base" ]; then
		debootstrap=$(unpack_debootstrap)
		share=${debootstrap%/sbin/debootstrap}/share
		keyring=$share/keyrings/debian-archive-keyring.gpg
		[ -e "$keyring" ] || keyring=/usr/share/keyrings/debian-archive-keyring.gpg
		rm -rf --one-file-system "$base.partial"
		DEBOOTSTRAP_DIR=$share/debootstrap "$debootstrap" --variant=minbase --keyring="$keyring" \
			"$suite" "$base.partial" "$mirror" >&2
		rm -rf "$base.partial"/var/cache/apt/archives/*.deb
		mv "$base.partial" "$base"
	fi
	exec 7>&-
	echo "$base"
}

# inside runs a command in the tree, with the machine's network. No service starts: package scripts ask policy-rc.d.
inside() {
	unshare -m --propagation private sh -c 'root=$1; shift
		mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" && mount -t tmpfs tmpfs "$root/run" &&
		mount --bind /etc/resolv.conf "$root/etc/resolv.conf" &&
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
			${http_proxy:+http_proxy=$http_proxy} "$@"' inside "$root.partial" "$@"
}

make_tree() {
	from=$(base)
	rm -rf --one-file-system "$root.partial"
	cp -a --reflink=auto "$from" "$root.partial"
	: >"$root.partial/etc/resolv.conf"
	policy=$root.partial/usr/sbin/policy-rc.d
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	case $packages in *postfix*) echo "postfix postfix/main_mailer_type select $mailer" | inside debconf-set-selections ;; esac
	apt='apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Options::=--force-unsafe-io'
	inside apt-get -q update
	# shellcheck disable=SC2086 # lists of words
	inside $apt install $packages
	if [ "$kind" = servers ]; then
		# Debian lets no two mail servers be installed beside each other: Exim is only unpacked.
		inside sh -ec '"$@" install $(apt-cache depends "$0" | sed -n "s/^ *Depends: \(lib[^ ]*\)$/\1/p")
			cd /tmp && apt-get -q -o APT::Sandbox::User=root download "$0" && dpkg -x ./*.deb /opt/exim4 && rm ./*.deb
			chmod u-s /opt/exim4/usr/sbin/exim4' $spare $apt
		inside apt-get clean
	elif [ "$kind" = browser ]; then
		inside apt-get clean
	elif [ "$kind" = prometheus ]; then
		inside sh -ec 'cd /tmp && apt-get -q -o APT::Sandbox::User=root download "$0" && dpkg -x ./*.deb /opt/prometheus && rm ./*.deb' $spare
	else
		inside apt-get clean
		inside $apt --download-only install $spare
		# Nothing is fetched at a random moment; the tests start these services themselves.
		rm -f "$root.partial"/etc/systemd/system/timers.target.wants/apt-daily*.timer "$root.partial"/etc/apt/sources.list
	fi
	rm -rf "$root.partial"/var/lib/apt/lists/* "$policy"
	: >"$root.partial/etc/machine-id"
}

mkdir -p "$cache"
chmod 700 "$cache" # what is setuid in there is nobody's to run
exec 9>"$root.lock"
flock 9
if [ ! -d "$root" ]; then
	# Not as a condition: there, the shell would go on after what fails.
	make_tree >"$root.log" 2>&1 &
	wait $! || { tail -20 "$root.log" >&2; exit 1; }
	mv "$root.partial" "$root"
fi
echo "$root"
