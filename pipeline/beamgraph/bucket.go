package beamgraph

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"homefeed/pipeline/beamgraph/source"
	"homefeed/pipeline/refreshpolicy"
)

// bucket is what the state cell of one key holds: the listeners of that key with events that no refresh has served.
// The cell is a bag of versions; each has the listeners that changed, and the later one of a listener counts.
type bucket struct {
	version   uint64 // rises with every writing
	armed     int64  // ms; the timer that is set, 0: none
	listeners map[string]*listener

	changed map[string]bool // listeners since the last encode
	armedAs int64           // armed, as it was encoded last
	whole   int             // bytes of all listeners
	written int             // bytes in the bag
}

// listener is one listener's part of a bucket.
type listener struct {
	next     int64            // ms; when the policy has something to do
	receipts []source.Receipt // of events that are not served
	state    refreshpolicy.State
	encoded  []byte // receipts and state; what has only been decoded is still in here alone
	opened   bool   // receipts and state are decoded
}

const cellFormat = 2

// listener finds a listener, or makes an empty one.
func (b *bucket) listener(p *refreshpolicy.Policy, user string) (*listener, error) {
	l := b.listeners[user]
	if l == nil {
		l = &listener{opened: true}
		b.listeners[user] = l
		return l, nil
	}
	if l.opened {
		return l, nil
	}
	f := &fields{b: l.encoded}
	l.receipts = f.receipts()
	if f.err != nil {
		return nil, fmt.Errorf("state cell: receipts: %w", f.err)
	}
	var err error
	if l.state, err = p.Decode(f.b); err != nil {
		return nil, fmt.Errorf("state cell: %w", err)
	}
	l.opened = true
	return l, nil
}

// change notes what the policy's state of a listener has become.
func (b *bucket) change(user string, policy []byte) {
	l := b.listeners[user]
	b.whole -= len(l.encoded)
	l.encoded = append(appendReceipts(nil, l.receipts), policy...)
	b.whole += len(l.encoded)
	b.changed[user] = true
}

// remove notes that nothing is left of a listener.
func (b *bucket) remove(user string) {
	b.whole -= len(b.listeners[user].encoded)
	delete(b.listeners, user)
	b.changed[user] = true
}

// due are the listeners for whom the policy has something to do at now, in order of time.
func (b *bucket) due(now int64) []string {
	var due []string
	for user, l := range b.listeners {
		if l.next <= now {
			due = append(due, user)
		}
	}
	slices.SortFunc(due, func(u, v string) int {
		return cmp.Or(cmp.Compare(b.listeners[u].next, b.listeners[v].next), cmp.Compare(u, v))
	})
	return due
}

// next is when the policy has something to do; false: never.
func (b *bucket) next() (ms int64, waiting bool) {
	for _, l := range b.listeners {
		if !waiting || l.next < ms {
			ms, waiting = l.next, true
		}
	}
	return ms, waiting
}

// slack is how many bytes a bag may hold beside twice what it has to: reading costs by the byte, writing anew by the
// round trip and by the byte.
const slack = 4 << 10

// encode is what has to be added to the bag, if anything; anew says that the bag must be cleared before.
func (b *bucket) encode() (write []byte, anew bool) {
	switch {
	case len(b.listeners) == 0:
		anew = b.written > 0
		*b = bucket{version: b.version, listeners: b.listeners, changed: b.changed}
		clear(b.changed)
		return nil, anew
	case len(b.changed) == 0 && b.armed == b.armedAs:
		return nil, false
	}
	anew = b.written > 2*b.whole+slack
	b.version++
	write = []byte{cellFormat}
	write = binary.AppendUvarint(write, b.version)
	write = binary.AppendVarint(write, b.armed)
	if anew {
		b.written = 0
		for user := range b.listeners {
			write = b.append(write, user)
		}
	} else {
		for user := range b.changed {
			write = b.append(write, user)
		}
	}
	clear(b.changed)
	b.armedAs = b.armed
	b.written += len(write)
	return write, anew
}

func (b *bucket) append(to []byte, user string) []byte {
	to = appendBytes(to, user)
	l := b.listeners[user]
	if l == nil {
		return appendBytes(binary.AppendVarint(to, 0), "") // removed
	}
	return appendBytes(binary.AppendVarint(to, l.next), l.encoded)
}

// decodeBucket puts the versions of a bag together, in whatever order they lie there. None: the empty bucket.
func decodeBucket(bag [][]byte) (*bucket, error) {
	b := &bucket{listeners: map[string]*listener{}, changed: map[string]bool{}}
	versions := map[uint64]*fields{}
	for _, v := range bag {
		if len(v) == 0 || v[0] != cellFormat {
			return nil, fmt.Errorf("state cell of %d bytes: want format %d", len(v), cellFormat)
		}
		f := &fields{b: v[1:]}
		versions[f.uvarint()] = f
		b.written += len(v)
	}
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		f := versions[version]
		b.version, b.armed = version, f.varint()
		for len(f.b) > 0 {
			user, next, encoded := f.string(), f.varint(), f.bytes()
			if f.err == nil {
				b.put(user, next, encoded)
			}
		}
		if err := f.end("state cell"); err != nil {
			return nil, err
		}
	}
	b.armedAs = b.armed
	return b, nil
}

func (b *bucket) put(user string, next int64, encoded []byte) {
	if before := b.listeners[user]; before != nil {
		b.whole -= len(before.encoded)
		delete(b.listeners, user)
	}
	if len(encoded) > 0 {
		b.listeners[user] = &listener{next: next, encoded: encoded}
		b.whole += len(encoded)
	}
}
