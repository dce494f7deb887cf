# Makes Debian's changelog of CHANGELOG.md, a stanza for each release; and NEWS.Debian of packaging/NEWS, with news=1. What is
# unreleased, or stands under a release that is still to come, is the version being built.
#
#	awk -v version=0.1.0-1 -v coming= -v news= -v maintainer='NAME <ADDRESS>' -v date='RFC 5322' -f packaging/changelog.awk CHANGELOG.md

# flush prints an entry in lines of at most 76 columns.
function flush(    words, n, i, line) {
	if (entry == "") return
	n = split(entry, words, " ")
	line = news ? " " : "  *"
	for (i = 1; i <= n; i++) {
		if (length(line) + length(words[i]) + 1 > 76) {
			print line
			line = news ? " " : "   "
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
	if (v == version) built = 1
}

# between begins the version being built where no release has its name.
function between() {
	if (built || news) return
	begin(version, date)
	print "  * Built between releases."
}

/^## \[Unreleased\]/ { pending = 1; next }
/^## \[/ {
	pending = 0
	v = $2
	gsub(/[][]/, "", v)
	if (v == coming) { begin(version, date); next }
	if (v "-1" != version) between()
	("date -R -u -d " $4) | getline d
	begin(v "-1", d)
	next
}
/^### / { flush(); if (pending) { begin(version, date); pending = 0 }; next }
open && /^- / { flush(); entry = substr($0, 3); next }
open && /^  / { entry = entry " " substr($0, 3) }
END { between(); finish() }
