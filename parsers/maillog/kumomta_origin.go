package maillog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"time"

	"bouncefeed/internal/event"
)

// Whose a message is stands in its Reception record: who handed it in. Of those of strangers the ids are kept until the
// message is done with; how many they are is theirs to choose, so the oldest go first.
//
//	{"type":"Reception","id":"1d98…","peer_address":{"name":"mail.example.org","addr":"192.0.2.7"},"meta":{},…}

const (
	kumoMaxForeign = 1 << 16
	kumoForeignAge = 15 * 24 * time.Hour // in KumoMTA's queues a message waits for a week
	kumoForeignKey = "f"                 // before the id, as stored
)

// kumoOrigins are the messages that strangers handed in.
type kumoOrigins struct {
	seen    map[string]int64 // Unix seconds, by id
	order   []string         // as they came; some may be done with
	changed map[string]bool
}

// readReception notes whose message a record begins. Of a client that logged in meta's authn_id says so, where it is logged.
func (p *kumomta) readReception(body []byte) error {
	var r struct {
		Type      string   `json:"type"`
		ID        string   `json:"id"`
		Peer      *peer    `json:"peer_address"`
		Timestamp kumoTime `json:"timestamp"`
		Meta      struct {
			Authenticated any `json:"authn_id"`
		} `json:"meta"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return event.Refuse(event.WhyMalformed, "not a log record: %T", err)
	}
	if r.Peer == nil || r.Meta.Authenticated != nil || len(r.ID) > maxKumoID || !p.config.isForeign(r.Peer.Address) {
		return nil
	}
	p.origins.add(r.ID, r.Timestamp.Unix())
	return nil
}

const maxKumoID = 64

// peer is the other end of a connection.
type peer struct {
	Name    string `json:"name"`
	Address string `json:"addr"`
}

func isReception(body []byte) bool { return bytes.HasPrefix(body, []byte(`{"type":"Reception"`)) }

func (o *kumoOrigins) add(id string, at int64) {
	if o.seen == nil {
		o.seen, o.changed = map[string]int64{}, map[string]bool{}
	}
	if _, known := o.seen[id]; !known {
		o.order = append(o.order, id)
	}
	o.seen[id], o.changed[id] = at, true
	for len(o.order) > 0 && (len(o.seen) > kumoMaxForeign || o.seen[o.order[0]] < at-int64(kumoForeignAge.Seconds())) {
		o.drop(o.order[0])
		o.order = o.order[1:]
	}
	if len(o.order) > 2*kumoMaxForeign { // most are done with
		left := make([]string, 0, len(o.seen))
		for _, id := range o.order {
			if o.has(id) {
				left = append(left, id)
			}
		}
		o.order = left
	}
}

func (o *kumoOrigins) has(id string) bool {
	_, foreign := o.seen[id]
	return foreign
}

// drop forgets a message that is done with.
func (o *kumoOrigins) drop(id string) {
	if o.has(id) {
		delete(o.seen, id)
		o.changed[id] = true
	}
}

// Changes implements Stateful.
func (p *kumomta) Changes() map[string][]byte {
	changes := map[string][]byte{}
	for id := range p.origins.changed {
		changes[kumoForeignKey+id] = nil
		if at, foreign := p.origins.seen[id]; foreign {
			changes[kumoForeignKey+id] = binary.AppendVarint(nil, at)
		}
	}
	clear(p.origins.changed)
	return changes
}

// Load implements Stateful.
func (p *kumomta) Load(state iter.Seq2[string, []byte]) error {
	p.origins = kumoOrigins{}
	for key, value := range state {
		at, n := binary.Varint(value)
		if len(key) < len(kumoForeignKey) || key[:len(kumoForeignKey)] != kumoForeignKey || n <= 0 {
			return errors.New("read the memory of strangers' messages: the stored value is damaged")
		}
		p.origins.add(key[len(kumoForeignKey):], at)
	}
	slices.SortFunc(p.origins.order, func(a, b string) int { return cmp.Compare(p.origins.seen[a], p.origins.seen[b]) })
	clear(p.origins.changed)
	return nil
}
