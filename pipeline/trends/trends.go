// Package trends finds what is played most: plays per track in sliding windows of event time, for each market and
// for the world, and one Trigger per market and window with the top tracks in it.
//
// A window's Tally, how plays are added to it, how two are merged and what Trigger comes of it are plain functions
// that any driver can share. Aggregator is the window machine of a driver that has none of its own; it is pure: no
// clock, no I/O, and its state can be encoded.
package trends

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
)

// Config says which windows there are and what is kept. Zero fields take the defaults named there.
type Config struct {
	// Shelf is the market's shelf that the triggers are for; "" means "trending".
	Shelf string
	// Length is how long a window is, a multiple of Every; 0 means 1 h.
	Length time.Duration
	// Every is how far apart windows end; 0 means 1 min.
	Every time.Duration
	// Lateness is how long after its end a window still takes plays; 0 means 15 min.
	Lateness time.Duration
	// Top is how many tracks a trigger lists; 0 means 50.
	Top int
	// MaxRemembered bounds how many plays are remembered to count repeats once; 0 means 4,194,304 (about 120 MB).
	// Beyond it plays still count, and a repeat counts again.
	MaxRemembered int
	// MaxCounts bounds the counters (one per market, track and Every); 0 means 2,097,152 (about 200 MB). Beyond
	// it the plays of tracks that have no counter yet are left out.
	MaxCounts int
}

// WithDefaults fills zero fields.
func (c Config) WithDefaults() Config {
	c.Shelf = cmp.Or(c.Shelf, "trending")
	c.Length = cmp.Or(c.Length, time.Hour)
	c.Every = cmp.Or(c.Every, time.Minute)
	c.Lateness = cmp.Or(c.Lateness, 15*time.Minute)
	c.Top = cmp.Or(c.Top, 50)
	c.MaxRemembered = cmp.Or(c.MaxRemembered, 4<<20)
	c.MaxCounts = cmp.Or(c.MaxCounts, 2<<20)
	return c
}

// Validate says which field is wrong and what would be right; defaults must be filled in.
func (c Config) Validate() error {
	switch {
	case c.Every < time.Millisecond || c.Every%time.Millisecond != 0:
		return fmt.Errorf("trends: Every: want whole milliseconds, at least 1, got %v", c.Every)
	case c.Length < c.Every || c.Length%c.Every != 0:
		return fmt.Errorf("trends: Length: want a multiple of Every (%v), got %v", c.Every, c.Length)
	case c.Lateness < 0:
		return fmt.Errorf("trends: Lateness: want 0 or more, got %v", c.Lateness)
	case c.Top < 1 || c.MaxRemembered < 1 || c.MaxCounts < 1:
		return fmt.Errorf("trends: Top, MaxRemembered, MaxCounts: want at least 1, got %d, %d, %d",
			c.Top, c.MaxRemembered, c.MaxCounts)
	}
	return nil
}

// Markets are those that a play counts in: its own, if it is known, and the world.
func Markets(e event.Event) []string {
	if e.Market == "" {
		return []string{trigger.World}
	}
	return []string{e.Market, trigger.World}
}

// Fingerprint is equal for events of one play: the same listener, track and time. Two plays share one by chance
// about once in 10^19 pairs.
func Fingerprint(e event.Event) uint64 {
	var buf [224]byte
	b := append(buf[:0], e.User...)
	b = append(b, 0)
	b = append(b, e.Object...)
	b = append(b, 0)
	ms := uint64(e.Time.UnixMilli())
	for range 8 {
		b = append(b, byte(ms))
		ms >>= 8
	}
	return xxhash.Sum64(b)
}

// Tally is what one window knows of one market. Adding and merging may happen in any order and grouping and give
// the same Tally.
type Tally struct {
	Plays       map[string]int64 // by track
	Count       int64            // of all tracks
	First, Last trigger.Ref      // the ends, by time and then by id
}

// Add counts a play.
func (t *Tally) Add(e event.Event) {
	if t.Plays == nil {
		t.Plays = map[string]int64{}
	}
	t.Plays[e.Object]++
	ref := trigger.Ref{ID: e.ID, Time: e.Time}
	t.extend(ref, ref, 1)
}

// Merge adds what o has counted; o stays as it is. The plays of the two must be different ones.
func (t *Tally) Merge(o *Tally) {
	if o.Count == 0 {
		return
	}
	if t.Plays == nil {
		t.Plays = make(map[string]int64, len(o.Plays))
	}
	for track, n := range o.Plays {
		t.Plays[track] += n
	}
	t.extend(o.First, o.Last, o.Count)
}

func (t *Tally) extend(first, last trigger.Ref, n int64) {
	if t.Count == 0 || compareRefs(first, t.First) < 0 {
		t.First = first
	}
	if t.Count == 0 || compareRefs(last, t.Last) > 0 {
		t.Last = last
	}
	t.Count += n
}

func compareRefs(a, b trigger.Ref) int {
	return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID))
}

// Top is the k tracks played most, most first; of equals the one with the smaller id.
func (t *Tally) Top(k int) []trigger.TrackCount {
	order := func(a, b trigger.TrackCount) int {
		return cmp.Or(cmp.Compare(b.Plays, a.Plays), cmp.Compare(a.Track, b.Track))
	}
	top := make([]trigger.TrackCount, 0, k+1)
	for track, n := range t.Plays {
		c := trigger.TrackCount{Track: track, Plays: n}
		if len(top) == k && order(c, top[k-1]) > 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(top, c, order)
		top = slices.Insert(top, at, c)
		top = top[:min(k, len(top))]
	}
	return top
}

// Trigger is what a market's window that ended at end comes to; ok is false when it has no plays. Its due shelf is
// as of the end of the window, so a window that is emitted again replaces its own row and a newer one wins.
func (c Config) Trigger(market string, end time.Time, t *Tally) (tr trigger.Trigger, ok bool) {
	if t.Count == 0 {
		return trigger.Trigger{}, false
	}
	return trigger.Trigger{
		Market:   market,
		Cause:    trigger.Streaming,
		FireTime: end.UTC(),
		Due: []trigger.Due{{
			Shelf: c.Shelf,
			First: trigger.Ref{ID: t.First.ID, Time: t.First.Time.UTC()},
			Last:  trigger.Ref{ID: t.Last.ID, Time: end.UTC()},
			Count: t.Count,
		}},
		Top: t.Top(c.Top),
	}.WithID(), true
}
