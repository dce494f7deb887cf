package queue

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
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

// A number that a damaged page made larger, or another secret, is damage: mended, not refused, and not believed.
func TestFormatAndSecretAreSealed(t *testing.T) {
	for name, key := range map[string][]byte{"format": keyFormat, "secret": keySecret} {
		path := filepath.Join(t.TempDir(), "queue.db")
		secret := filled(t, path)
		db, err := bbolt.Open(path, 0o600, boltOptions())
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Update(func(tx *bbolt.Tx) error {
			flipped := slices.Clone(tx.Bucket(bucketMeta).Get(key))
			flipped[len(flipped)-1] ^= 0x80
			return tx.Bucket(bucketMeta).Put(key, flipped)
		}); err != nil {
			t.Fatal(err)
		}
		db.Close()
		if err := CheckFormat(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		q := openAt(t, path, Options{Outputs: []string{"out"}})
		if aside := damaged(path); len(aside) != 1 {
			t.Errorf("%s: moved aside: %q", name, aside)
		}
		known, err := q.WasSent(event.Sent(secret, "1", "x"))
		if err != nil || known != (name == "format") || bytes.Equal(q.Secret(), secret) != (name == "format") {
			t.Errorf("%s: the ledger knows what was sent: %v, %v", name, known, err)
		}
		q.Close()
		openAt(t, path, Options{Outputs: []string{"out"}})
		if aside := damaged(path); len(aside) != 1 {
			t.Errorf("%s: damaged still: %q", name, aside)
		}
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
