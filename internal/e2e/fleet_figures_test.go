package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
)

const (
	figureEdgeConfig = `
inputs:
  maillog: {type: logfile, path: %[1]s/mail.log, start: beginning, parser: postfix}
outputs:
  fleet: {type: nats, servers: %[2]s, batch: %[3]d, timeout: 30s}
queue: {path: %[1]s/queue.db}
control: {socket: %[1]s/control.sock}
`
	figureHubConfig = `
inputs:
  fleet: {type: nats, servers: %[2]s, double_ack: %[3]v, consumer: hub-%[3]v}
outputs:
  %[4]s
queue: {path: %[1]s/queue.db}
control: {socket: %[1]s/control.sock}
`
	local = "[nats://127.0.0.1:4221]"
)

// TestFigureFleet prints how many events a second one daemon publishes, each acknowledged, and one hub stores, by how the
// stream keeps them.
func TestFigureFleet(t *testing.T) {
	if !jailedForFigures(t) {
		return
	}
	for _, c := range []struct {
		nodes, batch int
		sync         string
		n            uint64
	}{{1, 100, "2m", 60_000}, {1, 1000, "2m", 60_000}, {1, 10_000, "2m", 60_000}, {1, 100, "always", 10_000}, {3, 100, "2m", 60_000}, {3, 1000, "2m", 60_000}, {3, 100, "always", 60_000}} {
		n := c.n
		name := fmt.Sprintf("R%d sync %s batch %d", c.nodes, c.sync, c.batch)
		t.Run(name, func(t *testing.T) {
			nodes := make([]*process, c.nodes)
			edge := newDaemonNamed(t, nil, "-edge", figureEdgeConfig, local, c.batch)
			log, err := os.Create(filepath.Join(edge.dir, "mail.log"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			for i := range n {
				overQuota(log, fmt.Sprintf("u%d@example.org", i), fmt.Sprintf("%010X", 0xA000000000+i))
			}
			edge.start(t)
			waitFor(t, "all is queued", func() bool { return edge.status(t).Inputs[0].Queued == n })
			edge.stop(t)
			for i := range nodes {
				nodes[i] = launchFigureNode(t, c.nodes, i, c.sync)
			}
			waitFor(t, "the stream is made", func() bool {
				return edge.command(t, "nats", "setup", "--yes", "--config", filepath.Join(edge.dir, "config.yaml")).Run() == nil
			})
			published := timed(t, edge, func(s status) bool { return s.Outputs[0].Sent == n })
			hwm := residentPeak(t, edge)
			edge.stop(t)
			t.Logf("%s: %.0f published a second, RSS at most %s", name, float64(n)/published.Seconds(), hwm)
			for _, double := range []bool{false, true} {
				if double && c.batch != 1000 {
					continue
				}
				hub := newDaemonNamed(t, nil, fmt.Sprint("-hub", double), figureHubConfig, local, double, "told: {type: file, path: /var/lib/bouncefeed/told.jsonl}")
				again(t, hub)
				took := timed(t, hub, func(s status) bool { return s.Inputs[0].Queued == n })
				t.Logf("%s: %.0f taken and committed a second (double_ack: %v), RSS at most %s", name, float64(n)/took.Seconds(), double, residentPeak(t, hub))
				hub.stop(t)
			}
			for _, p := range nodes {
				p.kill(t)
			}
		})
	}
}

// TestFigureFleetLatency prints how long a bounce takes from the log line to the list manager at 1,000 a second.
func TestFigureFleetLatency(t *testing.T) {
	if !jailedForFigures(t) {
		return
	}
	for _, nodes := range []int{1, 3} {
		var cluster []*process
		for i := range nodes {
			cluster = append(cluster, launchFigureNode(t, nodes, i, "2m"))
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		r := e2etest.NewReceiver()
		r.Listen(t, l)
		edge := newDaemonNamed(t, nil, fmt.Sprint("-edge", nodes), figureEdgeConfig, local, 100)
		hub := newDaemonNamed(t, r, fmt.Sprint("-hub", nodes), figureHubConfig, local, false, "listmonk: {type: listmonk, url: "+r.URL+", username: bouncefeed, password_file: "+"/var/lib/bouncefeed/"+t.Name()+fmt.Sprint("-hub", nodes)+"/token, max_rate: 0, verify: off}")
		again(t, hub)
		edge.start(t)
		hub.start(t)
		log, err := os.OpenFile(filepath.Join(edge.dir, "mail.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		const n = 10_000
		began := time.Now()
		for i := range n {
			<-time.After(time.Until(began.Add(time.Duration(i) * time.Millisecond)))
			overQuota(log, fmt.Sprintf("u%d@example.org", i), fmt.Sprintf("%010X", 0xA000000000+i))
		}
		waitFor(t, "all arrive", func() bool { return len(r.Seen()) >= n })
		var took []time.Duration
		for _, p := range r.Seen() {
			took = append(took, p.At.Sub(p.CreatedAt))
		}
		slices.Sort(took)
		t.Logf("R%d, %d/s offered: from log line to POST: median %v, 99 %% %v, longest %v", nodes, 1000, took[n/2], took[n*99/100], took[n-1])
		edge.stop(t)
		hub.stop(t)
		for _, p := range cluster {
			p.kill(t)
		}
	}
}

// again waits until the consumer that d reads is made.
func again(t *testing.T, d *daemon) {
	t.Helper()
	waitFor(t, "the consumer is made", func() bool {
		return d.command(t, "nats", "setup", "--yes", "--config", filepath.Join(d.dir, "config.yaml")).Run() == nil
	})
}

func launchFigureNode(t *testing.T, nodes, i int, sync string) *process {
	t.Helper()
	program, err := e2etest.NATS()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("/var/lib", strings.ReplaceAll(t.Name(), "/", "_"), fmt.Sprintf("nats%d-%d", nodes, i))
	cluster := ""
	if nodes > 1 {
		cluster = fmt.Sprintf("cluster { name: fleet, listen: 127.0.0.1:%d, routes: [nats://127.0.0.1:6221, nats://127.0.0.1:6222, nats://127.0.0.1:6223] }", 6221+i)
	}
	file := filepath.Join(dir, "nats.conf")
	writeFile(t, file, fmt.Sprintf("server_name: n%d\nlisten: 127.0.0.1:%d\njetstream { store_dir: %s, sync_interval: %s }\n%s\n", i, 4221+i, dir, sync, cluster))
	return start(t, "nats", filepath.Join(dir, "log"), exec.Command(program, "-c", file))
}

// timed is how long it takes from the start of d until its status is as wanted.
func timed(t *testing.T, d *daemon, wanted func(status) bool) time.Duration {
	t.Helper()
	began := time.Now()
	d.start(t)
	waitFor(t, "it is done", func() bool { return wanted(d.status(t)) })
	return time.Since(began)
}

// residentPeak is the most memory that d has had, as the kernel counts.
func residentPeak(t *testing.T, d *daemon) string {
	t.Helper()
	_, text, _ := strings.Cut(readFile(t, "/proc/"+strconv.Itoa(d.process.cmd.Process.Pid)+"/status"), "VmHWM:")
	text, _, _ = strings.Cut(text, "\n")
	return strings.TrimSpace(text)
}
