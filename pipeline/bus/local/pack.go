package local

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"homefeed/pipeline/bus"
)

// A stream that is only ever read as a log holds packs: JetStream's work on a message is many times that of the
// pipeline on an event, and it is the same for a message of a hundred events. A stream with subscriptions can't, for
// each of its messages has a lease of its own.

// packedHeader tells that a message is a pack, and of how many.
const packedHeader = "homefeed-packed"

const (
	// packBytes is the size from which a pack gets no further message. Whoever asks for the end of a log is sent the
	// last pack, so it is not larger than what makes JetStream's work small.
	packBytes = 32 << 10
	// positionBits is how much of a position is the place in the pack; the rest is the stream's sequence.
	positionBits = 12
	packMost     = 1 << positionBits
	// entryOverhead is more than what an entry takes beyond its texts and data.
	entryOverhead = 5*binary.MaxVarintLen32 + binary.MaxVarintLen64
)

// position is that of the i-th message, from 0, of the pack with this sequence. A message that isn't packed is a pack
// of one.
func position(sequence uint64, i int) uint64 { return sequence<<positionBits | uint64(i) }

// sequenceOf is the sequence of the pack in which a position lies.
func sequenceOf(pos uint64) uint64 { return pos >> positionBits }

// lastOf is no less than any position in the pack with this sequence.
func lastOf(sequence uint64) uint64 { return position(sequence, packMost-1) }

// pack makes as few messages of msgs as packBytes allows, in order.
func pack(topic string, msgs []bus.Message) ([]*nats.Msg, error) {
	var packs []*nats.Msg
	for len(msgs) > 0 {
		n, size := 0, 0
		for n < min(len(msgs), packMost) && (n == 0 || size < packBytes) {
			m := &msgs[n]
			size += entryOverhead + len(m.ID) + len(m.Key) + len(m.Data)
			n++
		}
		p, err := packOne(topic, msgs[:n], size)
		if err != nil {
			return nil, err
		}
		packs = append(packs, p)
		msgs = msgs[n:]
	}
	return packs, nil
}

func packOne(topic string, msgs []bus.Message, size int) (*nats.Msg, error) {
	data := make([]byte, 0, size)
	ids := sha256.New()
	named := true
	for i := range msgs {
		m := &msgs[i]
		attributes, err := encodeAttributes(m.Attributes)
		if err != nil {
			return nil, err
		}
		data = appendText(data, m.ID)
		data = appendText(data, m.Key)
		data = appendTime(data, m.Time)
		data = appendText(data, attributes)
		data = appendText(data, m.Data)
		named = named && m.ID != ""
		ids.Write(appendText(nil, m.ID))
	}
	h := nats.Header{packedHeader: {strconv.Itoa(len(msgs))}}
	if named { // the same messages again, as a publisher sends that had no answer, are one pack
		h[idHeader] = []string{topic + "/pack/" + hex.EncodeToString(ids.Sum(nil)[:16])}
	}
	return &nats.Msg{Subject: topic, Header: h, Data: data}, nil
}

func appendText[T string | []byte](b []byte, text T) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// appendTime writes 0 for no time, and else the Unix milliseconds folded, with one added.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	ms := t.UnixMilli()
	return binary.AppendUvarint(b, (uint64(ms)<<1^uint64(ms>>63))+1)
}

func encodeAttributes(attributes map[string]string) (string, error) {
	if len(attributes) == 0 {
		return "", nil
	}
	b, err := json.Marshal(attributes)
	if err != nil {
		return "", fmt.Errorf("encoding attributes: %w", err)
	}
	return string(b), nil
}

// packed is how many messages m holds; 0: it is none of pack's.
func packed(m *nats.Msg) int {
	v := m.Header[packedHeader]
	if len(v) == 0 {
		return 0
	}
	n, err := strconv.Atoi(v[0])
	if err != nil || n < 1 || n > packMost {
		return 0
	}
	return n
}

// appendEntries appends what m, of this sequence, holds and lies behind position after; their Data shares m's. Where a
// pack can't be read, the rest of it is one entry: its reader makes a dead letter of it, so that nothing is lost.
func appendEntries(to []bus.Entry, m *nats.Msg, sequence, after uint64, published time.Time) []bus.Entry {
	n := packed(m)
	if n == 0 {
		if pos := position(sequence, 0); pos > after {
			to = append(to, bus.Entry{Message: fromNATS(m, published), Topic: m.Subject, Published: published, Pos: pos})
		}
		return to
	}
	r := unpacker{data: m.Data, texts: string(m.Data)}
	for i := range n {
		begin := r.at
		msg, ok := r.next(published)
		if i == n-1 && r.at < len(r.data) {
			ok = false // more than it says
		}
		if !ok {
			msg = bus.Message{Time: published, Data: r.data[begin:]}
		}
		if pos := position(sequence, i); pos > after {
			to = append(to, bus.Entry{Message: msg, Topic: m.Subject, Published: published, Pos: pos})
		}
		if !ok {
			break
		}
	}
	return to
}

// unpacker reads what packOne wrote.
type unpacker struct {
	data  []byte
	texts string // a copy of data, of which ids and keys are parts
	at    int
}

func (r *unpacker) next(published time.Time) (m bus.Message, ok bool) {
	id, ok1 := r.text()
	key, ok2 := r.text()
	at, ok3 := r.uvarint()
	attributes, ok4 := r.text()
	data, ok5 := r.text()
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return m, false
	}
	m = bus.Message{ID: r.texts[id.from:id.to], Key: r.texts[key.from:key.to], Time: published, Data: r.data[data.from:data.to:data.to]}
	if at > 0 {
		folded := at - 1
		m.Time = time.UnixMilli(int64(folded>>1) ^ -int64(folded&1)).UTC()
	}
	if attributes.from < attributes.to && json.Unmarshal(r.data[attributes.from:attributes.to], &m.Attributes) != nil {
		return m, false
	}
	return m, true
}

func (r *unpacker) uvarint() (uint64, bool) {
	v, n := binary.Uvarint(r.data[r.at:])
	if n <= 0 {
		return 0, false
	}
	r.at += n
	return v, true
}

type span struct{ from, to int }

func (r *unpacker) text() (span, bool) {
	n, ok := r.uvarint()
	if !ok || n > uint64(len(r.data)-r.at) {
		return span{}, false
	}
	s := span{r.at, r.at + int(n)}
	r.at = s.to
	return s, true
}
