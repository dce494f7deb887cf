package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"bouncefeed/internal/e2e/e2etest"
)

// A mail server that publishes to the fleet's stream, and a hub that takes some of its partitions. Blanks: the daemon's
// directory; the servers; of a hub its inputs and the URL of listmonk.
const (
	fleetEdgeConfig = `
inputs:
  maillog: {type: logfile, path: %[1]s/mail.log, start: beginning, parser: postfix}
outputs:
  fleet: {type: nats, servers: %[2]s, insecure_tcp: true, timeout: 4s, subject: "bounces.{{.host}}.{{.type}}.{{.bucket}}"}
queue: {path: %[1]s/queue.db}
control: {socket: %[1]s/control.sock}
`
	fleetHubConfig = `
inputs:
%[3]s
outputs:
  listmonk: {type: listmonk, url: %[4]s, username: bouncefeed, password_file: %[1]s/token, max_rate: 0}
queue: {path: %[1]s/queue.db}
control: {socket: %[1]s/control.sock}
`
	fleetHubInput = "  %[1]s: {type: nats, servers: %[2]s, insecure_tcp: true, timeout: 4s, consumer: %[1]s}\n"
)

// The addresses at which edges and hubs reach the cluster: taken away, they are cut off, without a word.
const (
	edgeSide = "198.51.100.101"
	hubSide  = "198.51.100.102"
)

// fleet is a cluster of three with files on disk, mail servers that publish, and two hubs that share the work.
type fleet struct {
	dir     string
	nodes   [3]*process
	edges   []*bouncing
	hubs    [2]*daemon
	listmon *e2etest.Listmonk
	js      nats.JetStreamContext
	n       atomic.Int64 // bounces logged
	kills   int
	random  *rand.Rand
}

func servers(side string) string {
	return fmt.Sprintf("[nats://%[1]s:4221, nats://%[1]s:4222, nats://%[1]s:4223]", side)
}

// launchNode starts, or starts again, one of the three.
func (f *fleet) launchNode(t *testing.T, i int) {
	t.Helper()
	program, err := e2etest.NATS()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(f.dir, fmt.Sprintf("n%d.conf", i))
	writeFile(t, file, fmt.Sprintf(`
server_name: n%[1]d
listen: 0.0.0.0:%[2]d
jetstream { store_dir: %[3]s/n%[1]d }
cluster { name: fleet, listen: 127.0.0.1:%[4]d, routes: [nats://127.0.0.1:6221, nats://127.0.0.1:6222, nats://127.0.0.1:6223] }
`, i, 4221+i, f.dir, 6221+i))
	log := filepath.Join(f.dir, fmt.Sprintf("n%d.log", i))
	f.nodes[i] = start(t, fmt.Sprintf("n%d", i), log, exec.Command(program, "-c", file))
}

