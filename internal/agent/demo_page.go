package agent

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"bouncefeed/internal/page"
	"bouncefeed/internal/report"
)

// DemoPage has the real agent read the log of two months, and serves its page at a loopback address until ctx ends. shown is
// called with where that is.
func DemoPage(ctx context.Context, version, listen string, log *slog.Logger, shown func(url string)) error {
	d, err := newDemo(demoMonth(time.Now()))
	if err != nil {
		return err
	}
	defer d.close()
	d.config.Host = "mail.example.com"
	r := &ReportOfFiles{Backfill: Backfill{Files: []string{d.mailLog}, As: "postfix", Version: version, Log: log}}
	tally, _, err := r.read(ctx)
	if err != nil {
		return err
	}
	a, err := New(d.config, "demo.yaml", version, log)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	source := &pageSource{agent: a, now: time.Now, report: func(o report.Options) (*report.Report, error) { return tally.Make(o), nil }}
	server := &http.Server{Handler: page.New(source, log), ReadHeaderTimeout: demoTime}
	return a.Run(ctx, func() {
		go func() { cancel(server.Serve(l)) }()
		shown("http://" + l.Addr().String() + "/")
	})
}
