package queue

import (
	"encoding/binary"
	"reflect"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

// fill gives every field of v, which is settable, a value that is not its zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case time.Time:
			f.Set(reflect.ValueOf(time.Unix(1_800_000_000, 0).UTC()))
		case []event.Reply, event.Transit: // used up before anything is stored
		case []string:
			f.Set(reflect.ValueOf([]string{"4Y1yz", "4Y2yz"}))
		default:
			switch f.Kind() {
			case reflect.String:
				f.SetString(v.Type().Field(i).Name)
			case reflect.Uint8:
				f.SetUint(uint64(event.ProofTrusted))
			case reflect.Int:
				f.SetInt(550)
			case reflect.Bool:
				f.SetBool(true)
			default:
				t.Fatalf("field %s: no value for a %s: teach this test", v.Type().Field(i).Name, f.Type())
			}
		}
	}
}

// What a parser says of an event is stored whole, the fields that never leave the process too: what is left out would
// change its identity keys, or its verdict, after a restart.
func TestEveryFieldIsStored(t *testing.T) {
	var e event.Event
	fill(t, reflect.ValueOf(&e).Elem())
	text, err := encodeRecord(&e, e.Time, "why")
	if err != nil {
		t.Fatal(err)
	}
	r, err := decodeRecord([]byte("key"), sealed([]byte("key"), text))
	if err != nil {
		t.Fatal(err)
	}
	if !r.Since.Equal(e.Time) || r.Why != "why" {
		t.Errorf("since %v, why %q", r.Since, r.Why)
	}
	want, got := reflect.ValueOf(e), reflect.ValueOf(r.Event)
	for i := range want.NumField() {
		if field := want.Type().Field(i); !reflect.DeepEqual(got.Field(i).Interface(), want.Field(i).Interface()) {
			t.Errorf("%s (json:%q): stored as %v, want %v", field.Name, field.Tag.Get("json"), got.Field(i), want.Field(i))
		}
	}
	for i := range e.Keys() {
		if r.Keys()[i] != e.Keys()[i] {
			t.Errorf("identity key %d has changed", i)
		}
	}
}

// The record's own names must not shadow a public one.
func TestStoredNamesAreTheirOwn(t *testing.T) {
	record, names := reflect.TypeFor[record](), map[string]string{}
	for _, f := range reflect.VisibleFields(record) {
		name := f.Tag.Get("json")
		if name == "-" || name == "" {
			continue
		}
		if other := names[name]; other != "" {
			t.Errorf("%s and %s are both stored as %q", other, f.Name, name)
		}
		names[name] = f.Name
		if own := len(f.Index) == 1; own != (name[0] == '_') {
			t.Errorf("%s is stored as %q: the fields that never leave the process begin with _", f.Name, name)
		}
	}
}

func sealed(key, content []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, checksum(key, content)), content...)
}
