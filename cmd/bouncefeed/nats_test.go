package main

import (
	"fmt"
	"strings"
	"testing"

	"bouncefeed/internal/e2e/e2etest"
)

func TestNATSSetup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := write(t, "c.yaml", fmt.Sprintf(`inputs:
  fleet: {type: nats, servers: ["nats://%s"]}
outputs:
  listmonk: {type: file, path: %s/bounces.jsonl}
queue: {path: %s/queue.db}
`, e2etest.StartNATS(t, ""), dir, dir))
	first := command(t, "", "nats", "setup", "-c", cfg)
	first.expect(t, 0, "warn   stream BOUNCES: create it: discard new", "nothing is changed yet: --yes does it")
	first.expect(t, 0, "warn   consumer bouncefeed of BOUNCES: create it: ack_policy explicit", "")
	again := command(t, "", "nats", "setup", "-c", cfg, "--max-bytes", "2GiB", "--window", "2d")
	again.expect(t, 0, "create it: discard new, duplicate_window 48h, max_age 360h, max_bytes 2147483648", "")
	command(t, "", "nats", "setup", "-c", cfg, "--yes").expect(t, 0, "ok     stream BOUNCES: create it", "")
	done := command(t, "", "nats", "setup", "-c", cfg)
	done.expect(t, 0, "ok     stream BOUNCES: as it should be\nok     consumer bouncefeed of BOUNCES: as it should be\n", "")
	if strings.Contains(done.err, "--yes") {
		t.Errorf("%+v", done)
	}
	if r := command(t, "", "nats", "setup", "-c", cfg, "--json"); r.code != 0 || strings.Count(r.out, `"ok":true`) != 2 {
		t.Errorf("%+v", r)
	}
	command(t, "", "nats", "setup", "-c", cfg, "--max-bytes", "20").expect(t, exitUsage, "", "--max-bytes")
	command(t, "", "nats", "setup", "-c", cfg, "--replicas", "9").expect(t, exitUsage, "", "--replicas goes to 5")
	command(t, "", "nats", "setup", "-c", cfg, "--replicas", "3", "--yes").expect(t, exitFailure, "one server keeps one copy only", "not everything could be done")
}

func TestNATSSetupWithoutNATS(t *testing.T) {
	t.Parallel()
	cfg, _ := site(t, "http://127.0.0.1:9/")
	command(t, "", "nats", "setup", "-c", cfg).expect(t, exitFailure, "", "no input or output of type nats")
}
