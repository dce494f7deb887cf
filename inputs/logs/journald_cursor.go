package logs

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// A cursor names an entry of the journal, wherever it is looked for:
//
//	s=91bfca1df18f46d6baa454154a56ef19;i=7c;b=e490833d79364792a005ec8c10173f54;m=b7be9ac3;t=660d7da7518e4;x=fa0b0f51199dd3c4
//
// s and i are the file's series and the number in it, b and m the boot and the monotonic time, t the time (Unix
// microseconds), x a checksum; numbers are hexadecimal.

// cursorOf finds the cursor of an entry as journalctl prints it; "": its line was cut before it. Quotes inside values are
// escaped, so that no message can pretend to be one.
func cursorOf(entry []byte) string {
	_, rest, _ := bytes.Cut(entry, []byte(`"__CURSOR":"`))
	cursor, _, ok := bytes.Cut(rest, []byte{'"'})
	if !ok {
		return ""
	}
	return string(cursor)
}

func cursorField(cursor, name string) string {
	for _, field := range strings.Split(cursor, ";") {
		if value, ok := strings.CutPrefix(field, name+"="); ok {
			return value
		}
	}
	return ""
}

// sameCursor compares without the place in a file, which changes when journald moves its entries from /run to /var.
func sameCursor(a, b string) bool {
	for _, name := range []string{"b", "m", "t", "x"} {
		if cursorField(a, name) != cursorField(b, name) {
			return false
		}
	}
	return a != "" && b != ""
}

// isSuccessor says whether no entry stood between a and b.
func isSuccessor(a, b string) bool {
	i, erra := strconv.ParseUint(cursorField(a, "i"), 16, 64)
	k, errb := strconv.ParseUint(cursorField(b, "i"), 16, 64)
	return erra == nil && errb == nil && k == i+1 && cursorField(a, "s") == cursorField(b, "s")
}

// cursorTime is when the entry was written.
func cursorTime(cursor string) time.Time {
	t, err := strconv.ParseInt(cursorField(cursor, "t"), 16, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMicro(t)
}

// journalDropped is the MESSAGE_ID of journald's notice that it dropped messages for their rate
// (SD_MESSAGE_JOURNAL_DROPPED of sd-messages.h).
const journalDropped = "a596d6fe7bfa4994828e72309e95d61e"

var journalDroppedField = []byte(`"MESSAGE_ID":"` + journalDropped + `"`)

// droppedFrom reads the unit out of such a notice; "": it is none, or not journald's own.
func droppedFrom(entry []byte) (unit string) {
	if !bytes.Contains(entry, journalDroppedField) {
		return ""
	}
	var e struct {
		Message   string `json:"MESSAGE"` // "Suppressed 123 messages from postfix@-.service"
		Transport string `json:"_TRANSPORT"`
	}
	if json.Unmarshal(entry, &e) != nil || e.Transport != "driver" {
		return ""
	}
	_, unit, _ = strings.Cut(e.Message, " messages from ")
	return unit
}
