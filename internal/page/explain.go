package page

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"

	"bouncefeed/internal/event"
)

// Explained is what Explain says of a text.
type Explained struct {
	As       string // the format it was read as
	Summary  string // "1 line: 1 bounce (1 hard)"
	Notes    []string
	Verdicts []Verdict
	More     bool // there is more than is shown
}

// Verdict is what one line, message or reply is.
type Verdict struct {
	Place  string // "line 3"; "" of what is one
	Kind   string // bounce, delivered, refused …, in the words of `bouncefeed words`
	Means  string
	Remedy string
	Events []Judged
}

// Judged is one recipient's outcome.
type Judged struct {
	event.Event
	Reported string
}

// Asking is the form.
type Asking struct {
	Formats []string
	As      string
	Text    string
}

// Explanation is the page that answers.
type Explanation struct {
	Frame
	Asking  Asking
	Problem string
	Answer  *Answer
}

// Answer is an Explained as it is shown.
type Answer struct {
	As, Summary string
	Notes       []string
	Items       []Item
	More        bool
}

// Item is a verdict as it is shown.
type Item struct {
	Place, Title, Word, Means, Remedy string
	Class                             string // hard, soft, ours …: its colour
	Reported                          string
	Fields                            [][2]string
}

const (
	maxPasted = 64 << 10 // of the form's text, in bytes
	maxFile   = 1 << 20
	// MaxVerdicts is how many lines or messages are answered for.
	MaxVerdicts = 500
)

const asAuto = "" // the format is guessed

func (p *page) asking() Asking { return Asking{Formats: p.source.Formats()} }

func (p *page) ask(w http.ResponseWriter, _ *http.Request) {
	p.show(w, http.StatusOK, "explain", &Explanation{Frame: Frame{Title: "Explain"}, Asking: p.asking()})
}

// explain answers for what was pasted. That is neither kept nor logged, and stands in no address.
func (p *page) explain(w http.ResponseWriter, r *http.Request) {
	e := &Explanation{Frame: Frame{Title: "Explain"}, Asking: p.asking()}
	r.Body = http.MaxBytesReader(w, r.Body, maxFile+2*3*maxPasted)
	pasted, problem, status := p.pasted(r, e)
	if problem != "" {
		e.Problem = problem
		p.show(w, status, "explain", e)
		return
	}
	select {
	case p.explaining <- struct{}{}:
		defer func() { <-p.explaining }()
	default:
		e.Problem = "Others are being answered: try again in a moment."
		w.Header().Set("Retry-After", "2")
		p.show(w, http.StatusServiceUnavailable, "explain", e)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), p.patience)
	defer cancel()
	said, err := p.source.Explain(ctx, e.Asking.As, pasted)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		e.Problem = "That takes too long here: bouncefeed explain takes any length."
	case err != nil:
		e.Problem = "That can't be read: " + err.Error()
	}
	if said != nil {
		e.Answer = said.answer()
	}
	p.show(w, http.StatusOK, "explain", e)
}

// pasted takes the text, or the file, out of a form. Nothing of it is put on disk.
func (p *page) pasted(r *http.Request, e *Explanation) (pasted []byte, problem string, status int) {
	err := r.ParseForm()
	if err == nil {
		if err = r.ParseMultipartForm(2 * maxFile); errors.Is(err, http.ErrNotMultipart) { // all of it in memory
			err = nil
		}
	}
	if r.MultipartForm != nil {
		defer r.MultipartForm.RemoveAll()
	}
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, "That is more than can be pasted here: bouncefeed explain takes any length.", http.StatusRequestEntityTooLarge
	}
	if err != nil {
		return nil, "The form did not arrive whole.", http.StatusBadRequest
	}
	e.Asking.As, e.Asking.Text = r.PostFormValue("as"), r.PostFormValue("text")
	if e.Asking.As != asAuto && !slices.Contains(e.Asking.Formats, e.Asking.As) {
		e.Asking.As = asAuto
		return nil, "There is no such format.", http.StatusBadRequest
	}
	if len(e.Asking.Text) > 2*maxPasted {
		return nil, "That is more than can be pasted here: give it as a file.", http.StatusRequestEntityTooLarge
	}
	pasted = []byte(e.Asking.Text)
	if len(pasted) == 0 && r.MultipartForm != nil && len(r.MultipartForm.File["file"]) > 0 {
		f, err := r.MultipartForm.File["file"][0].Open()
		if err != nil {
			return nil, "The file did not arrive whole.", http.StatusBadRequest
		}
		defer f.Close()
		if pasted, err = io.ReadAll(f); err != nil {
			return nil, "The file did not arrive whole.", http.StatusBadRequest
		}
	}
	if len(pasted) == 0 {
		return nil, "Paste something, or choose a file.", http.StatusBadRequest
	}
	return pasted, "", http.StatusOK
}

// answer makes rows of it.
func (x *Explained) answer() *Answer {
	a := &Answer{As: x.As, Summary: x.Summary, Notes: x.Notes, More: x.More}
	for i := range x.Verdicts {
		v := &x.Verdicts[i]
		for j := range v.Events {
			a.Items = append(a.Items, v.Events[j].item(v))
		}
		if len(v.Events) == 0 {
			a.Items = append(a.Items, Item{Place: v.Place, Title: "Nothing to report", Word: v.Kind, Means: sentence(v.Means), Remedy: sentence(v.Remedy), Class: "none"})
		}
	}
	if len(a.Items) == 1 {
		a.Items[0].Place = ""
	}
	return a
}

func (e *Judged) item(v *Verdict) Item {
	it := Item{Place: v.Place, Word: string(e.Reason), Means: sentence(means[e.Reason]), Reported: e.Reported, Remedy: sentence(v.Remedy)}
	switch {
	case e.Type == event.Complaint:
		it.Title, it.Class, it.Means = "Complaint", "hard", "The recipient called the mail spam."
	case e.Fault == event.FaultSender:
		it.Title, it.Class = "Soft bounce, our own fault", "ours"
	case e.Fault == event.FaultRecipient && e.Type == event.Hard:
		it.Title, it.Class = "Hard bounce: the recipient can't be reached for good", "hard"
	case e.Fault == event.FaultRecipient:
		it.Title, it.Class = "Soft bounce: the recipient can't be reached for now", "soft"
	case e.Fault == event.FaultTransient:
		it.Title, it.Class = "Soft bounce: nobody's fault for certain", "gaveup"
	default:
		it.Title, it.Class = "Soft bounce of unknown cause", "gaveup"
	}
	code := ""
	if e.Code != 0 {
		code = itoa(e.Code)
	}
	for _, f := range [][2]string{
		{"Recipient", e.Recipient}, {"Delivered to", e.OriginalRecipient}, {"Subscriber", e.SubscriberUUID}, {"Campaign", e.CampaignUUID},
		{"Message-ID", e.MessageID}, {"Queue id", e.QueueID}, {"Envelope sender", e.Sender}, {"Remote host", e.RemoteMTA},
		{"SMTP code", code}, {"Enhanced status", e.Status}, {"Said", e.Diagnostic}, {"Rule", e.Rule},
	} {
		if f[1] != "" {
			it.Fields = append(it.Fields, f)
		}
	}
	return it
}
