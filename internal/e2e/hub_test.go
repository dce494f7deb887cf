package e2e

import (
	"bufio"
	"encoding/json"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
)

// A mail server that knows nothing of listmonk, and the hub that alone does. Their first blank is the daemon's
// directory, the second is the edge's log or the hub's receiver.
const (
	edgeConfig = `
inputs:
  maillog:
    type: logfile
    path: %[2]s
    start: beginning
    parser: postfix
outputs:
  hub:
    type: webhook
    url: http://` + hooksAddr + `/webhooks/service/standard
    secret_file: %[1]s/hub.secret
    batch: 20
  told:
    type: file
    path: %[1]s/told.jsonl
queue:
  path: %[1]s/queue.db
control:
  socket: %[1]s/control.sock
log:
  level: debug
`
	hubConfig = `
inputs:
  fleet:
    type: webhook
    listen: ["` + hooksAddr + `"]
    routes:
      - parser:
          type: standard
          secret_file: %[1]s/hub.secret
outputs:
  listmonk:
    type: listmonk
    url: %[2]s
    username: bouncefeed
    password_file: %[1]s/token
    max_rate: 0
queue:
  path: %[1]s/queue.db
control:
  socket: %[1]s/control.sock
log:
  level: debug
`
	hubSecret = "whsec_b3VyIG93biBzZWNyZXQgb2YgYWJvdXQgMzIgYnl0ZXM="
)

// TestHub is TestKills with two daemons: one follows the log of a real Postfix and tells the other, which tells the
// receiver; either or both are killed at random moments. Every bounce must arrive under the id that the first daemon
// gave it.
func TestHub(t *testing.T) {
	if !jailed(t) {
		return
	}
	startMailServer(t, rfc3339Log)
	r := startReceiver(t)
	r.BeAny(moods()...)
	edge, hub := newDaemonNamed(t, r, "-edge", edgeConfig, mailLog), newDaemonNamed(t, r, "-hub", hubConfig, r.URL)
	kills, seed := setting(t, "BOUNCEFEED_E2E_KILLS", 14), setting(t, "BOUNCEFEED_E2E_SEED", int(time.Now().UnixNano()))
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	t.Logf("BOUNCEFEED_E2E_SEED=%d", seed)
	writes := map[*daemon]<-chan struct{}{}
	for _, d := range []*daemon{edge, hub} {
		d.addSecret(t, "hub.secret", hubSecret)
		writes[d] = watchWrites(t, d.dir)
		d.launch(t)
	}

	var tr traffic
	began := time.Now()
	for killed := 0; killed < kills; {
		for end := time.Now().Add(time.Duration(random.IntN(1500)) * time.Millisecond); time.Now().Before(end); {
			tr.send(t, randomLetter(random))
			<-time.After(time.Duration(random.IntN(60)) * time.Millisecond)
		}
		victims := [][]*daemon{{edge}, {hub}, {edge, hub}, {hub, edge}}[random.IntN(4)]
		for _, d := range victims {
			d.strike(t, random, writes[d])
			killed++
		}
		if !hub.process.running() {
			r.NextLife(t)
		}
		for _, d := range victims {
			d.launch(t)
		}
	}
	edge.process.kill(t)
	hub.process.kill(t)
	r.NextLife(t)
	r.Be(e2etest.Takes)
	hub.start(t)
	edge.start(t)
	settle(t, &tr, edge)
	hub.waitIdle(t)
	t.Logf("%d kills in %v, %d recipients, %d posts", kills+2, time.Since(began).Round(time.Second), len(tr.wants), len(r.Seen()))
	requireFaultless(t, &tr, edge, sendDefault)
	requireFaultless(t, &tr, hub, sendDefault)
	requireSameIDs(t, edge, r)
	edge.stop(t)
	hub.stop(t)
}

// requireSameIDs compares what the edge gave every bounce as its id with what the receiver knows it by.
func requireSameIDs(t *testing.T, edge *daemon, r *e2etest.Receiver) {
	t.Helper()
	given := map[string]string{} // id to recipient
	for lines := bufio.NewScanner(strings.NewReader(readFile(t, filepath.Join(edge.dir, "told.jsonl")))); lines.Scan(); {
		var e struct{ ID, Recipient string }
		if json.Unmarshal(lines.Bytes(), &e) == nil { // a kill may have cut a line, which was then written again
			given[e.ID] = e.Recipient
		}
	}
	arrived := map[string]string{}
	for _, p := range r.Seen() {
		if p.Taken() {
			arrived[p.Meta.ID] = p.Email
		}
	}
	if len(given) == 0 || len(given) != len(arrived) {
		t.Errorf("the edge told of %d ids, %d arrived", len(given), len(arrived))
	}
	for id, recipient := range given {
		if arrived[id] != recipient {
			t.Errorf("%s has id %s, under which %q arrived", recipient, id, arrived[id])
		}
	}
}