func startFleet(t *testing.T, edges int) *fleet {
	t.Helper()
	seed := setting(t, "BOUNCEFEED_E2E_SEED", int(time.Now().UnixNano()))
	t.Logf("BOUNCEFEED_E2E_SEED=%d", seed)
	f := &fleet{dir: t.TempDir(), listmon: e2etest.NewListmonk(e2etest.MayRead...), random: rand.New(rand.NewPCG(uint64(seed), 0))}
	for _, side := range []string{edgeSide, hubSide} {
		reach(t, "add", side)
	}
	for i := range f.nodes {
		f.launchNode(t, i)
		showIfFailed(t, filepath.Join(f.dir, fmt.Sprintf("n%d.log", i)), 2000)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.listmon.Start(t, l)
	for i, partitions := range [2][]int{{0, 1}, {2}} {
		f.hubs[i] = newDaemonNamed(t, nil, fmt.Sprint("-hub", i), fleetHubConfig, servers(hubSide), hubInputs(partitions...), f.listmon.URL)
	}
	f.setUp(t)
	for i := range edges {
		e := &bouncing{m: f.listmon, daemon: newDaemonNamed(t, nil, fmt.Sprint("-edge", i), fleetEdgeConfig, servers(edgeSide))}
		if e.log, err = os.OpenFile(filepath.Join(e.dir, "mail.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.log.Close() })
		f.edges = append(f.edges, e)
		e.start(t)
	}
	for _, h := range f.hubs {
		h.start(t)
	}
	return f
}

func hubInputs(partitions ...int) (text string) {
	for _, p := range partitions {
		text += fmt.Sprintf(fleetHubInput, fmt.Sprint("part-", p), servers(hubSide))
	}
	return text
}

// setUp has the command make the stream and its three consumers. What a killed hub had taken comes again soon: a test
// waits less than an admin.
func (f *fleet) setUp(t *testing.T) {
	t.Helper()
	args := []string{"nats", "setup", "--partitions", "3", "--yes", "--config", filepath.Join(f.hubs[0].dir, "config.yaml")}
	var out []byte
	waitFor(t, "the cluster takes a stream", func() (ok bool) {
		var err error
		out, err = f.hubs[0].command(t, args...).CombinedOutput()
		return err == nil
	})
	t.Logf("%s", out)
	conn, err := nats.Connect("nats://127.0.0.1:4221,nats://127.0.0.1:4222,nats://127.0.0.1:4223", nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if f.js, err = conn.JetStream(nats.MaxWait(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"part-0", "part-1", "part-2"} {
		waitFor(t, "the consumer is changed", func() bool {
			info, err := f.js.ConsumerInfo("BOUNCES", name)
			if err == nil {
				info.Config.AckWait = 3 * time.Second
				_, err = f.js.UpdateConsumer("BOUNCES", &info.Config)
			}
			return err == nil
		})
	}
}

// reach adds or deletes one of the cluster's addresses.
func reach(t *testing.T, action, side string) {
	t.Helper()
	if err := command("ip", "address", action, side+"/32", "dev", "lo"); err != nil {
		t.Fatal(err)
	}
}

// bounce logs n more bounces, spread over the edges.
func (f *fleet) bounce(n int) {
	for range n {
		i := int(f.n.Load())
		email := fmt.Sprintf("u%d@example.org", i)
		f.listmon.Subscribe(uuid(1, i), email)
		overQuota(f.edges[i%len(f.edges)].log, email, fmt.Sprintf("%010X", 0xA000000000+i))
		f.n.Add(1)
	}
}

// flow has bounces come until end is called.
func (f *fleet) flow() (end func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				f.bounce(4)
			}
		}
	}()
	return func() {
		close(stop)
		<-done
	}
}

// arrive waits until listmonk has all that has bounced up to now.
func (f *fleet) arrive(t *testing.T) {
	t.Helper()
	n := int(f.n.Load())
	waitFor(t, "all is stored", func() bool { lost, _ := f.stored(n); return lost == 0 })
}

func (f *fleet) stored(n int) (lost, doubled int) {
	return (&bouncing{m: f.listmon}).stored(n)
}

// leader says which node leads the stream; -1: none, or it is not known.
func (f *fleet) leader() int {
	info, err := f.js.StreamInfo("BOUNCES")
	if err != nil || info.Cluster == nil || len(info.Cluster.Leader) != 2 {
		return -1
	}
	return int(info.Cluster.Leader[1] - '0')
}

// whole waits until the cluster has a leader and all of it is up to date: only then may the next node go.
func (f *fleet) whole(t *testing.T) {
	t.Helper()
	waitFor(t, "the cluster is whole", func() bool {
		info, err := f.js.StreamInfo("BOUNCES")
		if err != nil || info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != 2 {
			return false
		}
		for _, p := range info.Cluster.Replicas {
			if !p.Current || p.Offline {
				return false
			}
		}
		return true
	})
}

// killNode kills the stream's leader, or a follower, and starts it again.
func (f *fleet) killNode(t *testing.T, leader bool) {
	t.Helper()
	f.whole(t)
	at := f.leader()
	for at < 0 {
		f.whole(t)
		at = f.leader()
	}
	if !leader {
		at = (at + 1 + f.random.IntN(2)) % 3
	}
	f.nodes[at].kill(t)
	if leader {
		waitFor(t, "another node leads", func() bool { now := f.leader(); return now >= 0 && now != at })
	}
	f.launchNode(t, at)
	f.kills++
}

// killAll ends the whole cluster for a while, in which bounces go on.
func (f *fleet) killAll(t *testing.T) {
	t.Helper()
	f.whole(t)
	for _, n := range f.nodes {
		n.kill(t)
		f.kills++
	}
	before := f.n.Load()
	waitFor(t, "bounces come while no node is up", func() bool { return f.n.Load() > before+50 })
	for i := range f.nodes {
		f.launchNode(t, i)
	}
}

// cut takes the way to the cluster from one side, until somebody there says so.
func (f *fleet) cut(t *testing.T, side string, notices *daemon) {
	t.Helper()
	reach(t, "del", side)
	waitFor(t, "it is noticed", func() bool {
		s := notices.status(t)
		return s.Outputs[0].Problem != "" || s.Inputs[0].Problem != ""
	})
	reach(t, "add", side)
	f.kills++
}

func (f *fleet) killDaemon(t *testing.T, d *daemon) {
	t.Helper()
	d.process.kill(t)
	d.start(t)
	f.kills++
}

// TestFleet has bounces logged on mail servers while everything between them and listmonk is killed or cut off in turn:
// each is stored once. BOUNCEFEED_E2E_FLEET makes it long.
func TestFleet(t *testing.T) {
	if _, err := e2etest.NATS(); err != nil {
		e2etest.Skip(t, err.Error())
	}
	if !jailed(t) {
		return
	}
	edges, kills := 3, setting(t, "BOUNCEFEED_E2E_FLEET", 0)
	if kills > 0 {
		edges = 20
	}
	f := startFleet(t, edges)
	began := time.Now()
	end := f.flow()
	steps := []func(){
		func() { f.killDaemon(t, f.edges[f.random.IntN(edges)].daemon) },
		func() { f.killDaemon(t, f.hubs[f.random.IntN(2)]) },
		func() { f.killNode(t, false) },
		func() { f.cut(t, edgeSide, f.edges[f.random.IntN(edges)].daemon) },
		func() { f.killAll(t) },
		func() { f.killNode(t, true) }, // a new leader takes seconds: at length only
		func() { f.cut(t, hubSide, f.hubs[f.random.IntN(2)]) },
	}
	for _, step := range steps[:5] {
		step()
	}
	for f.kills < kills {
		steps[f.random.IntN(len(steps))]()
	}
	end()
	f.poison(t)
	f.arrive(t)
	f.settle(t)
	f.requirePoisonAside(t)
	f.rebalance(t)
	f.bounce(200)
	f.arrive(t)
	f.settle(t)
	n := int(f.n.Load())
	lost, doubled := f.stored(n)
	t.Logf("%d kills and cuts in %v: of %d bounces %d lost, %d doubled", f.kills, time.Since(began).Round(time.Second), n, lost, doubled)
	if lost > 0 || doubled > 0 {
		t.Errorf("%d lost, %d doubled", lost, doubled)
	}
}

// poison publishes what is no event.
func (f *fleet) poison(t *testing.T) {
	t.Helper()
	waitFor(t, "the stream takes it", func() bool {
		_, err := f.js.Publish("bounces.mx9.hard.00", []byte("no event"), nats.MsgId("poison"))
		return err == nil
	})
}

// requirePoisonAside holds one of the hubs to have refused it.
func (f *fleet) requirePoisonAside(t *testing.T) {
	t.Helper()
	refused := uint64(0)
	for _, h := range f.hubs {
		for _, in := range h.status(t).Inputs {
			refused += total(in.Refused)
		}
	}
	if refused == 0 { // twice, if the first word of it was lost
		t.Error("what is no event was not refused")
	}
}

// rebalance gives a partition of the first hub to the second. All of it is acknowledged: what was not would come to the
// second, which does not know that the first has it.
func (f *fleet) rebalance(t *testing.T) {
	t.Helper()
	for i, inputs := range []string{hubInputs(0), hubInputs(1, 2)} {
		file := filepath.Join(f.hubs[i].dir, "config.yaml")
		_, rest, _ := strings.Cut(readFile(t, file), "outputs:")
		writeFile(t, file, "inputs:\n"+inputs+"outputs:"+rest)
		f.hubs[i].process.signal(t, syscall.SIGTERM)
		<-f.hubs[i].process.done
		f.hubs[i].start(t)
	}
}

// settle waits until nothing is on its way any more.
func (f *fleet) settle(t *testing.T) {
	t.Helper()
	waitSteady(t, "nothing is on its way", func() bool {
		for _, h := range f.hubs {
			s := h.status(t)
			for _, in := range s.Inputs {
				if in.Lag != 0 {
					return false
				}
			}
			if s.Outputs[0].Pending > 0 {
				return false
			}
		}
		for _, name := range []string{"part-0", "part-1", "part-2"} {
			info, err := f.js.ConsumerInfo("BOUNCES", name)
			if err != nil || info.NumPending > 0 || info.NumAckPending > 0 {
				return false
			}
		}
		return true
	})
	for _, d := range []*daemon{f.hubs[0], f.hubs[1], f.edges[0].daemon} {
		d.requireQuiet(t)
	}
}
