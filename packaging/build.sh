#!/bin/sh
# Builds dist/bouncefeed_VERSION-1_ARCH.deb, dist/bouncefeed-VERSION-1.ARCH.rpm, and for each architecture a bill of
# materials: a static binary, packaged by nfpm. The same commit gives the same bytes.
#
# VERSION            default: git describe; without a tag as 0.1.0~git…, which sorts before the first release
# ARCHES             default: "amd64 arm64"
# FORMATS            default: "deb rpm"
# SOURCE_DATE_EPOCH  default: the time of the last commit
# MAINTAINER         default: the last commit's author
# EXAMPLE            default: config.example.yaml
# DIST               where the packages go; default dist
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=packaging/project
. packaging/project
DIST=${DIST:-dist}
STAGE=$(mktemp -d)
trap 'rm -rf "$STAGE"' EXIT
trap 'exit 1' INT TERM
EXAMPLE=${EXAMPLE:-config.example.yaml}
export STAGE EXAMPLE

ldflags="-s -w -X main.version=$VERSION"

# binary ARCH FILE
binary() {
	CGO_ENABLED=0 GOARCH=$1 go build -trimpath -ldflags "$ldflags" -o "$2" ./cmd/bouncefeed
}

# What the program says of itself, told by the one that runs here.
here=$(go env GOHOSTARCH)
binary "$here" "$STAGE/here"
mkdir "$STAGE/man" "$STAGE/man5"
gen() {
	GOARCH=$here CGO_ENABLED=0 go run -trimpath -tags gen -ldflags "$ldflags" ./cmd/bouncefeed "$@"
}
gen gen-man "$STAGE/man"
gen gen-schema "$STAGE/schema.json"
mv "$STAGE"/man/*.5 "$STAGE/man5"
gzip -9n "$STAGE"/man/* "$STAGE"/man5/*
for shell in bash zsh fish; do
	"$STAGE/here" completion "$shell" >"$STAGE/bouncefeed.$shell"
done

debian_changelog CHANGELOG.md | gzip -9n >"$STAGE/changelog.Debian.gz"
debian_changelog packaging/NEWS news | gzip -9n >"$STAGE/NEWS.Debian.gz"
gzip -9nc CHANGELOG.md >"$STAGE/changelog.gz"

# squeeze DEB has xz itself, which knows machine code, compress what is in the package: a fifth less than by nfpm. See deb(5): a
# package is an ar of debian-binary (4 bytes), control.tar.gz and data.tar, each with a header of 60 bytes, at even offsets.
squeeze() {
	control=$(head -c 130 "$1" | tail -c 10)
	data=$((132 + control + control % 2))
	filter=
	[ "$ARCH" != amd64 ] || filter=--x86 # the one for arm64 is too new for the xz of some who install this
	# shellcheck disable=SC2086 # one word or none
	tail -c "+$((data + 61))" "$1" | xz -T1 $filter --lzma2=preset=6 >"$STAGE/data"
	size=$(wc -c <"$STAGE/data")
	[ $((size % 2)) = 0 ] || echo >>"$STAGE/data"
	{
		head -c "$data" "$1"
		printf '%-16s%-12s%-6s%-6s%-8s%-10s`\n' data.tar.xz "$SOURCE_DATE_EPOCH" 0 0 100644 "$size"
		cat "$STAGE/data"
	} >"$STAGE/deb"
	mv "$STAGE/deb" "$1"
}

mkdir -p "$DIST"
for ARCH in ${ARCHES:-amd64 arm64}; do
	export ARCH
	if [ "$ARCH" = "$here" ]; then
		cp "$STAGE/here" "$STAGE/bouncefeed"
	else
		binary "$ARCH" "$STAGE/bouncefeed"
	fi
	go run ./packaging/bom -binary "$STAGE/bouncefeed" -version "$VERSION" -home "$HOMEPAGE" \
		-copyright "$STAGE/copyright" -sbom "$STAGE/sbom"
	cp "$STAGE/sbom" "$DIST/bouncefeed_${VERSION}_$ARCH.cdx.json"
	gzip -9n -f "$STAGE/sbom"
	for format in ${FORMATS:-deb rpm}; do
		case $format-$ARCH in
		rpm-amd64) name=bouncefeed-$VERSION-1.x86_64.rpm ;;
		rpm-arm64) name=bouncefeed-$VERSION-1.aarch64.rpm ;;
		*) name=bouncefeed_$VERSION-1_$ARCH.deb ;;
		esac
		go tool -modfile=tools/go.mod nfpm package --config packaging/nfpm.yaml --packager "$format" --target "$DIST/$name"
		[ "$format" != deb ] || squeeze "$DIST/$name"
	done
done
