package agent

import "strings"

// matchAddress says whether address has the form of pattern, in which * stands for anything; case is ignored.
func matchAddress(pattern, address string) bool {
	parts := strings.Split(strings.ToLower(pattern), "*")
	rest := strings.ToLower(address)
	last := len(parts) - 1
	if last == 0 {
		return rest == parts[0]
	}
	rest, ok := strings.CutPrefix(rest, parts[0])
	for _, part := range parts[1:last] {
		i := strings.Index(rest, part)
		if !ok || i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return ok && strings.HasSuffix(rest, parts[last])
}
