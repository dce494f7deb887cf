package maillog

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"bouncefeed/internal/event"
)

// Whose a message is stands in its Reception record: who handed it in. Of those of strangers the ids are kept until the
// message is done with; how many they are is theirs to choose, so the oldest go first.
//
//	{"type":"Reception","id":"1d98…","peer_address":{"name":"mail.example.org","addr":"192.0.2.7"},"meta":{},…}

const (
	kumoForeignAge = 15 * 24 * time.Hour // in KumoMTA's queues a message waits for a week
	kumoForeignKey = "f"                 // before the id, as stored
)

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

// Changes implements Stateful.
func (p *kumomta) Changes() map[string][]byte {
	changes := map[string][]byte{}
	p.origins.changes(changes)
	p.putOff.changes(changes)
	return changes
}

// Load implements Stateful.
func (p *kumomta) Load(state iter.Seq2[string, []byte]) error {
	p.origins, p.putOff = newRecent(kumoForeignKey, kumoForeignAge), newRecent(putOffKey, putOffAge)
	for key, value := range state {
		if !p.origins.load(key, value) && !p.putOff.load(key, value) {
			return errors.New("read the memory of messages in flight: the stored value is damaged")
		}
	}
	p.origins.loaded()
	p.putOff.loaded()
	return nil
}
