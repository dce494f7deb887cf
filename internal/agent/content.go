package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// hash stands for the message of a record, without the header fields in which servers note what was read.
func (f *finding) hash() string {
	if f.content != "" {
		return f.content
	}
	h, inHeader, skip := sha256.New(), true, false
	for line := range bytes.Lines(f.message) {
		if inHeader && line[0] != ' ' && line[0] != '\t' {
			name, _, _ := bytes.Cut(line, []byte(":"))
			skip = isStatusField(string(name))
		}
		if inHeader = inHeader && len(bytes.TrimRight(line, "\r\n")) > 0; !inHeader || !skip {
			h.Write(line)
		}
	}
	f.content = hex.EncodeToString(h.Sum(nil)[:16])
	return f.content
}

func isStatusField(name string) bool {
	switch strings.ToLower(name) {
	case "status", "x-status", "x-uidl", "x-uid", "x-keywords", "x-imap", "x-imapbase":
		return true
	}
	return false
}
