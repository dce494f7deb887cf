# Read by the scripts of the Debian and the RPM package; installed as /usr/share/bouncefeed/setup.sh.
# shellcheck shell=sh

config=/etc/bouncefeed/config.yaml

# draft_configuration writes a first configuration, for the mail servers and logs found here, if there is none; it
# holds no secret. False if there was one, or none could be made.
draft_configuration() {
	if [ -e $config ] || [ -L $config ]; then return 1; fi
	draft=$(mktemp $config.XXXXXX) || return 1
	if bouncefeed init </dev/null >"$draft" 2>/dev/null && chgrp bouncefeed "$draft" && chmod 0640 "$draft" && mv "$draft" $config; then
		echo "bouncefeed: $config is a first draft for this machine. Tell it where listmonk is, and its token:"
		echo "  bouncefeed init && systemctl enable --now bouncefeed"
		return 0
	fi
	rm -f "$draft"
	return 1
}

# accepted says whether the installed version takes the configuration and the queue as they are. If not, it tells the
# mistakes, on stderr and in the journal: an upgrade by night has nobody who looks on.
accepted() {
	if [ ! -e $config ]; then
		echo "bouncefeed: there is no $config: 'bouncefeed init' drafts one" >&2
		return 1
	fi
	! mistakes=$(bouncefeed check 2>&1) || return 0
	{
		echo "bouncefeed: this version does not accept what it finds, so it was not started:"
		echo "$mistakes" | grep -v '^ok '
		echo "bouncefeed: a daemon that ran before goes on. Mend that, then: systemctl restart bouncefeed"
	} | if [ -S /dev/log ] && command -v logger >/dev/null; then logger -s -t bouncefeed -p daemon.err; else cat >&2; fi
	return 1
}

# link_restart has each further restart wait longer, where systemd can: an older one would complain of words it does not
# know, each time it reads the unit.
link_restart() {
	dir=/usr/lib/systemd/system/bouncefeed.service.d
	version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
	if [ "${version:-0}" -ge 254 ]; then
		mkdir -p $dir && ln -sf /usr/share/bouncefeed/restart.conf $dir/restart.conf
	else
		rm -f $dir/restart.conf
	fi
}
