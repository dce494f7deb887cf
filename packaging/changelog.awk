# Makes Debian's changelog of CHANGELOG.md: a stanza for each release. What is unreleased is the version being built.
#
#	awk -v version=0.1.0-1 -v maintainer='NAME <ADDRESS>' -v date='RFC 5322' -f packaging/changelog.awk CHANGELOG.md

# flush prints an entry in lines of at most 76 columns.
function flush(    words, n, i, line) {
	if (entry == "") return
	n = split(entry, words, " ")
	line = "  *"
	for (i = 1; i <= n; i++) {
		if (length(line) + length(words[i]) + 1 > 76) {
			print line
			line = "   "
		}
		line = line " " words[i]
	}
	print line
	entry = ""
}

function finish() { flush(); if (open) printf "\n -- %s  %s\n\n", maintainer, when; open = 0 }

function begin(v, d) {
	finish()
	printf "bouncefeed (%s) unstable; urgency=medium\n\n", v
	open = 1
	when = d
}

/^## \[Unreleased\]/ { pending = 1; next }
/^## \[/ {
	v = $2
	gsub(/[][]/, "", v)
	"date -R -u -d " $4 | getline d
	begin(v "-1", d)
	if (v "-1" == version) built = 1
	next
}
/^### / { flush(); if (pending) { begin(version, date); pending = 0; built = 1 }; next }
open && /^- / { flush(); entry = substr($0, 3); next }
open && /^  / { entry = entry " " substr($0, 3) }
END {
	finish()
	if (!built) {
		begin(version, date)
		print "  * Built from a working tree."
		finish()
	}
}
