package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/report"
)

// DemoRow is one recipient of the demo: what its mail server said, what should come of it, and what did.
type DemoRow struct {
	Recipient string
	Said      string // in short
	Want      string // the type that must be reported; "" for nothing
	Why       string // why nothing is reported
	Got       []DemoPost
}

// DemoPost is one POST that the demo's receiver took.
type DemoPost struct {
	Type, Reason string
	Body         string
}

// Right says whether exactly what should be reported was.
func (r DemoRow) Right() bool {
	if r.Want == "" {
		return len(r.Got) == 0
	}
	return len(r.Got) == 1 && r.Got[0].Type == r.Want
}

const demoTime = 20 * time.Second

// Demo writes a sample mail log into a temporary folder, runs the real agent over it and delivers to a receiver of its
// own. The rows are in the order of the log, strangers is what was posted and belongs to no row, made the report of the log.
func Demo(ctx context.Context, version string, log *slog.Logger) (rows []DemoRow, strangers []DemoPost, made *report.Report, err error) {
	d, err := newDemo(demoLog(time.Now()))
	if err != nil {
		return nil, nil, nil, err
	}
	defer d.close()
	if err := runUntilRead(ctx, d.config, version, log); err != nil {
		return nil, nil, nil, err
	}
	rows, strangers = d.receiver.sort(demoRows())
	r := &ReportOfFiles{Backfill: Backfill{Files: []string{d.mailLog}, As: "postfix", Config: d.config, Version: version, Log: log}}
	made, _, err = r.Make(ctx)
	return rows, strangers, made, err
}

// demo is what a daemon needs to read a mail log and deliver to somebody, in a temporary folder.
type demo struct {
	dir      string
	mailLog  string
	config   *config.Config
	receiver *demoReceiver
	server   *http.Server
}

func newDemo(mailLog []byte) (d *demo, err error) {
	d = &demo{receiver: &demoReceiver{}}
	if d.dir, err = os.MkdirTemp("", "bouncefeed-demo-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	d.mailLog = filepath.Join(d.dir, "mail.log")
	if err := os.WriteFile(d.mailLog, mailLog, 0o600); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d.server = &http.Server{Handler: d.receiver, ReadHeaderTimeout: demoTime}
	go d.server.Serve(l)
	d.config, err = config.Parse("demo.yaml", fmt.Appendf(nil, demoConfig, d.mailLog, l.Addr(), d.dir, d.dir))
	return d, err
}

func (d *demo) close() {
	if d.server != nil {
		d.server.Close()
	}
	os.RemoveAll(d.dir)
}

const demoConfig = `
inputs:
  postfix: {type: logfile, path: %s, parser: postfix, start: beginning, senders: ["*@news.example.com"]}
outputs:
  listmonk: {type: listmonk, url: "http://%s/webhooks/bounce", max_rate: 0}
queue: {path: %s/queue.db}
control: {socket: %s/control.sock}
`

// runUntilRead runs the agent until it has read all there is and delivered it.
func runUntilRead(ctx context.Context, cfg *config.Config, version string, log *slog.Logger) error {
	a, err := New(cfg, "demo.yaml", version, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, demoTime)
	defer cancel()
	ended := make(chan error, 1)
	started := make(chan struct{})
	go func() { ended <- a.Run(ctx, func() { close(started) }) }()
	select {
	case <-started:
	case err := <-ended:
		return err
	}
	for wait(ctx, 20*time.Millisecond) {
		st, err := a.Status()
		if err != nil {
			return err
		}
		if in, out := st.Inputs[0], st.Outputs[0]; in.Lag == 0 && in.Read > 0 && out.Pending == 0 {
			break
		}
	}
	timedOut := ctx.Err() != nil
	cancel()
	err = <-ended
	if err == nil && timedOut {
		err = fmt.Errorf("not done within %s", demoTime)
	}
	return err
}

// demoReceiver stands for listmonk.
type demoReceiver struct {
	mu    sync.Mutex
	posts map[string][]DemoPost // by e-mail address
}

func (r *demoReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	var post struct {
		Email string `json:"email"`
		Type  string `json:"type"`
		Meta  struct {
			Reason string `json:"reason"`
		} `json:"meta"`
	}
	if err != nil || json.Unmarshal(body, &post) != nil || req.URL.Path != "/webhooks/bounce" {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.posts == nil {
		r.posts = map[string][]DemoPost{}
	}
	r.posts[post.Email] = append(r.posts[post.Email], DemoPost{post.Type, post.Meta.Reason, string(body)})
	fmt.Fprintln(w, `{"data":true}`)
}

// sort gives every row its posts, and the posts that belong to none.
func (r *demoReceiver) sort(rows []DemoRow) (_ []DemoRow, strangers []DemoPost) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range rows {
		rows[i].Got = r.posts[rows[i].Recipient]
		delete(r.posts, rows[i].Recipient)
	}
	for _, posts := range r.posts {
		strangers = append(strangers, posts...)
	}
	return rows, strangers
}
