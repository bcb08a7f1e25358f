package refreshpolicy

import (
	"encoding/binary"
	"errors"
	"fmt"

	"homefeed/pipeline/event"
)

// Encode is the state as a runner keeps it between bundles. Slots go by their shelf's name, so a state outlives
// a change of the list of shelves.
func (p *Policy) Encode(s *State) []byte {
	b := []byte{stateVersion}
	for i := range s.slots {
		sl := &s.slots[i]
		if sl.empty() {
			continue
		}
		b = appendString(b, p.rules[i].shelf)
		if sl.armed {
			b = append(b, 1)
			b = binary.AppendVarint(b, sl.due)
			b = appendRef(b, sl.first)
			b = appendRef(b, sl.last)
			b = binary.AppendVarint(b, sl.count)
			b = binary.AppendUvarint(b, sl.pos)
		} else {
			b = append(b, 0)
		}
		b = binary.AppendUvarint(b, uint64(len(sl.kept)))
		for _, w := range sl.kept {
			b = append(appendRef(b, w.ref), byte(w.kind))
		}
	}
	return b
}

// Decode reads what Encode wrote; nothing at all is the empty state. Slots of shelves that the policy no longer
// has are dropped. It never panics; the error says where the bytes are wrong.
func (p *Policy) Decode(b []byte) (State, error) {
	if len(b) == 0 {
		return State{}, nil
	}
	r := reader{b: b}
	if v := r.byte(); v != stateVersion {
		return State{}, fmt.Errorf("refresh policy: state has version %d, want %d", v, stateVersion)
	}
	s := State{slots: make([]slot, len(p.rules))}
	any := false
	for len(r.b) > 0 && r.err == nil {
		name := r.string()
		sl := r.slot()
		if i, known := p.byName[name]; known && r.err == nil && !sl.empty() {
			s.slots[i], any = sl, true
		}
	}
	if r.err != nil {
		return State{}, fmt.Errorf("refresh policy: state of %d bytes: %w", len(b), r.err)
	}
	if !any {
		return State{}, nil
	}
	return s, nil
}

const stateVersion = 1

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendRef(b []byte, r ref) []byte {
	return binary.AppendVarint(appendString(b, r.id), r.at)
}

var errShort = errors.New("cut short or not a state")

// reader consumes b; after the first error everything reads as zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) slot() slot {
	var sl slot
	if r.byte() == 1 {
		sl.armed, sl.due = true, r.varint()
		sl.first, sl.last = r.ref(), r.ref()
		sl.count, sl.pos = r.varint(), r.uvarint()
	}
	n := r.uvarint()
	for range n {
		if r.err != nil {
			break
		}
		sl.kept = append(sl.kept, seen{r.ref(), event.Kind(r.byte())})
	}
	return sl
}

func (r *reader) ref() ref {
	id := r.string()
	return ref{id, r.varint()}
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.err = errShort
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.err = errShort
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.err = errShort
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.err = errShort
		return 0
	}
	r.b = r.b[n:]
	return v
}
