#!/bin/sh
# Builds dist/bouncefeed_VERSION_ARCH.deb: a static binary, packaged by nfpm. The same commit gives the same bytes.
#
# VERSION            default: git describe; without a tag 0.1.0~git…, which sorts before the first release
# ARCHES             default: "amd64 arm64"
# SOURCE_DATE_EPOCH  default: the time of the last commit
# MAINTAINER         default: the last commit's author
# DIST               where the packages go; default dist
set -eu
cd "$(dirname "$0")/.."

describe() {
	git describe --tags --dirty=+dirty 2>/dev/null ||
		TZ=UTC git log -1 --date=format-local:%Y%m%d%H%M --format='0.1.0~git%cd.%h' 2>/dev/null || echo 0.1.0~unknown
}
VERSION=${VERSION:-$(describe)}
# Debian's spelling: starts with a digit, and no hyphen, which would begin a package revision.
VERSION=$(echo "${VERSION#v}" | sed 's/-/+/; s/-/./g')
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
MAINTAINER=${MAINTAINER:-$(git log -1 --format='%an <%ae>' 2>/dev/null || echo 'nobody <root@localhost>')}
DIST=${DIST:-dist}
STAGE=$(mktemp -d)
trap 'rm -rf "$STAGE"' EXIT
export VERSION SOURCE_DATE_EPOCH MAINTAINER STAGE

ldflags="-s -w -X main.version=$VERSION"

# binary ARCH FILE
binary() {
	CGO_ENABLED=0 GOARCH=$1 go build -trimpath -ldflags "$ldflags" -o "$2" ./cmd/bouncefeed
}

# What the program says of itself, told by the one that runs here.
here=$(go env GOHOSTARCH)
binary "$here" "$STAGE/here"
mkdir "$STAGE/man"
GOARCH=$here CGO_ENABLED=0 go run -trimpath -tags gen -ldflags "$ldflags" ./cmd/bouncefeed gen-man "$STAGE/man"
rm "$STAGE"/man/*-completion*
gzip -9n "$STAGE"/man/*
for shell in bash zsh fish; do
	"$STAGE/here" completion "$shell" >"$STAGE/bouncefeed.$shell"
done

gzip -9n >"$STAGE/changelog.gz" <<END
bouncefeed ($VERSION) unstable; urgency=medium

  * What changed is in /usr/share/doc/bouncefeed/CHANGELOG.md.

 -- $MAINTAINER  $(date -R -u -d "@$SOURCE_DATE_EPOCH")
END

mkdir -p "$DIST"
for ARCH in ${ARCHES:-amd64 arm64}; do
	export ARCH
	if [ "$ARCH" = "$here" ]; then
		cp "$STAGE/here" "$STAGE/bouncefeed"
	else
		binary "$ARCH" "$STAGE/bouncefeed"
	fi
	go tool -modfile=tools/go.mod nfpm package --config packaging/nfpm.yaml --packager deb \
		--target "$DIST/bouncefeed_${VERSION}_$ARCH.deb"
done
