package queue

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A file of a newer version is not opened, and CheckFormat tells so while that version's daemon holds it.
func TestNewerFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	if err := CheckFormat(path); err != nil {
		t.Errorf("no file: %v", err)
	}
	q := openAt(t, path, Options{Outputs: []string{"out"}})
	for i := range 20 { // so much that every bucket has pages of its own
		commit(t, q, Batch{Events: bounces(i*100, i*100+100)})
		if err := CheckFormat(path); err != nil {
			t.Fatalf("our own format, held by another: %v", err)
		}
	}
	q.Close()

	setFormat(t, path, format+1)
	if err := CheckFormat(path); !errors.Is(err, ErrNewer) {
		t.Errorf("a newer format: %v", err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, ErrNewer) {
		t.Errorf("opened: %v", err)
	}
	if aside := damaged(path); len(aside) > 0 {
		t.Errorf("moved aside: %q", aside)
	}
}

// What is no queue file is Open's to judge.
func TestFormatOfAnything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	filled(t, path)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < min(len(good), 64<<10); at += 509 {
		bad := append([]byte(nil), good...)
		bad[at] ^= 0xFF
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := CheckFormat(path); err != nil && !errors.Is(err, ErrNewer) {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	if err := CheckFormat(t.TempDir()); err != nil {
		t.Errorf("a directory: %v", err)
	}
}
