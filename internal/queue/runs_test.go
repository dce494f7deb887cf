package queue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"
)

// However runs are added, merged in pieces and reopened: each key has the entry that was stored last.
func TestRunsKnowTheLastEntry(t *testing.T) {
	t.Parallel()
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "runs.db"), 0o600, boltOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.NoSync = true
	random := rand.New(rand.NewPCG(7, 8))
	want := map[[16]byte]uint64{}
	var keys [][16]byte
	day := func(fn func(d *runDay) error) {
		t.Helper()
		if err := db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("day"))
			if err != nil {
				return err
			}
			d, err := openRuns(b, indexShape)
			if err != nil {
				return err
			}
			return fn(d)
		}); err != nil {
			t.Fatal(err)
		}
	}
	most := 0
	for round := range 400 {
		n := []int{1, 3, 60, 500, 9000}[random.IntN(5)]
		if n == 9000 && random.IntN(8) > 0 {
			n = 20
		}
		fresh := map[[16]byte]uint64{}
		for range n {
			var key [16]byte
			if len(keys) > 0 && random.IntN(4) == 0 {
				key = keys[random.IntN(len(keys))]
			} else {
				binary.BigEndian.PutUint64(key[:], random.Uint64())
				binary.BigEndian.PutUint64(key[8:], random.Uint64())
				keys = append(keys, key)
			}
			fresh[key] = random.Uint64()
			want[key] = fresh[key]
		}
		var all [][]byte
		for key, ref := range fresh {
			all = append(all, binary.BigEndian.AppendUint64(key[:], ref))
		}
		slices.SortFunc(all, bytes.Compare)
		day(func(d *runDay) error { return d.add(bytes.Join(all, nil)) })
		if random.IntN(3) == 0 {
			day(func(d *runDay) error { _, err := d.work(1+random.IntN(3*runSegment), random.IntN(40) == 0); return err })
		}
		day(func(d *runDay) error {
			most = max(most, len(d.list))
			for range 50 {
				key := keys[random.IntN(len(keys))]
				entry, err := d.find(key[:])
				if err != nil {
					return err
				}
				if entry == nil || referenceOf(entry) != want[key] {
					return fmt.Errorf("round %d: %x stands for %x, want %x", round, key, entry, want[key])
				}
				key[15]++
				if _, there := want[key]; there {
					continue
				}
				if entry, err := d.find(key[:]); entry != nil || err != nil {
					return fmt.Errorf("round %d: found what was never stored: %x, %v", round, entry, err)
				}
			}
			return nil
		})
	}
	t.Logf("%d keys, at most %d runs", len(keys), most)
	day(func(d *runDay) error { _, err := d.work(1<<30, true); return err })
	day(func(d *runDay) error {
		if len(d.list) != 1 || d.list[0].bits < 2 {
			return fmt.Errorf("%d runs are left", len(d.list))
		}
		for key, ref := range want {
			if entry, err := d.find(key[:]); err != nil || entry == nil || referenceOf(entry) != ref {
				return fmt.Errorf("%x stands for %x, want %x, %v", key, entry, ref, err)
			}
		}
		n := 0
		if err := d.each(nil, func([]byte) { n++ }); err != nil || n != len(want) {
			return fmt.Errorf("%d entries, want %d, %v", n, len(want), err)
		}
		used := 0
		b := 0
		if err := d.blocks.ForEach(func(k, v []byte) error { used += len(k) + len(v); b++; return nil }); err != nil {
			return err
		}
		if per := float64(used) / float64(len(want)); per > 26 {
			return fmt.Errorf("%.1f bytes a key", per)
		}
		return nil
	})
}

// A filter knows all its keys, and few others.
func TestFilter(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	key := func() []byte {
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, random.Uint64()), random.Uint64())
	}
	for _, n := range []int{1, 200, runSegment} {
		var keys []byte
		for range n {
			keys = append(keys, key()...)
		}
		filter := makeFilter(keys, 16)
		for i := 0; i < len(keys); i += 16 {
			if !filterHas(filter, keys[i:]) {
				t.Fatalf("of %d keys, %d is not known", n, i/16)
			}
		}
		wrong := 0
		for range 10_000 {
			if filterHas(filter, key()) {
				wrong++
			}
		}
		if wrong > 300 {
			t.Errorf("of %d keys: %d of 10000 others are known", n, wrong)
		}
		if !filterSound(filter) {
			t.Error("it does not find itself sound")
		}
		filter[5] ^= 1
		if filterSound(filter) || !filterHas(filter, keys) {
			t.Error("a damaged piece denies a key")
		}
	}
}
