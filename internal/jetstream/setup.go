package jetstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Need is what a module needs at its server: a stream that takes Subjects, or has Consumer.
type Need struct {
	Server
	Subjects string // a pattern; "": it publishes nothing
	Consumer string // "": it takes nothing
}

// Needer is a module that talks to a stream.
type Needer interface{ Needs() Need }

// Wish is how a stream is to be where that is a matter of taste, and money.
type Wish struct {
	Replicas   int           // 0: three in a cluster, else one
	MaxAge     time.Duration // for which events stay
	MaxBytes   int64
	Window     time.Duration // of duplicates
	Partitions int           // consumers that share the work by recipient; 0 or 1: one takes all
}

// Step is a change that would make the stream, or a consumer, what is needed.
type Step struct {
	What   string // "stream BOUNCES"
	Detail string // what there is to do; "": nothing
	call   string
	body   any
}

// settings are a stream's or a consumer's configuration as JSON has it: also keys that this version does not know stay.
type settings map[string]any

const (
	defaultSubjects = "bounces.>"
	maxMessage      = 64 << 10
	ackWait         = 60 * time.Second
	ackPending      = 5000
)

// Plan says what there is to do for n.
func (s *Server) Plan(ctx context.Context, c *nats.Conn, n Need, w Wish) (steps []Step, err error) {
	if w.Replicas == 0 {
		w.Replicas = 1
		if c.ConnectedClusterName() != "" {
			w.Replicas = 3
		}
	}
	step, err := s.planStream(ctx, c, n, w)
	if err != nil {
		return nil, err
	}
	steps = append(steps, step)
	if n.Consumer == "" {
		return steps, nil
	}
	for name, filter := range consumers(n.Consumer, w.Partitions) {
		step, err := s.planConsumer(ctx, c, name, filter)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	slices.SortFunc(steps[1:], func(a, b Step) int { return strings.Compare(a.What, b.What) })
	return steps, nil
}

// Apply does one step.
func (s *Server) Apply(ctx context.Context, c *nats.Conn, step Step) error {
	if step.call == "" {
		return nil
	}
	return s.Ask(ctx, c, step.call, step.body, nil)
}

func (s *Server) planStream(ctx context.Context, c *nats.Conn, n Need, w Wish) (Step, error) {
	want := settings{
		"name": s.Stream, "retention": "limits", "storage": "file", "discard": "new", "max_age": float64(w.MaxAge), "max_bytes": float64(w.MaxBytes),
		"max_msg_size": float64(maxMessage), "duplicate_window": float64(w.Window), "num_replicas": float64(w.Replicas),
	}
	subjects := n.Subjects
	if subjects == "" {
		subjects = defaultSubjects
	}
	if w.Partitions > 1 {
		want["subject_transform"] = partitioned(w.Partitions)
	}
	step := Step{What: "stream " + s.Stream, call: "STREAM.CREATE." + s.Stream}
	var info struct{ Config settings }
	err := s.Ask(ctx, c, "STREAM.INFO."+s.Stream, nil, &info)
	if missing(err) {
		want["subjects"] = []any{subjects}
		step.Detail, step.body = "create it: "+listed(settings{}, want), want
		return step, nil
	}
	if err != nil {
		return step, err
	}
	has := info.Config
	if there, _ := has["subjects"].([]any); !slices.ContainsFunc(there, func(p any) bool { return takes([]string{fmt.Sprint(p)}, strings.ReplaceAll(subjects, ">", "x.x")) }) {
		want["subjects"] = append(slices.Clone(there), subjects)
	}
	keepLarger(has, want, "max_age", true)
	keepLarger(has, want, "max_bytes", true)
	keepLarger(has, want, "duplicate_window", false)
	keepLarger(has, want, "max_msg_size", true)
	keepLarger(has, want, "num_replicas", false)
	if step.Detail = listed(has, want); step.Detail == "" {
		return Step{What: step.What}, nil
	}
	step.call, step.body = "STREAM.UPDATE."+s.Stream, merged(has, want)
	return step, nil
}

// keepLarger leaves a limit alone that is generous enough, or, where none is said by 0 or less, none.
func keepLarger(has, want settings, key string, noneIsMore bool) {
	old, _ := has[key].(float64)
	if old >= want[key].(float64) || noneIsMore && old <= 0 {
		delete(want, key)
	}
}

func (s *Server) planConsumer(ctx context.Context, c *nats.Conn, name, filter string) (Step, error) {
	want := settings{"durable_name": name, "ack_policy": "explicit", "deliver_policy": "all", "ack_wait": float64(ackWait), "max_deliver": float64(-1), "max_ack_pending": float64(ackPending)}
	if filter != "" {
		want["filter_subject"] = filter
	}
	step := Step{What: "consumer " + name + " of " + s.Stream, call: "CONSUMER.DURABLE.CREATE." + s.Stream + "." + name}
	var info struct{ Config settings }
	err := s.Ask(ctx, c, "CONSUMER.INFO."+s.Stream+"."+name, nil, &info)
	if err != nil && !missing(err) {
		return step, err
	}
	has := info.Config
	if has == nil {
		step.Detail = "create it: " + listed(settings{}, want)
	} else {
		keepLarger(has, want, "ack_wait", false)
		keepLarger(has, want, "max_ack_pending", false)
		delete(want, "deliver_policy") // where it began is past
		step.Detail = listed(has, want)
	}
	if step.Detail == "" {
		return Step{What: step.What}, nil
	}
	step.body = map[string]any{"stream_name": s.Stream, "config": merged(has, want)}
	return step, nil
}

// missing says whether err tells of no such stream or consumer.
func missing(err error) bool {
	var api *nats.APIError
	return errors.As(err, &api) && (api.ErrorCode == nats.JSErrCodeStreamNotFound || api.ErrorCode == nats.JSErrCodeConsumerNotFound)
}

func merged(has, want settings) settings {
	all := maps.Clone(want)
	for key, v := range has {
		if _, wanted := want[key]; !wanted {
			all[key] = v
		}
	}
	return all
}

// listed are the settings of want that has does not have, "discard old → new, max_age 15d".
func listed(has, want settings) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		old, there := has[key]
		switch {
		case there && reflect.DeepEqual(old, want[key]), key == "name", key == "durable_name":
		case there:
			all = append(all, fmt.Sprintf("%s %s → %s", key, shown(key, old), shown(key, want[key])))
		default:
			all = append(all, key+" "+shown(key, want[key]))
		}
	}
	return strings.Join(all, ", ")
}

func shown(key string, v any) string {
	n, number := v.(float64)
	switch {
	case number && (key == "max_age" || key == "duplicate_window" || key == "ack_wait"):
		return span(time.Duration(n))
	case number:
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprint(v)
}

// partitioned has the stream put the number of a partition behind the first word of a subject like
// bounces.HOST.TYPE.BUCKET, by its bucket.
func partitioned(n int) map[string]any {
	return map[string]any{"src": "bounces.*.*.*", "dest": fmt.Sprintf("bounces.{{partition(%d,3)}}.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}", n)}
}

var number = regexp.MustCompile(`-[0-9]+$`)

// consumers are the names of those that share the work, and what of the stream each takes.
func consumers(name string, partitions int) map[string]string {
	if partitions <= 1 {
		return map[string]string{name: ""}
	}
	all := map[string]string{}
	for i := range partitions {
		all[fmt.Sprintf("%s-%d", number.ReplaceAllString(name, ""), i)] = fmt.Sprintf("bounces.%d.>", i)
	}
	return all
}
