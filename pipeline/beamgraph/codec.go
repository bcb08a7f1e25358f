package beamgraph

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"homefeed/pipeline/beamgraph/source"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
)

// Everything that crosses a stage is a few length-prefixed fields: a coder that Beam would make by itself costs
// 4 to 18 µs an element.

var errShort = errors.New("cut short or not what this program writes")

// fields consumes b; after the first error everything reads as zero.
type fields struct {
	b   []byte
	err error
}

func (f *fields) uvarint() uint64 {
	v, n := binary.Uvarint(f.b)
	if n <= 0 {
		f.b, f.err = nil, errShort
		return 0
	}
	f.b = f.b[n:]
	return v
}

func (f *fields) varint() int64 {
	v, n := binary.Varint(f.b)
	if n <= 0 {
		f.b, f.err = nil, errShort
		return 0
	}
	f.b = f.b[n:]
	return v
}

// fixed is 8 bytes, little endian.
func (f *fields) fixed() uint64 {
	if len(f.b) < 8 {
		f.b, f.err = nil, errShort
		return 0
	}
	v := binary.LittleEndian.Uint64(f.b)
	f.b = f.b[8:]
	return v
}

// bytes is a part of the input, not a copy.
func (f *fields) bytes() []byte {
	n := f.uvarint()
	if n > uint64(len(f.b)) {
		f.b, f.err = nil, errShort
		return nil
	}
	v := f.b[:n:n]
	f.b = f.b[n:]
	return v
}

func (f *fields) string() string { return string(f.bytes()) }

// count is a number of things that take at least one byte each.
func (f *fields) count() int {
	n := f.uvarint()
	if n > uint64(len(f.b)) {
		f.b, f.err = nil, errShort
		return 0
	}
	return int(n)
}

func (f *fields) end(what string) error {
	if f.err == nil && len(f.b) > 0 {
		f.err = errShort
	}
	if f.err != nil {
		return fmt.Errorf("%s: %w", what, f.err)
	}
	return nil
}

// noTime is the zero time on the wire; no event is so old.
const noTime = math.MinInt64

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(b, noTime)
	}
	return binary.AppendVarint(b, t.UnixMilli())
}

func (f *fields) time() time.Time {
	ms := f.varint()
	if ms == noTime {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func appendAttributes(b []byte, attributes map[string]string) []byte {
	b = binary.AppendUvarint(b, uint64(len(attributes)))
	for k, v := range attributes {
		b = appendBytes(b, k)
		b = appendBytes(b, v)
	}
	return b
}

func (f *fields) attributes() map[string]string {
	n := f.count()
	if n == 0 {
		return nil
	}
	attributes := make(map[string]string, n)
	for range n {
		k := f.string()
		attributes[k] = f.string()
	}
	return attributes
}

func appendBytes[B []byte | string](b []byte, v B) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

func appendReceipts(b []byte, receipts []source.Receipt) []byte {
	b = binary.AppendUvarint(b, uint64(len(receipts)))
	last := uint64(0)
	for _, r := range receipts {
		b = binary.AppendVarint(b, int64(r.Pos-last)) // positions of one listener lie close together
		b = appendBytes(b, r.Handle)
		last = r.Pos
	}
	return b
}

func (f *fields) receipts() []source.Receipt {
	n := f.count()
	if n == 0 {
		return nil
	}
	receipts := make([]source.Receipt, 0, n)
	last := uint64(0)
	for range n {
		last += uint64(f.varint())
		receipts = append(receipts, source.Receipt{Pos: last, Handle: f.string()})
	}
	return receipts
}

// packed is what the policy needs to know of one event, with the receipt of its message.
type packed struct {
	id      string
	kind    event.Kind
	at      int64 // ms
	receipt source.Receipt
}

func appendPacked(b []byte, p packed) []byte {
	b = appendBytes(b, p.id)
	b = append(b, byte(p.kind))
	b = binary.AppendVarint(b, p.at)
	b = binary.AppendUvarint(b, p.receipt.Pos)
	return appendBytes(b, p.receipt.Handle)
}

// appendPack adds a listener's packed events to the pack of a key, which begins with the time of the first of all.
func appendPack(b []byte, user string, events []byte) []byte {
	return appendBytes(appendBytes(b, user), events)
}

// unpack calls take for each listener of a pack with their events, to be read by unpackEvents.
func unpack(pack []byte, take func(user string, events []byte) error) (first int64, err error) {
	f := &fields{b: pack}
	first = f.varint()
	for len(f.b) > 0 {
		user, events := f.string(), f.bytes()
		if f.err != nil {
			break
		}
		if err := take(user, events); err != nil {
			return 0, err
		}
	}
	return first, f.end("pack of a key's events")
}

// unpackEvents calls take for each event of a listener, in order.
func unpackEvents(events []byte, user string, take func(event.Event, source.Receipt)) error {
	f := &fields{b: events}
	for len(f.b) > 0 {
		e := event.Event{User: user, ID: f.string()}
		if len(f.b) > 0 {
			e.Kind = event.Kind(f.b[0])
			f.b = f.b[1:]
		}
		e.Time = time.UnixMilli(f.varint()).UTC()
		r := source.Receipt{Pos: f.uvarint(), Handle: f.string()}
		if f.err != nil {
			break
		}
		take(e, r)
	}
	return f.end("pack of a listener's events")
}

// Outcome is what one bundle has decided: messages to publish on a topic, and the receipts to acknowledge once
// they are published.
type Outcome struct {
	Topic    string
	Messages []bus.Message
	Receipts []source.Receipt
}

func encodeOutcome(o Outcome) []byte {
	b := appendBytes(nil, o.Topic)
	b = appendReceipts(b, o.Receipts)
	for _, m := range o.Messages {
		b = appendBytes(b, m.ID)
		b = appendBytes(b, m.Key)
		b = appendTime(b, m.Time)
		b = appendBytes(b, m.Data)
		b = appendAttributes(b, m.Attributes)
	}
	return b
}

func decodeOutcome(b []byte) (Outcome, error) {
	f := &fields{b: b}
	o := Outcome{Topic: f.string(), Receipts: f.receipts()}
	for len(f.b) > 0 {
		m := bus.Message{ID: f.string(), Key: f.string(), Time: f.time(), Data: f.bytes()}
		m.Attributes = f.attributes()
		o.Messages = append(o.Messages, m)
	}
	return o, f.end("outcome")
}

func encodeMessage(m source.Message) []byte {
	b := appendBytes(nil, m.Topic)
	b = appendBytes(b, m.Data)
	b = appendTime(b, m.Time)
	b = binary.AppendVarint(b, int64(m.Attempt))
	b = binary.AppendUvarint(b, m.Receipt.Pos)
	b = appendBytes(b, m.Receipt.Handle)
	return appendAttributes(b, m.Attributes)
}

func decodeMessage(b []byte) (source.Message, error) {
	f := &fields{b: b}
	m := source.Message{Topic: f.string(), Data: f.bytes(), Time: f.time(), Attempt: int(f.varint())}
	m.Receipt = source.Receipt{Pos: f.uvarint(), Handle: f.string()}
	m.Attributes = f.attributes()
	return m, f.end("message")
}
