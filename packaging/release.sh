#!/bin/sh
# Builds all that a release is, twice, and compares: the packages, the source package, bills of materials; with checksums,
# their signature, and the release's part of CHANGELOG.md as notes. A licence that nobody has judged fails it.
#
# VERSION   default: the tag of the commit
# HOMEPAGE  where the project is, if packaging/project does not say
# KEY       what signs: a file with a secret key, or what gpg knows it by; without it nothing is signed
# DIST      where it goes; default dist/release
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=packaging/project
. packaging/project
DIST=${DIST:-dist/release}

case $VERSION in
*+* | *~*) echo "$VERSION is no release: tag the commit, v0.1.0, or set VERSION" >&2; exit 1 ;;
esac
[ "$HOMEPAGE" != "$PLACEHOLDER" ] ||
	{ echo "packaging/project has no address of the project yet: write it there, or set HOMEPAGE." >&2; exit 1; }
[ -z "$(git status --porcelain)" ] || { echo "The working tree has changes that no commit has." >&2; exit 1; }
notes=$(awk -v v="[$VERSION]" '/^## /{on = $2 == v; next} on' CHANGELOG.md)
[ -n "$notes" ] || { echo "CHANGELOG.md has no section \"## [$VERSION] - DATE\"." >&2; exit 1; }

again=$(mktemp -d)
trap 'rm -rf "$again"' EXIT
trap 'exit 1' INT TERM
rm -rf "$DIST"
for dist in "$DIST" "$again"; do
	mkdir -p "$dist"
	DIST=$dist packaging/build.sh
	DIST=$dist packaging/source.sh
done
diff -r "$DIST" "$again" || { echo "The same commit has given other bytes." >&2; exit 1; }

echo "$notes" >"$DIST/NOTES.md"
cd "$DIST"
sha256sum -- * >"$again/SHA256SUMS"
mv "$again/SHA256SUMS" .
if [ -n "${KEY:-}" ]; then
	if [ -f "$KEY" ]; then
		GNUPGHOME=$again/gnupg
		export GNUPGHOME
		mkdir -m 700 "$GNUPGHOME"
		gpg -q --batch --import "$KEY"
		KEY=$(gpg --batch --list-secret-keys --with-colons | sed -n '/^fpr/{s/^fpr:*\([^:]*\):.*/\1/p;q}')
	fi
	gpg -q --batch --yes --local-user "$KEY" --armor --detach-sign --output SHA256SUMS.asc SHA256SUMS
	[ -z "${GNUPGHOME:-}" ] || gpgconf --kill gpg-agent
fi
cat SHA256SUMS
