package queue

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// corruptionsEnv is how many corruptions TestCorruptions tries, with what BOUNCEFEED_SEED begins.
const (
	corruptionsEnv = "BOUNCEFEED_CORRUPTIONS"
	seedEnv        = "BOUNCEFEED_SEED"
)

// A corruption is a way in which a disk, a cable or a careless hand spoils a file.
type corruption struct {
	name string
	do   func(random *rand.Rand, file []byte, page int) []byte // page is one that is in use
}

const sector = 512

var corruptions = []corruption{
	{"a bit", func(random *rand.Rand, file []byte, page int) []byte {
		file[page*pageSize+random.IntN(pageSize)] ^= 1 << random.IntN(8)
		return file
	}},
	{"some bytes", func(random *rand.Rand, file []byte, page int) []byte {
		for range 1 + random.IntN(20) {
			file[page*pageSize+random.IntN(pageSize)] = byte(random.Uint32())
		}
		return file
	}},
	{"a page header", func(random *rand.Rand, file []byte, page int) []byte {
		file[page*pageSize+random.IntN(pageHeader+2*pageElement)] ^= byte(1 + random.IntN(255))
		return file
	}},
	{"a page of zeros", func(_ *rand.Rand, file []byte, page int) []byte {
		clear(file[page*pageSize : (page+1)*pageSize])
		return file
	}},
	{"a sector of noise", func(random *rand.Rand, file []byte, page int) []byte {
		at := page*pageSize + sector*random.IntN(pageSize/sector)
		for i := range sector {
			file[at+i] = byte(random.Uint32())
		}
		return file
	}},
	{"another page", func(random *rand.Rand, file []byte, page int) []byte {
		from := random.IntN(len(file) / pageSize)
		copy(file[page*pageSize:(page+1)*pageSize], file[from*pageSize:])
		return file
	}},
	{"another sector", func(random *rand.Rand, file []byte, page int) []byte {
		from := random.IntN(len(file) / sector)
		copy(file[page*pageSize+sector*random.IntN(pageSize/sector):][:sector], file[from*sector:])
		return file
	}},
	{"many pages", func(random *rand.Rand, file []byte, page int) []byte {
		end := min(len(file), (page+1+random.IntN(30))*pageSize)
		copy(file[page*pageSize:end], bytes.Repeat([]byte("junk"), len(file)/4))
		return file
	}},
	{"the end cut off", func(random *rand.Rand, file []byte, page int) []byte {
		return file[:page*pageSize+random.IntN(pageSize)]
	}},
}

// TestCorruptions spoils a queue file in random ways. Whatever it is: no panic; nothing is sent that was never stored;
// what the sources tell again is there once; and the counters add up, what is lost among them.
func TestCorruptions(t *testing.T) {
	t.Parallel()
	rounds, seed := 180, uint64(1)
	if n, err := strconv.Atoi(os.Getenv(corruptionsEnv)); err == nil {
		rounds = n
	} else if testing.Short() {
		rounds = 50
	}
	if n, err := strconv.ParseUint(os.Getenv(seedEnv), 10, 64); err == nil {
		seed = n
	}
	dir := t.TempDir()
	good, used := filledDensely(t, filepath.Join(dir, "whole.db"))
	random := rand.New(rand.NewPCG(seed, 7))
	repaired := 0
	for round := range rounds {
		c, page := corruptions[round%len(corruptions)], used[random.IntN(len(used))]
		content := c.do(random, slices.Clone(good), page)
		t.Run(fmt.Sprintf("%d: %s, page %d", round, c.name, page), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "queue.db")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			q := openAt(t, path, Options{Outputs: []string{"out", "slow"}})
			repaired += len(damaged(path))
			checkSums(t, q, "out", "slow")
			checkNothingLost(t, q)
			checkSums(t, q, "out", "slow")
		})
	}
	t.Logf("%d corruptions, of which %d were found and mended", rounds, repaired)
	if repaired < rounds/2 {
		t.Error("most went unnoticed: the test shows nothing")
	}
}

// filledDensely is what filled makes and something of everything else, compacted, with the numbers of the pages in use.
func filledDensely(t *testing.T, path string) (content []byte, used []int) {
	t.Helper()
	filled(t, path, "slow")
	q := openAt(t, path, Options{Outputs: []string{"out", "slow"}})
	dead, err := q.Dead("out")
	if err != nil || len(dead) < 3 {
		t.Fatal(dead, err)
	}
	if _, err := q.RetryDead("out", []uint64{dead[0].Seq, dead[2].Seq}); err != nil {
		t.Fatal(err)
	}
	var taken []Settled
	for i, item := range next(t, q, "slow")[:50] {
		taken = append(taken, Settled{item.Seq, []Outcome{Sent, NotSent, Dead}[i%3], "400 no"})
	}
	if err := q.Accept("slow", taken); err != nil {
		t.Fatal(err)
	}
	if err := q.Confirm("slow", taken[20].Seq, nil); err != nil {
		t.Fatal(err)
	}
	commit(t, q, Batch{Input: "other", Refused: []Refused{{Why: "two_readings", Body: []byte("?")}}, Checkpoint: map[string]string{"cursor": "x"},
		Counts: map[Figure]uint64{{Word: CountRead}: 1, RefusedAs("two_readings"): 1}})
	if err := q.replace(); err != nil {
		t.Fatal(err)
	}
	q.Close()
	content, err = os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := openPages(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	p.bucket = func([][]byte, uint64) error { return nil }
	p.entry = func([][]byte, []byte, []byte) error { return nil }
	p.damage = func(_ [][]byte, err error) error { return err }
	if err := p.walk(); err != nil {
		t.Fatal(err)
	}
	used = []int{0, 1}
	for page := range int(p.high) {
		if p.seen[page/64]&(1<<(page%64)) != 0 {
			used = append(used, page)
		}
	}
	return content, used
}
