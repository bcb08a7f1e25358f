package trends

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"fmt"
	"time"
)

// snapshot is an Aggregator's state as it is kept. Fields may be added, not changed.
type snapshot struct {
	Version        int
	Every, Length  time.Duration
	Now            int64
	Markets        map[string]marketSnapshot
	Seen           map[int64][]byte // fingerprints, 8 bytes each, little endian
	Repeated, Late int64
	Unremembered   int64
	Uncounted      int64
}

type marketSnapshot struct {
	Panes   map[int64]*Tally
	Emitted int64
	At      int64
	Dirty   bool
}

const snapshotVersion = 1

// Encode is the whole state, to go on from after a restart: plays that are in it must not be added again beyond
// what MaxRemembered covers.
func (a *Aggregator) Encode() ([]byte, error) {
	s := snapshot{
		Version: snapshotVersion, Every: a.cfg.Every, Length: a.cfg.Length, Now: a.now,
		Markets: make(map[string]marketSnapshot, len(a.markets)), Seen: make(map[int64][]byte, len(a.seen)),
		Repeated: a.stats.Repeated, Late: a.stats.Late,
		Unremembered: a.stats.Unremembered, Uncounted: a.stats.Uncounted,
	}
	for name, m := range a.markets {
		s.Markets[name] = marketSnapshot{Panes: m.panes, Emitted: m.emitted, At: m.at, Dirty: m.dirty}
	}
	for pane, prints := range a.seen {
		b := make([]byte, 0, 8*len(prints))
		for p := range prints {
			b = binary.LittleEndian.AppendUint64(b, p)
		}
		s.Seen[pane] = b
	}
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(s); err != nil {
		return nil, fmt.Errorf("encoding trends: %w", err)
	}
	return buf.Bytes(), nil
}

// Decode replaces the state by what Encode wrote. On an error the state is as before: the bytes are not a state,
// or of windows of another Length or Every, which can't be turned into these.
func (a *Aggregator) Decode(b []byte) error {
	var s snapshot
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&s); err != nil {
		return fmt.Errorf("decoding trends: %w", err)
	}
	if s.Version != snapshotVersion {
		return fmt.Errorf("decoding trends: version: want %d, got %d", snapshotVersion, s.Version)
	}
	if s.Every != a.cfg.Every || s.Length != a.cfg.Length {
		return fmt.Errorf("decoding trends: windows: want %v every %v, got %v every %v",
			a.cfg.Length, a.cfg.Every, s.Length, s.Every)
	}
	fresh, err := New(a.cfg)
	if err != nil {
		return err
	}
	fresh.now = s.Now
	if len(s.Markets) > 0 {
		fresh.due = max(s.Now, 0) // Advance finds out what is next
	}
	fresh.stats = Stats{s.Repeated, s.Late, s.Unremembered, s.Uncounted}
	for name, m := range s.Markets {
		kept := &market{panes: make(map[int64]*Tally, len(m.Panes)), emitted: m.Emitted, at: m.At, dirty: m.Dirty}
		for pane, t := range m.Panes {
			if t == nil || len(t.Plays) == 0 {
				return fmt.Errorf("decoding trends: market %q: pane %d: want plays, got none", name, pane)
			}
			kept.panes[pane] = t
			fresh.counts += len(t.Plays)
		}
		fresh.markets[name] = kept
	}
	for pane, prints := range s.Seen {
		if len(prints)%8 != 0 {
			return fmt.Errorf("decoding trends: seen: want 8 bytes a play, got %d in all", len(prints))
		}
		set := make(map[uint64]struct{}, len(prints)/8)
		for ; len(prints) > 0; prints = prints[8:] {
			set[binary.LittleEndian.Uint64(prints)] = struct{}{}
		}
		fresh.seen[pane] = set
		fresh.remembered += len(set)
	}
	*a = *fresh
	return nil
}
