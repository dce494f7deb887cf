// Package agent builds what the configuration asks for, runs it, watches over it and starts it again. It is the only
// package that knows all the others. A log line's way to its POST: the input reads it, the sink has it parsed
// (parsers), judged (classify) and stored (queue), the delivery takes it from there and the output posts it.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/internal/report"
	"bouncefeed/internal/web"
	"bouncefeed/outputs"
	"bouncefeed/parsers"
)

// Agent is the daemon.
type Agent struct {
	Level *slog.LevelVar // of log, if it may be changed while it runs

	config  *config.Config
	version string
	log     *slog.Logger
	started time.Time
	plan    *plan
	queue   *queue.Queue
	inputs  []runningInput
	outputs []runningOutput
	tail    tail
	aside   asideLook
	beat    pulse // of the maintenance, which writes to the queue

	maintenance condition   // of the queue
	web         *web.Server // for those who look on; nil: none
	webState    condition
	measured    measured
	figures     *figures
	running     atomic.Bool // everything has started

	logHosts *logHosts
	copies   *copyTargets
	counting *counting
	findings *findings

	reload  func() error // reads the configuration anew; nil: nobody does
	problem string       // with the configuration that was asked for
}

// plan is the configuration as modules: built without any I/O, so that check can do it too.
type plan struct {
	inputs     []plannedInput
	outputs    []plannedOutput
	alerts     *outputs.Alerts // nil: none
	classifier *classify.Classifier
}

type plannedInput struct {
	name  string
	kind  string
	env   config.Env
	built inputs.Built
	state *condition
}

type plannedOutput struct {
	name  string
	kind  string
	log   *slog.Logger
	built outputs.Built
}

// runningInput is an input with what takes its records.
type runningInput struct {
	plannedInput
	sink *sink
}

// runningOutput is an output with what brings it the events.
type runningOutput struct {
	plannedOutput
	delivery *delivery
}

// New builds every module of cfg. The error is a config.Errors with all mistakes.
func New(cfg *config.Config, file, version string, log *slog.Logger) (*Agent, error) {
	p, err := newPlan(cfg, file, version, log)
	if err != nil {
		return nil, err
	}
	return &Agent{
		config: cfg, version: version, log: log, plan: p, counting: newCounting(p.classifier, time.Now), started: time.Now(), measured: newMeasured(), figures: newFigures(),
	}, nil
}

func newPlan(cfg *config.Config, file, version string, log *slog.Logger) (*plan, error) {
	p := &plan{}
	var errs []error
	env := func(kind, name string) config.Env {
		return config.Env{Name: name, Host: cfg.Host, Version: version, Log: log.With(kind, name), Retain: cfg.Queue.Retain.Std()}
	}
	for _, in := range cfg.Inputs {
		e := env("input", in.Name)
		built, err := inputs.Modules.Build(e, in.Value)
		if err != nil {
			errs = append(errs, err, checkParsers(e, in.Value))
		} else {
			errs = append(errs, checkFormats(e, in.Value, built))
			p.inputs = append(p.inputs, plannedInput{in.Name, in.Value.Type, e, built, &condition{}})
		}
	}
	errs = append(errs, checkPlaces(cfg, p.inputs))
	for _, out := range cfg.Outputs {
		e := env("output", out.Name)
		built, err := outputs.Modules.Build(e, out.Value)
		errs = append(errs, err)
		if err == nil {
			p.outputs = append(p.outputs, plannedOutput{out.Name, out.Value.Type, e.Log, built})
			errs = append(errs, checkNamedInputs(cfg, out.Value, built.Settings.Inputs), checkTarget(out.Value, placeOf(built.Output), p.inputs))
		}
	}
	if len(cfg.Inputs) == 0 {
		errs = append(errs, config.Missing(file, "inputs", "no inputs: nothing to read"))
	}
	if len(cfg.Outputs) == 0 {
		errs = append(errs, config.Missing(file, "outputs", "no outputs: nowhere to send"))
	}
	var err error
	if cfg.Alerts.On() {
		p.alerts, err = outputs.NewAlerts(env("alerts", "alerts"), &cfg.Alerts)
		errs = append(errs, err)
	}
	p.classifier, err = newClassifier(cfg.Rules)
	errs = append(errs, err)
	return p, config.Join(file, errs...)
}

