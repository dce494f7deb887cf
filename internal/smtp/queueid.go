package smtp

// EximIDLength is the length of the message id of Exim that s begins with, 0 if there is none. Since 4.97 the second part
// has 11 digits and the third 4. Which byte may follow is the caller's business.
//
//	1xV1UT-0001VG-2g   1tJ2Yb-00000000abc-1a2B
func EximIDLength[S ~string | ~[]byte](s S) int {
	for _, dashes := range [2][2]int{{13, 16}, {18, 23}} {
		if n := dashes[1]; len(s) >= n && s[6] == '-' && s[dashes[0]] == '-' && base62(s[:6]) && base62(s[7:dashes[0]]) && base62(s[dashes[0]+1:n]) {
			return n
		}
	}
	return 0
}

func base62[S ~string | ~[]byte](s S) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}
