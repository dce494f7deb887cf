package agent

import (
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
)

// trusting is a delivery that reads nothing back, to a listmonk that is killed when half is posted and holds what it lost.
func trusting(t *testing.T, config string) (s *shipper, d *delivery, lost, doubled int) {
	t.Helper()
	s = newShipper(t, ", verify: off"+config)
	s.m.Insert(5 * time.Millisecond)
	q := openTestQueue(t, t.TempDir())
	s.store(t, q, 0, 200)
	d, _ = startDelivery(t, q, s.out, func(d *delivery) { d.settings.MaxRate = 400 })
	eventually(t, "half is posted", func() bool { return s.m.Requests()["POST /webhooks/bounce"] >= 100 })
	s.m.Kill()
	s.m.Insert(0)
	<-time.After(300 * time.Millisecond) // as long as a restart takes at least
	s.m.Start(t, nil)
	eventually(t, "all is posted", func() bool { return pending(t, q) == 0 })
	eventually(t, "all is stored", func() bool { return s.m.Queued() == 0 })
	lost, doubled = s.figures()
	return s, d, lost, doubled
}

func (s *shipper) figures() (lost, doubled int) {
	ids := s.m.Stored()
	for n := range 200 {
		switch ids[s.stranger(n).ID] {
		case 0:
			lost++
		case 1:
		default:
			doubled++
		}
	}
	return lost, doubled
}

// After a break what listmonk may have lost is posted again, where that is wanted; and by hand.
func TestResend(t *testing.T) {
	_, _, lost, doubled := trusting(t, ", after_break: resend")
	if t.Logf("resend: %d lost, %d doubled", lost, doubled); lost > 0 || doubled == 0 {
		t.Errorf("resend: %d lost, %d doubled", lost, doubled)
	}
	s, d, lost, doubled := trusting(t, "")
	if t.Logf("trust: %d lost, %d doubled", lost, doubled); lost == 0 || doubled > 1 { // the one of which nobody knows
		t.Errorf("trust: %d lost, %d doubled", lost, doubled)
	}
	a := &Agent{queue: d.queue, outputs: []runningOutput{{plannedOutput{name: "out"}, d}}}
	if n, err := a.resend(ResendArgs{Since: time.Now().Add(-time.Hour), Output: "out"}); n != 200 || err != nil {
		t.Errorf("resend by hand: %d, %v", n, err)
	}
	e2etest.WaitFor(t, 5*time.Millisecond, "all is posted again", func() bool { return pending(t, d.queue) == 0 && s.m.Queued() == 0 })
	if lost, doubled = s.figures(); lost > 0 {
		t.Errorf("by hand: %d lost, %d doubled", lost, doubled)
	}
	if _, err := a.resend(ResendArgs{Output: "x"}); err == nil {
		t.Error("another output")
	}
}

func TestWindow(t *testing.T) {
	at := time.Date(2026, 11, 29, 16, 0, 0, 0, time.UTC)
	w := window{keep: time.Minute, resend: true}
	for n := range 10 {
		w.add(uint64(n+1), at.Add(time.Duration(n)*10*time.Second))
	}
	if n := w.trim(at.Add(time.Minute)); n != 0 {
		t.Errorf("nothing is too old: %d", n)
	}
	if n := w.trim(at.Add(81 * time.Second)); n != 3 || len(w.since(at)) != 7 {
		t.Errorf("%d, %d left", n, len(w.since(at)))
	}
	if w.mended() != nil {
		t.Error("there was no break")
	}
	w.failed(at.Add(100 * time.Second))
	w.failed(at.Add(time.Hour))
	if seqs := w.mended(); len(seqs) != 6 || seqs[0] != 5 || w.mended() != nil {
		t.Errorf("%v", seqs)
	}
}