func checkFormats(env config.Env, in config.Section, built inputs.Built) error {
	if r, ok := built.Input.(inputs.Routed); ok {
		return checkRequests(env, r.Routes())
	}
	if built.Settings.Parser.Type == "" {
		return in.Errorf("", "lacks its parser: one of %s", strings.Join(LineFormats(), ", "))
	}
	_, err := parsers.Modules.Build(env, built.Settings.Parser)
	return err
}

// checkParsers tells the mistakes in the parsers of an input that has mistakes itself.
func checkParsers(env config.Env, in config.Section) error {
	var errs []error
	for _, section := range in.Nested("parser") {
		_, err := parsers.Modules.Build(env, section)
		errs = append(errs, err)
	}
	return config.Join("", errs...)
}

func newClassifier(rules []config.Rule) (*classify.Classifier, error) {
	own := make([]classify.Rule, len(rules))
	for i, r := range rules {
		own[i] = classify.Rule{Name: r.Name, Code: r.Code, Status: r.Status, Text: r.Text, Remote: r.Remote, Reason: r.Reason, Type: r.Type}
	}
	c, err := classify.New(own)
	if mistakes, ok := errors.AsType[classify.Mistakes](err); ok {
		var errs []error
		for _, m := range mistakes {
			errs = append(errs, rules[m.Rule].Errorf(m.Key, "%s", m.Message))
		}
		err = config.Join("", errs...)
	}
	return c, err
}

// Run opens the queue and works until ctx ends (nil) or the queue breaks (the error). ready is called once everything
// has started.
func (a *Agent) Run(ctx context.Context, ready func()) error {
	o := queueOptions(a.config, a.log, a.counting)
	o.Committed = a.measured.commits.Of()
	o.Told = a.figures.add
	q, err := queue.Open(a.config.Queue.Path, o)
	if err != nil {
		return err
	}
	a.queue = q
	defer func() {
		if cerr := q.Close(); cerr != nil {
			a.log.Error("close queue", "error", cerr)
		}
	}()
	if err := a.figures.begin(q, time.Now()); err != nil {
		return err
	}
	listener, err := control.Listen(a.config.Control.Socket, controlMode, a.config.Control.Group)
	if err != nil {
		return err
	}
	a.assemble()
	a.web = a.newWeb()
	messages, err := a.listenForMessages()
	if err != nil {
		listener.Close()
		return err
	}
	return a.work(ctx, listener, messages, ready)
}

func openQueue(cfg *config.Config, log *slog.Logger, c *counting) (*queue.Queue, error) {
	return queue.Open(cfg.Queue.Path, queueOptions(cfg, log, c))
}

func queueOptions(cfg *config.Config, log *slog.Logger, c *counting) queue.Options {
	return queue.Options{Skip: cfg.Queue.OnDamage == "skip", MaxSize: int64(cfg.Queue.MaxSize), Retain: cfg.Queue.Retain.Std(), History: cfg.Queue.Retain.Std(), Outputs: outputNames(cfg), Oldest: fromOldest(cfg), Guard: newGuard(ruleOf(&cfg.Guard), log), Log: log, Counted: c.failure}
}

// assemble makes a sink for every input and a delivery for every output.
func (a *Agent) assemble() {
	a.logHosts = newLogHosts()
	a.logHosts.behind = a.isBehind
	a.copies = newCopyTargets()
	a.findings = a.newFindings()
	for _, in := range a.plan.inputs {
		if readsLog(in.built.Settings.Parser.Type) {
			a.logHosts.add(a.config.Host)
		}
	}
	for _, in := range a.plan.inputs {
		a.inputs = append(a.inputs, runningInput{in, a.newSink(in)})
	}
	for _, out := range a.plan.outputs {
		a.outputs = append(a.outputs, runningOutput{out, &delivery{
			name: out.name, hurry: make(chan struct{}, 1), out: out.built.Output, settings: out.built.Settings, queue: a.queue, log: out.log, verifying: newVerifying(out.built.Output, out.log),
			observe: func(outcome string, e *event.Event) { a.tail.publish(out.name, outcome, e) },
			took:    a.measured.requests.Of(out.name),
		}})
	}
}

func (a *Agent) newSink(in plannedInput) *sink {
	stored := &ahead{Stored: a.queue.Stored(in.name)}
	return newSink(sinkConfig{
		name: in.name, env: in.env, format: in.built.Settings.Parser, formats: sections(in.built.Input),
		senders: in.built.Settings.Senders, trust: in.built.Settings.Trust, container: in.built.Settings.Container, ledger: ledger{a.queue.Secret(), a.queue.WasSent},
		classifier: a.plan.classifier, now: time.Now, store: a.queue,
		memory:  func(p parsers.Stateful) error { return loadStored(p, stored) },
		ahead:   stored,
		watcher: &inputWatcher{in, &a.tail}, logHosts: a.logHosts, copies: a.copies, passes: newPasses(a.counting, a.countsPassages(in)),
	})
}

