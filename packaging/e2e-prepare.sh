#!/bin/sh
# Builds and fetches what the end-to-end tests work with, before the clock of any test runs: the daemon, the packages of
# two versions, nats-server, the test binaries' parts, and the Debians that are run and booted. Safe to repeat; only the first run
# takes minutes. Nothing is installed on this machine: the Debians are trees in a cache (packaging/test-root.sh).
#
#	packaging/e2e-prepare.sh [DIST]    where the daemon and the packages go; default dist/e2e
#
# BOUNCEFEED_E2E_SUITES   the Debian releases to boot; default "bookworm trixie"
#
# Where no Debian can be prepared it says so and goes on, or fails when CI is set.
set -eu
cd "$(dirname "$0")/.."
dist=${1:-dist/e2e}
mkdir -p "$dist"

# They need the network and the disk more than a processor: beside the builds they cost next to nothing.
trees=
if [ "$(id -u)" = 0 ]; then
	for kind in servers prometheus ${BOUNCEFEED_E2E_SUITES:-bookworm trixie}; do
		packaging/test-root.sh "$kind" >/dev/null &
		trees="$trees $kind:$!"
	done
else
	echo "Not root: tests with real mail servers and in a booted Debian are skipped." >&2
	[ -z "${CI:-}" ] || exit 1
fi

CGO_ENABLED=0
export CGO_ENABLED
go build -o "$dist/bouncefeed" ./cmd/bouncefeed
# 25 MB with modules of its own, of which the program's go.mod need not know.
go build -modfile=tools/nats-server.mod -trimpath -o "$dist/nats-server" github.com/nats-io/nats-server/v2 || {
	echo "nats-server can't be built here: what needs it is not tested." >&2
	[ -z "${CI:-}" ] || exit 1
}
# The second version comes with another example of a configuration, and in every format.
ARCHES=$(go env GOARCH)
EXAMPLE=$dist/config.example.yaml
export ARCHES DIST="$dist" SOURCE_DATE_EPOCH=1800000000
FORMATS=deb VERSION=0.0.1 packaging/build.sh >/dev/null
(sed 's/^#/# Changed:/' config.example.yaml; echo '# One more line.') >"$EXAMPLE"
EXAMPLE=$EXAMPLE VERSION=0.0.2 packaging/build.sh >/dev/null
go test -c -o /dev/null ./internal/e2e/... >/dev/null

for tree in $trees; do
	wait "${tree#*:}" && continue
	echo "The Debian \"${tree%:*}\" can't be prepared here: what runs in it is not tested." >&2
	[ -z "${CI:-}" ] || exit 1
done
