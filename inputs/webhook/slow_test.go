package webhook

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bouncefeed/inputs/inputtest"
	"bouncefeed/internal/event"
)

// slowClients hold n connections open on which a request begins and never ends, coming from so many addresses of
// 127.0.0.0/8. One that is closed comes again after pause.
func slowClients(ctx context.Context, server string, n, addresses int, pause time.Duration) (wait func()) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i%addresses))}, Timeout: 5 * time.Second}
			for ctx.Err() == nil {
				if c, err := dialer.DialContext(ctx, "tcp", server); err == nil {
					slowRequest(ctx, c, slowHeads[i%len(slowHeads)])
				}
				select {
				case <-time.After(pause):
				case <-ctx.Done():
				}
			}
		})
	}
	return wg.Wait
}

// slowHeads are where requests stop: in the head, in the body, before both.
var slowHeads = []string{
	"POST /webhooks/bounce HTTP/1.1\r\nHost: example.org\r\nX-Slow: ",
	"POST /webhooks/bounce HTTP/1.1\r\nHost: example.org\r\nContent-Length: 1000\r\n\r\n{",
	"P",
}

// slowRequest sends a byte more every two seconds until c is closed.
func slowRequest(ctx context.Context, c net.Conn, head string) {
	defer context.AfterFunc(ctx, func() { c.Close() })()
	defer c.Close()
	io.WriteString(c, head)
	buf := make([]byte, 1)
	for {
		c.SetReadDeadline(time.Now().Add(2 * time.Second))
		_, err := c.Read(buf)
		if e, ok := err.(net.Error); !ok || !e.Timeout() {
			return
		}
		if _, err := c.Write([]byte("x")); err != nil {
			return
		}
	}
}

// genuine posts on a connection of its own, as a provider does, and again if it is cut off.
func genuinePost(server string) (took time.Duration, tries int) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	for start := time.Now(); ; {
		tries++
		resp, err := client.Post("http://"+server+"/webhooks/bounce", "application/json", strings.NewReader(`{"email":"jo@example.org","type":"hard","source":"test"}`))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return time.Since(start), tries
			}
		}
		if time.Since(start) > time.Minute {
			return time.Minute, tries
		}
	}
}

func TestWebhookSlowClientsDoNotKeepOthersOut(t *testing.T) {
	for _, addresses := range []int{1, 20} {
		t.Run(strconv.Itoa(addresses), func(t *testing.T) {
			sink := newJudge(nil)
			sink.recs = make(chan event.Record, 1000)
			url := startWebhook(t, "", "max_connections: 32\nmax_per_address: 16\nroutes: [{parser: native}]", sink)
			ctx, cancel := context.WithCancel(t.Context())
			wait := slowClients(ctx, strings.TrimPrefix(url, "http://"), 100, addresses, 100*time.Millisecond)
			for range 20 {
				if took, tries := genuinePost(strings.TrimPrefix(url, "http://")); took == time.Minute {
					t.Fatalf("kept out %d times", tries)
				}
			}
			cancel()
			wait()
		})
	}
}

// TestWebhookTenThousandSlowClients prints how a genuine POST fares beside BOUNCEFEED_SLOW_CLIENTS slow ones, and by how
// much the server grows. The server is a process of its own.
func TestWebhookTenThousandSlowClients(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("BOUNCEFEED_SLOW_CLIENTS"))
	if n == 0 {
		t.Skip("BOUNCEFEED_SLOW_CLIENTS is not set")
	}
	if server := os.Getenv("BOUNCEFEED_SLOW_SERVER"); server != "" {
		w, err := buildWebhook(t, "", "listen: '"+server+"'\nroutes: [{parser: native}]")
		if err != nil {
			t.Fatal(err)
		}
		w.Run(t.Context(), &agreeable{})
		return
	}
	for _, c := range []struct {
		addresses int
		pause     time.Duration
	}{{1, time.Hour}, {250, time.Hour}, {1, time.Second}, {250, time.Second}} {
		t.Run(fmt.Sprintf("%d addresses, again after %s", c.addresses, c.pause), func(t *testing.T) { measureSlow(t, n, c.addresses, c.pause) })
	}
}

type agreeable struct{ inputtest.Sink }

func (*agreeable) Commit(context.Context, []event.Record, map[string]string) error { return nil }

func measureSlow(t *testing.T, n, addresses int, pause time.Duration) {
	server := freeAddress(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestWebhookTenThousandSlowClients$")
	cmd.Env = append(os.Environ(), "BOUNCEFEED_SLOW_SERVER="+server)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for range 100 {
		genuinePost(server)
	}
	idle := residentKiB(t, cmd.Process.Pid, "VmRSS")
	ctx, cancel := context.WithCancel(t.Context())
	wait := slowClients(ctx, server, n, addresses, pause)
	var times []time.Duration
	again := 0
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		took, tries := genuinePost(server)
		times, again = append(times, took), again+tries-1
		time.Sleep(20 * time.Millisecond) // the rate of the genuine client, nothing is waited for
	}
	peak := residentKiB(t, cmd.Process.Pid, "VmHWM")
	cancel()
	wait()
	slices.Sort(times)
	t.Logf("%d slow clients: %d genuine posts, p50 %s, p99 %s, longest %s, %d cut off and repeated; memory idle %.1f MiB, peak +%.1f MiB",
		n, len(times), times[len(times)/2], times[len(times)*99/100], times[len(times)-1], again, float64(idle)/1024, float64(peak-idle)/1024)
	if p99 := times[len(times)*99/100]; p99 > time.Second || peak-idle > 32<<10 {
		t.Errorf("p99 %s, %d KiB more", p99, peak-idle)
	}
}

func residentKiB(t *testing.T, pid int, key string) int {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), key+":"); ok {
			n, _ := strconv.Atoi(strings.Fields(value)[0])
			return n
		}
	}
	t.Fatalf("no %s", key)
	return 0
}
