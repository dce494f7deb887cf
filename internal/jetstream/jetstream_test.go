package jetstream

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestTakes(t *testing.T) {
	for _, c := range []struct {
		pattern, subject string
		want             bool
	}{
		{"bounces.>", "bounces.mx1.hard", true},
		{"bounces.>", "bounces", false},
		{"bounces.*.*", "bounces.mx1.hard", true},
		{"bounces.*", "bounces.mx1.hard", false},
		{"bounces.mx1.hard.more", "bounces.mx1.hard", false},
		{">", "bounces", true},
	} {
		if got := takes([]string{"other", c.pattern}, c.subject); got != c.want {
			t.Errorf("%s takes %s: %v", c.pattern, c.subject, got)
		}
	}
}

func TestAdvice(t *testing.T) {
	good := nats.StreamConfig{Retention: nats.LimitsPolicy, Storage: nats.FileStorage, Replicas: 3, Discard: nats.DiscardNew, MaxBytes: 1 << 30, Duplicates: 24 * time.Hour, MaxAge: 15 * 24 * time.Hour}
	if got := advice(&good); len(got) > 0 {
		t.Errorf("of a good stream: %q", got)
	}
	for want, spoil := range map[string]func(*nats.StreamConfig){
		"storage memory":       func(g *nats.StreamConfig) { g.Storage = nats.MemoryStorage },
		"retention workqueue":  func(g *nats.StreamConfig) { g.Retention = nats.WorkQueuePolicy },
		"discard old":          func(g *nats.StreamConfig) { g.Discard = nats.DiscardOld },
		"duplicate_window 2m:": func(g *nats.StreamConfig) { g.Duplicates = 2 * time.Minute },
		"max_age 1h:":          func(g *nats.StreamConfig) { g.MaxAge = time.Hour },
		"max_msg_size 1024":    func(g *nats.StreamConfig) { g.MaxMsgSize = 1024 },
		"sync_interval":        func(g *nats.StreamConfig) { g.Replicas = 1 },
		"replicas 2":           func(g *nats.StreamConfig) { g.Replicas = 2 },
	} {
		bad := good
		spoil(&bad)
		if got := advice(&bad); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%q: %q", want, got)
		}
	}
}

func TestToken(t *testing.T) {
	for in, want := range map[string]string{"mx1.example.org": "mx1_example_org", "*": "_", ">": "_", "": "_", "a b\r\n": "a_b__", strings.Repeat("ü", 100): strings.Repeat("_", 32)} {
		if got := Token(in); got != want || !IsToken(got) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
