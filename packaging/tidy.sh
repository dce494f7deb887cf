#!/bin/sh
# Runs a command whose temporary files are to be gone afterwards, however it ends: by a time-out or a panic, too.
#
#	packaging/tidy.sh COMMAND…
set -eu
TMPDIR=$(mktemp -d /tmp/bf.XXXXXX) # short: sockets are in there
export TMPDIR
chmod 755 "$TMPDIR" # servers run as users of their own
tidy() {
	chmod -R u+rwX "$TMPDIR" 2>/dev/null || true
	rm -rf --one-file-system "$TMPDIR"
}
trap tidy EXIT
trap 'exit 1' HUP INT TERM
"$@"
