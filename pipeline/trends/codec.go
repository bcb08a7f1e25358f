package trends

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// header is an Aggregator's state as it is kept, but for the panes and fingerprints: those follow it as blobs, in the
// order in which it names them. Fields may be added, not changed.
type header struct {
	Version       int
	Every, Length time.Duration
	Now           int64
	Stats         Stats
	Markets       []marketHeader
	Seen          []blob // fingerprints, 8 bytes each, little endian
}

type marketHeader struct {
	Name        string
	Emitted, At int64
	Dirty       bool
	Panes       []blob // encoded tallies
}

type blob struct {
	Pane int64
	Size int
}

const codecVersion = 1

// Encode is the whole state, to go on from after a restart: plays that are in it must not be added again beyond what
// MaxRemembered covers. The parts belong together in their order. Only what has changed since the last call is
// encoded anew; the parts share memory with the Aggregator, which will not change it, nor may the caller.
func (a *Aggregator) Encode() ([][]byte, error) {
	h := header{Version: codecVersion, Every: a.cfg.Every, Length: a.cfg.Length, Now: a.now, Stats: a.stats}
	parts := [][]byte{nil}
	for _, name := range slices.Sorted(maps.Keys(a.markets)) {
		m := a.markets[name]
		mh := marketHeader{Name: name, Emitted: m.emitted, At: m.at, Dirty: m.dirty}
		for _, n := range slices.Sorted(maps.Keys(m.panes)) {
			b, err := m.panes[n].encode()
			if err != nil {
				return nil, fmt.Errorf("encoding trends: market %s: %w", name, err)
			}
			mh.Panes, parts = append(mh.Panes, blob{n, len(b)}), append(parts, b)
		}
		h.Markets = append(h.Markets, mh)
	}
	for _, n := range slices.Sorted(maps.Keys(a.seen)) {
		b := slices.Clip(a.seen[n].log)
		h.Seen, parts = append(h.Seen, blob{n, len(b)}), append(parts, b)
	}
	var buf bytes.Buffer
	buf.Write(make([]byte, 8))
	if err := gob.NewEncoder(&buf).Encode(h); err != nil {
		return nil, fmt.Errorf("encoding trends: %w", err)
	}
	parts[0] = buf.Bytes()
	binary.LittleEndian.PutUint64(parts[0], uint64(buf.Len()-8))
	return parts, nil
}

func (p *pane) encode() ([]byte, error) {
	if p.encoded == nil {
		var buf bytes.Buffer
		if err := gob.NewEncoder(&buf).Encode(&p.Tally); err != nil {
			return nil, err
		}
		p.encoded = buf.Bytes()
	}
	return p.encoded, nil
}

// Decode replaces the state by what Encode wrote, its parts put together. On an error the state is as before: the
// bytes are not a state, or of windows of another Length or Every, which can't be turned into these.
func (a *Aggregator) Decode(b []byte) error {
	fresh, err := decode(b, a.cfg)
	if err != nil {
		return fmt.Errorf("decoding trends: %w", err)
	}
	*a = *fresh
	return nil
}

func decode(b []byte, cfg Config) (*Aggregator, error) {
	if len(b) < 8 || binary.LittleEndian.Uint64(b) > uint64(len(b)-8) {
		return nil, errCut
	}
	var h header
	n := binary.LittleEndian.Uint64(b)
	if err := gob.NewDecoder(bytes.NewReader(b[8 : 8+n])).Decode(&h); err != nil {
		return nil, err
	}
	if h.Version != codecVersion {
		return nil, fmt.Errorf("version: want %d, got %d", codecVersion, h.Version)
	}
	if h.Every != cfg.Every || h.Length != cfg.Length {
		return nil, fmt.Errorf("windows: want %v every %v, got %v every %v", cfg.Length, cfg.Every, h.Length, h.Every)
	}
	a, err := New(cfg)
	if err != nil {
		return nil, err
	}
	a.now, a.stats = h.Now, h.Stats
	blobs := blobs(b[8+n:])
	for _, mh := range h.Markets {
		m := &market{panes: make(map[int64]*pane, len(mh.Panes)), emitted: mh.Emitted, at: mh.At, dirty: mh.Dirty}
		for _, of := range mh.Panes {
			p, err := blobs.pane(of)
			if err != nil {
				return nil, fmt.Errorf("market %q: %w", mh.Name, err)
			}
			m.panes[of.Pane] = p
			a.counts += len(p.Plays)
		}
		a.markets[mh.Name] = m
		a.due = max(h.Now, 0) // Advance finds out what is next
	}
	for _, of := range h.Seen {
		log, err := blobs.next(of)
		if err != nil {
			return nil, err
		}
		a.seen[of.Pane] = seenFrom(log)
		a.remembered += len(a.seen[of.Pane].set)
	}
	if len(blobs) > 0 {
		return nil, fmt.Errorf("%d bytes too many", len(blobs))
	}
	return a, nil
}

var errCut = errors.New("cut short or not a state")

// blobs is what follows the header.
type blobs []byte

func (b *blobs) next(of blob) ([]byte, error) {
	if of.Size < 0 || of.Size > len(*b) {
		return nil, errCut
	}
	head := (*b)[:of.Size:of.Size]
	*b = (*b)[of.Size:]
	return head, nil
}

func (b *blobs) pane(of blob) (*pane, error) {
	encoded, err := b.next(of)
	if err != nil {
		return nil, err
	}
	p := &pane{encoded: bytes.Clone(encoded)} // its own, so that b can go
	if err := gob.NewDecoder(bytes.NewReader(encoded)).Decode(&p.Tally); err != nil {
		return nil, err
	}
	if len(p.Plays) == 0 {
		return nil, fmt.Errorf("pane %d: want plays, got none", of.Pane)
	}
	return p, nil
}

func seenFrom(log []byte) *seen {
	s := &seen{set: make(map[uint64]struct{}, len(log)/8)}
	for ; len(log) >= 8; log = log[8:] {
		s.add(binary.LittleEndian.Uint64(log))
	}
	return s
}
