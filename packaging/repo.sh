#!/bin/sh
# Makes, or adds to, a directory that a web server can offer as a package repository: apt's in deb/, dnf's in rpm/, both
# signed, with the files that a user needs: key, bouncefeed.sources, bouncefeed.repo, and what lets unattended-upgrades
# take new versions. Files of the same name and other content are refused: a version is published once.
#
#	packaging/repo.sh OUT PACKAGE…
#
# KEY    the signing key: a file with the secret key, or what gpg knows it by
# URL    where OUT will be, such as https://packages.example.org/bouncefeed
#
# Needs apt-ftparchive (apt-utils) and gpg; for .rpm files createrepo_c and rpmsign (rpm).
set -eu

out=${1:?OUT and packages}
shift
: "${KEY:?the signing key}" "${URL:?where the repository will be}"
URL=${URL%/}
mkdir -p "$out"
out=$(cd "$out" && pwd)
unsigned=$out/.unsigned

if [ -f "$KEY" ]; then
	GNUPGHOME=$(mktemp -d)
	export GNUPGHOME
	trap 'gpgconf --kill gpg-agent 2>/dev/null || true; rm -rf "$GNUPGHOME"' EXIT
	gpg -q --batch --import "$KEY"
	KEY=$(gpg --batch --list-secret-keys --with-colons | sed -n '/^fpr/{s/^fpr:*\([^:]*\):.*/\1/p;q}')
fi
gpg -q --batch --yes --armor --output "$out/bouncefeed.asc" --export "$KEY"
sign() { gpg -q --batch --yes --local-user "$KEY" --digest-algo SHA512 "$@"; }

# publish FILE DIR
publish() {
	mkdir -p "$2"
	to=$2/$(basename "$1")
	if cmp -s "$1" "$unsigned/$(basename "$1")" 2>/dev/null; then return; fi # an .rpm, which has become another by its signature
	if [ -e "$to" ]; then
		cmp -s "$1" "$to" || { echo "$to is there already, and another" >&2; return 1; }
		return
	fi
	cp "$1" "$to"
}
for package in "$@"; do
	case $package in
	*.deb) publish "$package" "$out/deb/pool/main/b/bouncefeed" ;;
	*.rpm) publish "$package" "$out/rpm" ;;
	*) echo "$package: neither .deb nor .rpm" >&2; exit 1 ;;
	esac
done

# Each index is there by its hash, too, so that a client that reads during an update finds what the Release file it has
# speaks of. Those of earlier releases stay.
apt_repository() {
	cd "$out/deb"
	dist=dists/stable
	for arch in amd64 arm64; do
		dir=$dist/main/binary-$arch
		mkdir -p "$dir/by-hash/SHA256"
		apt-ftparchive --arch $arch packages pool >"$dir/Packages"
		gzip -9nkf "$dir/Packages"
		xz -9kf "$dir/Packages"
		for index in Packages Packages.gz Packages.xz; do
			cp "$dir/$index" "$dir/by-hash/SHA256/$(sha256sum <"$dir/$index" | cut -d' ' -f1)"
		done
	done
	set -- -o APT::FTPArchive::Release::Origin=bouncefeed -o APT::FTPArchive::Release::Label=bouncefeed \
		-o APT::FTPArchive::Release::Suite=stable -o APT::FTPArchive::Release::Codename=stable \
		-o APT::FTPArchive::Release::Architectures='amd64 arm64' -o APT::FTPArchive::Release::Components=main
	rm -f $dist/Release $dist/InRelease $dist/Release.gpg
	apt-ftparchive "$@" release $dist >Release.new
	echo 'Acquire-By-Hash: yes' >>Release.new
	sign --clearsign --output $dist/InRelease Release.new
	sign --armor --detach-sign --output $dist/Release.gpg Release.new
	mv Release.new $dist/Release

	cat >"$out/bouncefeed.sources" <<END
Types: deb
URIs: $URL/deb
Suites: stable
Components: main
Signed-By: /etc/apt/keyrings/bouncefeed.asc
END
	cat >"$out/51unattended-upgrades-bouncefeed" <<'END'
// New versions by night: put this file into /etc/apt/apt.conf.d.
Unattended-Upgrade::Origins-Pattern { "origin=bouncefeed,suite=stable"; };
END
}

rpm_repository() {
	cd "$out/rpm"
	for rpm in *.rpm; do
		[ ! -e "$unsigned/$rpm" ] || continue
		cp "$rpm" "$rpm.new"
		rpmsign --define "_gpg_name $KEY" --define "__gpg $(command -v gpg)" --addsign "$rpm.new" >/dev/null
		mkdir -p "$unsigned"
		mv "$rpm" "$unsigned/$rpm"
		mv "$rpm.new" "$rpm"
	done
	createrepo_c -q --update .
	sign --armor --detach-sign --output repodata/repomd.xml.asc repodata/repomd.xml
	cat >"$out/bouncefeed.repo" <<END
[bouncefeed]
name=bouncefeed
baseurl=$URL/rpm
gpgkey=$URL/bouncefeed.asc
gpgcheck=1
repo_gpgcheck=1
enabled=1
END
}

[ ! -d "$out/deb" ] || (apt_repository)
[ ! -d "$out/rpm" ] || (rpm_repository)
