package agent

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/report"
	"bouncefeed/internal/web"
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
	s := web.New(config.Web{Listen: config.Listen{l.Addr().String()}}, log)
	a.servePage(s, func(args ReportArgs) (*report.Report, error) { // of so long ago the daemon's own statistics have nothing
		o, err := args.options(d.config.Host, time.Now())
		if err != nil {
			return nil, err
		}
		return tally.Make(o), nil
	})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	server := &http.Server{Handler: s, ReadHeaderTimeout: demoTime}
	defer server.Close()
	err = a.Run(ctx, func() {
		go func() { cancel(server.Serve(l)) }()
		shown("http://" + l.Addr().String() + "/")
	})
	if cause := context.Cause(ctx); err == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}
