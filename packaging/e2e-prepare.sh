#!/bin/sh
# Builds and installs what the end-to-end tests work with, before the clock of any test runs: the daemon, the Debian
# packages of two versions, the test binaries' parts, and the systems to boot. Safe to repeat; only the first run takes
# minutes.
#
#	packaging/e2e-prepare.sh [DIST]    where the daemon and the packages go; default dist/e2e
#
# BOUNCEFEED_E2E_SUITES   the Debian releases; default "bookworm trixie"
#
# Where no Debian can be prepared it says so and goes on, or fails when CI is set.
set -eu
cd "$(dirname "$0")/.."
dist=${1:-dist/e2e}
mkdir -p "$dist"

# Both need the network and the disk more than a processor: beside the builds they cost next to nothing.
trees=
for suite in ${BOUNCEFEED_E2E_SUITES:-bookworm trixie}; do
	packaging/nspawn-root.sh "$suite" >/dev/null &
	trees="$trees $suite:$!"
done

go build -o "$dist/bouncefeed" ./cmd/bouncefeed
for version in 0.0.1 0.0.2; do
	DIST=$dist ARCHES=$(go env GOARCH) VERSION=$version packaging/build-deb.sh >/dev/null
done
go test -c -o /dev/null ./internal/e2e/... >/dev/null

for tree in $trees; do
	wait "${tree#*:}" && continue
	echo "No Debian ${tree%:*} can be booted here: the package is not tested on it." >&2
	[ -z "${CI:-}" ] || exit 1
done