// countsPassages says whether an input's word of what was accepted or put off counts: a provider's, where no log tells of the
// same mail.
func (a *Agent) countsPassages(in plannedInput) bool {
	isLog := func(in plannedInput) bool { return readsLog(in.built.Settings.Parser.Type) }
	return isLog(in) || !slices.ContainsFunc(a.plan.inputs, isLog)
}

func (a *Agent) newFindings() *findings {
	f := &findings{report: a.report, queue: a.queue, log: a.log, host: a.config.Host, alerts: a.plan.alerts, open: map[string]*keptFinding{}}
	if err := f.least.UnmarshalText([]byte(a.config.Alerts.MinSeverity)); err != nil { // checked before
		f.least = report.Warning
	}
	return f
}

// inputWatcher tells `status` and `tail` how an input fares.
type inputWatcher struct {
	plannedInput
	tail *tail
}

func (w *inputWatcher) committed() {
	if failed, times := w.state.succeed(); failed > 0 {
		w.env.Log.Info("reading again", "after", failed.Round(time.Second).String(), "failures", times)
	}
}

func (w *inputWatcher) found(outcome string, e *event.Event) { w.tail.publish(w.name, outcome, e) }

// work runs everything side by side; the first fatal error ends it all.
func (a *Agent) work(ctx context.Context, listener, messages net.Listener, ready func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	start := func(name string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	start("control", func(ctx context.Context) error { return control.Serve(ctx, listener, a.answers()) })
	if messages != nil {
		start("deliver", func(ctx context.Context) error {
			return control.ServePublic(ctx, messages, []control.Answer{Calls.Deliver.Answer(a.answerDeliver)})
		})
	}
	if a.web != nil {
		start("web", a.serveWeb)
	}
	start("maintenance", a.maintain)
	start("reports that wait", a.releaseWaiting)
	start("findings", func(ctx context.Context) error {
		return supervise(ctx, a.log, &a.findings.looks, isFatal, a.findings.run)
	})
	for _, out := range a.outputs {
		start("output "+out.name, out.delivery.run)
	}
	for _, in := range a.inputs {
		start("input "+in.name, func(ctx context.Context) error {
			return supervise(ctx, in.env.Log, in.state, isFatal, func(ctx context.Context) error {
				return in.built.Input.Run(ctx, in.sink)
			})
		})
	}
	for _, in := range a.inputs {
		in.env.Log.Info("reading", "type", in.kind, "from", placeOf(in.built.Input), "parser", strings.Join(in.parsers(), ","))
	}
	for _, out := range a.outputs {
		out.log.Info("delivering", "type", out.kind, "to", placeOf(out.built.Output), "send", strings.Join(out.built.Settings.Send, ","))
	}
	a.log.Info("running", "version", a.version, "inputs", len(a.inputs), "outputs", len(a.outputs), "queue", a.config.Queue.Path)
	a.awaitOpen(ctx)
	a.running.Store(true)
	ready()
	wg.Go(func() { a.tellSystemd(ctx) })
	wg.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	a.log.Info("stopped")
	return nil
}

// placeOf says where a module reads or posts, if it can: a path, a URL, a mailbox.
func placeOf(module any) string {
	if s, ok := module.(fmt.Stringer); ok {
		return s.String()
	}
	return ""
}

// isFatal: a damaged queue is mended by starting anew, which the supervisor of the process does.
func isFatal(err error) bool { return errors.Is(err, queue.ErrDamaged) }

const maintainEvery = time.Minute

// maintain prunes and compacts the queue now and then, and gives back the memory that a backlog took.
func (a *Agent) maintain(ctx context.Context) error {
	state := &a.maintenance
	a.beat.beat()
	for wait(ctx, maintainEvery) {
		err := errors.Join(a.softenHeld(), a.queue.Maintain())
		a.beat.beat()
		debug.FreeOSMemory()
		switch {
		case err == nil:
			state.succeed()
		case isFatal(err):
			return err
		case state.fail(err):
			a.log.Warn("queue maintenance, trying again", "error", err)
		}
	}
	return nil
}
