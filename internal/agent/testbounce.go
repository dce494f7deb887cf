package agent

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
)

// TestBounce is a mail that must fail, sent through this machine's mail server and followed through the daemon.
type TestBounce struct {
	Config   *config.Config
	Socket   string
	To       string // "": an address that no mail server can deliver to
	From     string // envelope sender; "": one that fits senders:, else the mail server's choice
	Sendmail string // "": where it usually is
	Patience time.Duration
}

// ErrTestBounce: it did not arrive where it should; the findings say how far it came.
var ErrTestBounce = errors.New("the test bounce did not come through")

// Run sends and follows; step is called with each finding as it comes.
func (t TestBounce) Run(ctx context.Context, step func(Finding)) error {
	before, err := Calls.Status.Ask(ctx, t.Socket, control.None{}, nil)
	if err != nil {
		return err
	}
	marker := "bouncefeed-test-" + strings.ToLower(rand.Text()[:12])
	t.To = cmp.Or(t.To, marker+"@invalid.invalid")
	t.From = cmp.Or(t.From, t.sender())

	ctx, cancel := context.WithTimeout(ctx, t.Patience)
	defer cancel()
	lines := make(chan Line, 64)
	watching := make(chan error, 1)
	go func() {
		watching <- Calls.Tail.Each(ctx, t.Socket, LineFilter{Follow: true}, nil, func(l Line, _ json.RawMessage) error {
			if strings.EqualFold(l.Event.Recipient, t.To) || strings.EqualFold(l.Event.OriginalRecipient, t.To) {
				lines <- l
			}
			return nil
		})
	}()
	defer func() { cancel(); <-watching }()
	if !wait(ctx, 200*time.Millisecond) { // the daemon watches for us from now on
		return ctx.Err()
	}
	if err := t.send(ctx, marker); err != nil {
		return err
	}
	from := ""
	if t.From != "" {
		from = " from " + t.From
	}
	step(Finding{What: "mail", OK: true, Detail: "handed to the mail server, to " + t.To + from})
	return t.follow(ctx, lines, before, step)
}

// sender is an envelope sender that the first of senders: takes; "": there are none.
func (t TestBounce) sender() string {
	for _, in := range t.Config.Inputs {
		for _, pattern := range in.Value.Texts("senders") {
			if _, domain, _ := strings.Cut(pattern, "@"); domain != "" && !strings.Contains(domain, "*") {
				return strings.Replace(pattern, "*", "bouncefeed-test", 1)
			}
		}
	}
	return ""
}

func (t TestBounce) send(ctx context.Context, marker string) error {
	program := t.Sendmail
	for _, p := range []string{"/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/bin/sendmail"} {
		if _, err := os.Stat(p); err == nil && program == "" {
			program = p
		}
	}
	if program == "" {
		return errors.New("there is no sendmail(1) here: run this where the mail server is, or name the program with --sendmail")
	}
	args := []string{"-i"}
	if t.From != "" {
		args = append(args, "-f", t.From)
	}
	cmd := exec.CommandContext(ctx, program, append(args, "--", t.To)...)
	cmd.Stdin = strings.NewReader(fmt.Sprintf("To: %s\nSubject: bouncefeed test-bounce\nMessage-Id: <%s@%s>\nDate: %s\nAuto-Submitted: auto-generated\n\nThis mail must fail. bouncefeed test-bounce sent it to see what becomes of the failure.\n",
		t.To, marker, t.Config.Host, time.Now().Format("Mon, 02 Jan 2006 15:04:05 -0700")))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(said.String()))
	}
	return nil
}

// follow waits for the daemon to find the bounce and for each output to be done with it.
func (t TestBounce) follow(ctx context.Context, lines <-chan Line, before Status, step func(Finding)) error {
	open := map[string]bool{}
	for _, out := range before.Outputs {
		open[out.Name] = true
	}
	found := false
	for !found || len(open) > 0 {
		var l Line
		select {
		case l = <-lines:
		case <-ctx.Done():
			t.explain(before, found, open, step)
			return ErrTestBounce
		}
		what := fmt.Sprintf("%s %s: %s", l.Event.Type, l.Event.Reason, l.Event.Diagnostic)
		switch l.Outcome {
		case "queued":
			found = true
			step(Finding{What: "input " + l.Module, OK: true, Detail: "found and stored: " + what})
		case "held":
			step(Finding{What: "input " + l.Module, Detail: "held, for want of proof that the mail was ours (bouncefeed held list): " + what})
			return ErrTestBounce
		case "sent":
			delete(open, l.Module)
			step(Finding{What: "output " + l.Module, OK: true, Detail: "delivered (listmonk takes bounces of unknown subscribers, too, and forgets them)"})
		case "not_sent":
			delete(open, l.Module)
			step(Finding{What: "output " + l.Module, OK: true, Detail: "kept back by its send:, as configured"})
		case "dead":
			step(Finding{What: "output " + l.Module, Detail: "refused for good by the receiver: bouncefeed dead list says why"})
			return ErrTestBounce
		}
	}
	return nil
}

// explain says how far it came, by what the counters say of the meantime.
func (t TestBounce) explain(before Status, found bool, open map[string]bool, step func(Finding)) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	after, err := Calls.Status.Ask(ctx, t.Socket, control.None{}, nil)
	if err != nil {
		step(Finding{What: "daemon", Detail: err.Error()})
		return
	}
	for _, out := range after.Outputs {
		if found && open[out.Name] {
			step(Finding{What: "output " + out.Name, Detail: "stored, not delivered yet: " + cmp.Or(out.Problem, fmt.Sprintf("%d events wait", out.Pending))})
		}
	}
	if found {
		return
	}
	for i, in := range after.Inputs {
		f := Finding{What: "input " + in.Name, Detail: in.Problem}
		if i < len(before.Inputs) && in.Problem == "" {
			f.Detail = meanwhile(before.Inputs[i], in)
		}
		step(f)
	}
	step(Finding{What: "mail", Detail: fmt.Sprintf("no bounce within %s. Does the mail server still try (postqueue -p, exim -bp)? Does it hand everything to another server, which reports by mail? Look for %s in its log", t.Patience, t.To)})
}

// meanwhile says what an input has read since before.
func meanwhile(before, after InputStatus) string {
	if after.Read == before.Read {
		return "nothing was read since the mail was sent: does the mail server log there? (" + after.At + ")"
	}
	var counted []string
	for _, w := range Words {
		counts := []map[string]uint64{before.Ignored, after.Ignored}
		if w.Refused {
			counts = []map[string]uint64{before.Refused, after.Refused}
		}
		if n := counts[1][w.Word] - counts[0][w.Word]; n > 0 && w.Word != "other" {
			counted = append(counted, fmt.Sprintf("%d %s (%s)", n, w.Word, strings.Join(nonEmpty(w.Means, w.Remedy), ": ")))
		}
	}
	if len(counted) == 0 {
		return fmt.Sprintf("%d lines were read since, none of them tells of a bounce", after.Read-before.Read)
	}
	return fmt.Sprintf("%d lines were read since: %s", after.Read-before.Read, strings.Join(counted, "; "))
}

func nonEmpty(texts ...string) (all []string) {
	for _, t := range texts {
		if t != "" {
			all = append(all, t)
		}
	}
	return all
}
