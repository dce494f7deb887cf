package queue

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// spoil makes the entries of a bucket unreadable, in a file that is closed.
func spoil(t *testing.T, path string, bucket []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := openPages(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	var sealed []string
	p.bucket = func([][]byte, uint64) error { return nil }
	p.damage = func(_ [][]byte, err error) error { return err }
	p.entry = func(path [][]byte, k, v []byte) error {
		if string(path[0]) == string(bucket) {
			sealed = append(sealed, string(k)+string(v))
		}
		return nil
	}
	if err := p.walk(); err != nil {
		t.Fatal(err)
	}
	for _, entry := range sealed { // in older states of its page, too
		spoilt := []byte(entry)
		spoilt[len(spoilt)-1] ^= 0xFF
		content = bytes.ReplaceAll(content, []byte(entry), spoilt)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// After damage the sources tell everything again, or nothing: that is the user's choice. Either way it is told until
// somebody has taken note, over restarts.
func TestDamageIsToldAndRepeatedAsChosen(t *testing.T) {
	for _, skip := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "queue.db")
		filled(t, path)
		spoil(t, path, bucketGroups)
		o := Options{Outputs: []string{"out"}, Skip: skip}
		q := openAt(t, path, o)
		checkSums(t, q, "out")
		c, err := q.Checkpoint("in")
		if err != nil || (c["start"] == "beginning") == skip || (c["offset"] == "2") != skip {
			t.Errorf("skip %v: reading begins at %v, %v", skip, c, err)
		}
		q.Close()
		q = openAt(t, path, o)
		all, err := q.Damage()
		if err != nil || len(all) != 1 || all[0].Repeat == skip || all[0].Lost[CountLost] != 200 || all[0].Missing == "" ||
			!slices.Equal(damaged(path), []string{all[0].Aside}) || all[0].Kept == 0 || all[0].Time.IsZero() {
			t.Fatalf("skip %v: told is %+v, %v", skip, all, err)
		}
		if noted, err := q.AcknowledgeDamage(); err != nil || len(noted) != 1 {
			t.Errorf("acknowledged: %+v, %v", noted, err)
		}
		if all, err := q.Damage(); err != nil || len(all) > 0 {
			t.Errorf("told again: %+v, %v", all, err)
		}
		if noted, err := q.AcknowledgeDamage(); err != nil || len(noted) > 0 {
			t.Errorf("acknowledged twice: %+v, %v", noted, err)
		}
	}
}

// An output whose position is lost gets again what is kept, or begins with what comes.
func TestLostPosition(t *testing.T) {
	for _, skip := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "queue.db")
		filled(t, path)
		spoil(t, path, bucketOutputs)
		q := openAt(t, path, Options{Outputs: []string{"out"}, Skip: skip})
		checkSums(t, q, "out")
		if n := len(next(t, q, "out")); n != map[bool]int{false: 200, true: 0}[skip] {
			t.Errorf("skip %v: %d are pending", skip, n)
		}
	}
}

// Of a parser's memory that is damaged nothing is left, wherever reading goes on.
func TestDamagedStateIsForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	filled(t, path)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at, next := 0, 0; next >= 0; at += next { // older states of the page are there, too
		if next = strings.Index(string(content[at:]), "queue id 250"); next >= 0 {
			clear(content[(at+next)/pageSize*pageSize:][:pageSize])
		}
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	q := openAt(t, path, Options{Outputs: []string{"out"}, Skip: true})
	if len(damaged(path)) == 0 {
		t.Fatal("it is not found damaged")
	}
	for k := range q.State("in") {
		t.Fatalf("state %s is left", k)
	}
	if c, err := q.Checkpoint("in"); err != nil || c["offset"] != "2" {
		t.Errorf("checkpoint %v, %v", c, err)
	}
}
