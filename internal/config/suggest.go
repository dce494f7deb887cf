package config

import (
	"fmt"
	"slices"
	"strings"
)

// synonyms are words that admins know from other programs, and ours for the same.
var synonyms = map[string][]string{
	"dir":       {"path", "directory"},
	"directory": {"path"},
	"driver":    {"type"},
	"dest":      {"url", "path"},
	"email":     {"username"},
	"endpoint":  {"url"},
	"enhanced":  {"status"},
	"exim":      {"logfile"},
	"file":      {"path", "logfile"},
	"filename":  {"path"},
	"folder":    {"path"},
	"format":    {"parser"},
	"from":      {"senders"},
	"full":      {"mailbox_full"},
	"hostname":  {"host"},
	"http":      {"webhook"},
	"https":     {"webhook"},
	"interval":  {"poll"},
	"journal":   {"journald"},
	"kind":      {"type"},
	"log":       {"path", "logfile"},
	"login":     {"username"},
	"loglevel":  {"log"},
	"mailbox":   {"folder"},
	"match":     {"text"},
	"name":      {"username"},
	"networks":  {"mynetworks"},
	"pass":      {"password_file"},
	"pattern":   {"text"},
	"pwd":       {"password_file"},
	"quota":     {"mailbox_full"},
	"retention": {"retain"},
	"secret":    {"secret_file", "password_file"},
	"sender":    {"senders"},
	"server":    {"host"},
	"size":      {"max_size"},
	"ssl":       {"tls"},
	"syslog":    {"logfile"},
	"systemd":   {"journald"},
	"token":     {"token_file", "password_file"},
	"unknown":   {"user_unknown"},
	"uri":       {"url"},
	"user":      {"username"},
	"postfix":   {"logfile"},
	"sendmail":  {"logfile"},
}

// nearest is which of known words is meant by one that is none of them; "": there is no telling.
func nearest(word string, known []string) string {
	plain := plainly(word)
	for _, k := range known {
		if plainly(k) == plain {
			return k
		}
	}
	for _, s := range synonyms[plain] {
		if slices.Contains(known, s) {
			return s
		}
	}
	best, distance := "", len(word)/3+1
	for _, k := range known {
		if len(word) > 3 && strings.HasPrefix(plain, plainly(k)) && best == "" { // exim4
			best = k
		}
		if dist := editDistance(word, k); dist < distance {
			best, distance = k, dist
		}
	}
	return best
}

// plainly is a word without case and separators.
func plainly(word string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(word))
}

// suggest names the nearest known word, or all of them.
func suggest(word string, known []string) string {
	best := nearest(word, known)
	switch {
	case best != "":
		return fmt.Sprintf("; did you mean %q?", best)
	case len(known) == 0:
		return ""
	}
	return "; known: " + strings.Join(known, ", ")
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
