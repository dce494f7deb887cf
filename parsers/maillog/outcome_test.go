package maillog

import "testing"

// A recipient that is done with is no longer pending: the same by both addresses first, and in logs that may name it
// otherwise, also by one of them.
func TestTakePending(t *testing.T) {
	for _, c := range []struct {
		to, origTo string
		exactly    bool
		want       int // place in pending; -1: none
	}{
		{"jo@a.example", "sales@b.example", true, 1},
		{"jo@a.example", "", true, 0},
		{"jo@a.example", "other@b.example", true, -1},
		{"Jo@a.example", "Sales@b.example", true, -1},
		{"Jo@a.example", "Sales@b.example", false, 1},
		{"jo@a.example", "other@b.example", false, 0},
		{"pipe", "Kim@a.example", false, 2},
		{"nobody@a.example", "", false, -1},
	} {
		m := message{pending: []outcome{
			{to: "jo@a.example", code: 450}, {to: "jo@a.example", origTo: "sales@b.example", code: 451}, {to: "kim@a.example", code: 452},
		}}
		o, pending := m.take([]byte(c.to), []byte(c.origTo), c.exactly)
		if left := len(m.pending); pending != (c.want >= 0) || pending && (o.code != 450+c.want || left != 2) || !pending && left != 3 {
			t.Errorf("%+v: %+v, %v, %d left", c, o, pending, left)
		}
	}
}
