package outputs

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// natsDouble speaks as much of the protocol of NATS (docs.nats.io/reference/reference-protocols/nats-protocol) as a
// publisher needs: INFO, PING, SUB, HPUB. The end-to-end tests have real servers.
type natsDouble struct {
	url string

	mu     sync.Mutex
	ids    []string
	places []string                                // their subjects
	answer func(subject, id string) (reply string) // a PubAck, or what else the stream says; "": nothing
}

const pubAck = `{"stream":"BOUNCES","seq":1}`

func startNATSDouble(t *testing.T) *natsDouble {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	d := &natsDouble{url: "nats://" + l.Addr().String(), answer: func(string, string) string { return pubAck }}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go d.serve(conn)
		}
	}()
	return d
}

func (d *natsDouble) be(answer func(subject, id string) string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = answer
}

func (d *natsDouble) seen() (ids, places []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.ids...), append([]string(nil), d.places...)
}

func (d *natsDouble) serve(conn net.Conn) {
	defer conn.Close()
	fmt.Fprint(conn, `INFO {"server_id":"double","server_name":"double","version":"2.10.0","proto":1,"headers":true,"max_payload":65536}`+"\r\n")
	in := bufio.NewReader(conn)
	sid := ""
	for {
		line, err := in.ReadString('\n')
		words := strings.Fields(line)
		if err != nil || len(words) == 0 {
			return
		}
		switch words[0] {
		case "PING":
			fmt.Fprint(conn, "PONG\r\n")
		case "SUB":
			sid = words[len(words)-1]
		case "HPUB": // subject reply header-length total
			n, _ := strconv.Atoi(words[len(words)-1])
			body := make([]byte, n+2)
			if _, err := io.ReadFull(in, body); err != nil {
				return
			}
			if reply := d.take(words[1], string(body)); reply != "" {
				fmt.Fprintf(conn, "MSG %s %s %d\r\n%s\r\n", words[2], sid, len(reply), reply)
			}
		}
	}
}

func (d *natsDouble) take(subject, message string) string {
	r := textproto.NewReader(bufio.NewReader(strings.NewReader(message)))
	_, _ = r.ReadLine() // NATS/1.0
	header, _ := r.ReadMIMEHeader()
	id := header.Get("Nats-Msg-Id")
	d.mu.Lock()
	answer := d.answer
	d.mu.Unlock()
	reply := answer(subject, id)
	if reply == pubAck {
		d.mu.Lock()
		d.ids, d.places = append(d.ids, id), append(d.places, subject)
		d.mu.Unlock()
	}
	return reply
}

func natsReceiver(t *testing.T) *receiver {
	d := startNATSDouble(t)
	began := make(chan struct{}, 1)
	return &receiver{
		lines: []string{"servers: [" + d.url + "]", "batch: 10"},
		ids:   func() []string { ids, _ := d.seen(); return ids },
		breaks: func(*testing.T) {
			d.be(func(string, string) string {
				return `{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}}`
			})
		},
		mends: func(*testing.T) { d.be(func(string, string) string { return pubAck }) },
		hangs: func(*testing.T) <-chan struct{} {
			d.be(func(string, string) string { began <- struct{}{}; return "" })
			return began
		},
	}
}
