#!/bin/sh
# Fetches what looks at the page in the tests of `make page`: a Debian with Chromium (packaging/test-root.sh browser), and from
# npm axe-core, which looks for what keeps people out, and the W3C's Nu Html Checker. They are kept in the same cache, by
# version and hash, and belong to no package. Needs root and npm; prints nothing. Safe to repeat: only the first run takes
# minutes, and 200 MB.
#
#	packaging/page-prepare.sh
set -eu
cd "$(dirname "$0")/.."
root=$(packaging/test-root.sh browser)
cache=$(dirname "$root")

# fetch NAME VERSION SHA512 FILE: one file of an npm package, as NAME-VERSION in the cache. The hash is the package's.
fetch() {
	to=$cache/$1-$2
	[ -e "$to" ] && return
	work=$(mktemp -d)
	(cd "$work" && npm pack --silent "$1@$2" >/dev/null && echo "$3  $1-$2.tgz" | sha512sum --quiet -c && tar xzf "$1-$2.tgz")
	mv "$work/package/$4" "$to.partial"
	mv "$to.partial" "$to"
	rm -rf "$work"
}
fetch axe-core 4.14.1 1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5 axe.min.js
fetch vnu-jar 26.9.27 4e441de4315f39a582f5e6edbe8cd3b2b1f655aa1dde3620faface791133217c417b12f3f7ead2d8336d8e7efe44f5226618258b44a0860057e9125135e6b428 build/dist/vnu.jar
