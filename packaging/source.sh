#!/bin/sh
# Makes a Debian source package of the last commit, with the modules vendored: DIST/bouncefeed_VERSION-1.dsc and what
# belongs to it. dpkg-buildpackage builds it without a network. The same commit gives the same bytes.
#
# DIST   where it goes; default dist
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=packaging/project
. packaging/project
DIST=${DIST:-dist}
mkdir -p "$DIST"
dist=$(cd "$DIST" && pwd)
STAGE=$(mktemp -d)
trap 'rm -rf "$STAGE"' EXIT
trap 'exit 1' INT TERM

tree=$STAGE/bouncefeed-$VERSION
mkdir "$tree"
git archive HEAD | tar -x -C "$tree"
(cd "$tree" && go mod vendor)
find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
tar -C "$STAGE" --sort=name --owner=0 --group=0 --numeric-owner --pax-option=delete=atime,delete=ctime \
	--mtime="@$SOURCE_DATE_EPOCH" -cf - "bouncefeed-$VERSION" | xz -6 -T1 >"$dist/bouncefeed_$VERSION.orig.tar.xz"

cp -a packaging/debian "$tree/debian"
mkdir "$tree/debian/sysusers"
cp packaging/bouncefeed.sysusers "$tree/debian/sysusers/bouncefeed.conf"
for script in postinst prerm postrm; do
	(cat packaging/$script; echo; echo '#DEBHELPER#') >"$tree/debian/bouncefeed.$script"
done
sed '/^bouncefeed: unknown-field\|^# Not built by Debian\|^bouncefeed: bugs-field/d' packaging/lintian-overrides >"$tree/debian/bouncefeed.lintian-overrides"
sed -i "s|MAINTAINER|$MAINTAINER|; s|HOMEPAGE|$HOMEPAGE|; s|VCS|$VCS|" "$tree/debian/control"
go build -trimpath -ldflags "-X main.version=$VERSION" -o "$STAGE/binary" ./cmd/bouncefeed
go run ./packaging/bom -binary "$STAGE/binary" -home "$HOMEPAGE" -copyright "$tree/debian/copyright"
debian_changelog CHANGELOG.md >"$tree/debian/changelog"
debian_changelog packaging/NEWS news >"$tree/debian/NEWS"
find "$tree/debian" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
cp "$dist/bouncefeed_$VERSION.orig.tar.xz" "$STAGE"
(cd "$STAGE" && SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH dpkg-source -b "bouncefeed-$VERSION" >/dev/null)
cp "$STAGE/bouncefeed_$VERSION-1.dsc" "$STAGE/bouncefeed_$VERSION-1.debian.tar.xz" "$dist"
