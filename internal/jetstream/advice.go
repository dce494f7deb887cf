package jetstream

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Inspect says what the stream is, and what of its settings breaks the promise that no bounce is lost or doubled
// ("hint: …"). The error: it would not take what is published to subject. "": nothing will be.
func (s *Server) Inspect(ctx context.Context, c *nats.Conn, subject string) (found []string, err error) {
	var info nats.StreamInfo
	if err := s.Ask(ctx, c, "STREAM.INFO."+s.Stream, nil, &info); err != nil {
		return nil, fmt.Errorf("stream %s: %w", s.Stream, err)
	}
	g := &info.Config
	about := fmt.Sprintf("stream %s on %s: %s, %s storage, replicas %d, duplicate window %s, discard %s, %d messages", s.Stream, c.ConnectedServerName(),
		words(g.Retention), words(g.Storage), g.Replicas, span(g.Duplicates), words(g.Discard), info.State.Msgs)
	if info.Cluster != nil && info.Cluster.Leader == "" {
		about += ", without a leader at the moment"
	}
	found = append(found, about)
	for _, one := range advice(g) {
		found = append(found, "hint: "+one)
	}
	switch {
	case g.NoAck:
		return found, fmt.Errorf("stream %s has no_ack: nobody ever learns what it has stored", s.Stream)
	case g.Sealed:
		return found, fmt.Errorf("stream %s is sealed: it takes nothing", s.Stream)
	case subject != "" && !takes(g.Subjects, subject):
		return found, fmt.Errorf("stream %s does not take the subject %s, but %s: change subject: here, or its subjects", s.Stream, subject, strings.Join(g.Subjects, ", "))
	}
	return found, nil
}

// Settings that an outage of usual length does not outlast.
const (
	enoughWindow = time.Hour
	enoughAge    = 3 * 24 * time.Hour
	enoughSize   = 16 << 10
)

// advice is what is better changed in a stream's settings.
func advice(g *nats.StreamConfig) (all []string) {
	say := func(wrong bool, format string, args ...any) {
		if wrong {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	say(g.Storage == nats.MemoryStorage, "storage memory: what no consumer has taken is lost when the servers restart: make it file")
	say(g.Retention != nats.LimitsPolicy, "retention %s: the ids of what was taken are forgotten when a server restarts, and what is published again then is there twice: make it limits", words(g.Retention))
	say(g.Discard == nats.DiscardOld && (g.MaxBytes > 0 || g.MaxMsgs > 0), "discard old: when the stream is full the oldest events go, seen or not: make it new, and senders wait")
	say(g.Duplicates < enoughWindow, "duplicate_window %s: what is published again after a longer outage is there twice; a bouncefeed that reads it finds that, other readers don't: make it 24h", span(g.Duplicates))
	say(g.MaxAge > 0 && g.MaxAge < enoughAge, "max_age %s: what a reader does not take in that time is lost: make it 15d", span(g.MaxAge))
	say(g.MaxMsgSize > 0 && g.MaxMsgSize < enoughSize, "max_msg_size %d: an event may have %d bytes; larger ones become dead letters", g.MaxMsgSize, enoughSize)
	say(g.Replicas < 2, "replicas 1: with sync_interval as shipped (2m) a power cut loses what that server has acknowledged since: set 'sync_interval: always' in its jetstream section, or keep three replicas")
	say(g.Replicas == 2, "replicas 2: one server away is none left to decide: keep three")
	return all
}

// takes says whether one of the patterns of a stream fits subject.
func takes(patterns []string, subject string) bool {
	for _, p := range patterns {
		if fits(strings.Split(p, "."), strings.Split(subject, ".")) {
			return true
		}
	}
	return false
}

func fits(pattern, subject []string) bool {
	for i, p := range pattern {
		switch {
		case p == ">":
			return len(subject) > i
		case i >= len(subject) || p != "*" && p != subject[i]:
			return false
		}
	}
	return len(pattern) == len(subject)
}

// words is how the configuration has one of NATS' enumerations.
func words(v fmt.Stringer) string {
	return strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(v.String(), "Discard"), "Ack"))
}

// span is d as short as it goes: 24h, not 24h0m0s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Consumer asks for a consumer of the stream. The error: there is none, or its settings lose what is not stored at once.
func (s *Server) Consumer(ctx context.Context, c *nats.Conn, name string) (*nats.ConsumerInfo, error) {
	var info nats.ConsumerInfo
	if err := s.Ask(ctx, c, "CONSUMER.INFO."+s.Stream+"."+name, nil, &info); err != nil {
		return nil, fmt.Errorf("consumer %s of stream %s: %w", name, s.Stream, err)
	}
	wrong := ""
	switch g := &info.Config; {
	case g.DeliverSubject != "":
		wrong = "is a push consumer: a pull consumer is wanted"
	case g.AckPolicy != nats.AckExplicitPolicy:
		wrong = fmt.Sprintf("has ack_policy %s: what is sent counts as stored before it is: make it explicit", words(g.AckPolicy))
	case g.MaxDeliver > 0:
		wrong = fmt.Sprintf("has max_deliver %d: what can't be stored so often is lost: make it -1", g.MaxDeliver)
	}
	if wrong != "" {
		return nil, fmt.Errorf("consumer %s of stream %s %s ('bouncefeed nats setup' shows how it should be)", name, s.Stream, wrong)
	}
	return &info, nil
}
