package beamgraph

import (
	"testing"
	"time"
)

func TestRoomKeepsBatchesLarge(t *testing.T) {
	c := &Connections{live: true}
	for _, step := range []struct{ pulled, taken, want int }{
		{0, 0, 100}, {100, 0, 0}, {0, 70, 0}, {0, 5, 75}, {75, 100, 100},
	} {
		c.pulled(step.pulled)
		c.taken(step.taken)
		if got := c.room(100); got != step.want {
			t.Errorf("after %+v: room for %d", step, got)
		}
	}
	if remote := (&Connections{}); remote.room(100) != 100 {
		t.Error("without knowing what is taken there must always be room")
	}
}

// A key has all of its events up to the watermark or, while packs are on their way, up to the first event of those.
func TestThrough(t *testing.T) {
	c := &Connections{live: true}
	through := func(when string, want int64) {
		t.Helper()
		if got := c.through("ann"); got != want {
			t.Errorf("%s: through %d, want %d", when, got, want)
		}
	}
	bundle := func(mark int64, firsts ...int64) {
		c.reached(time.UnixMilli(mark))
		for _, first := range firsts {
			c.packed("ann", first)
		}
	}
	through("before the first bundle", 0)
	bundle(100)
	through("while the source's bundle is open", 0)
	c.declare()
	through("after a bundle without events", 100)
	bundle(200, 120)
	through("while the next one is open", 100)
	c.declare()
	through("with a pack on its way", 120)
	bundle(300, 90)
	c.declare()
	through("with a pack of late events on its way", 90)
	c.unpacked("ann", 90)
	through("with the older pack on its way", 120)
	c.packed("bob", 10)
	c.unpacked("ann", 120)
	through("with nothing but another key's on its way", 300)
	if len(c.nearby.packs) != 1 {
		t.Errorf("%d keys are remembered, want that of bob only", len(c.nearby.packs))
	}
	if got := (&Connections{}).through("ann"); got != 0 {
		t.Errorf("where the stages are apart: through %d, want 0", got)
	}
}

// Buckets are kept where the stages are together, until they are empty.
func TestKeptBuckets(t *testing.T) {
	b := &bucket{listeners: map[string]*listener{"ann": {}}}
	c := &Connections{live: true}
	c.keep("1", b)
	if c.bucket("1") != b || c.bucket("2") != nil {
		t.Error("want the bucket that was kept, and no other")
	}
	delete(b.listeners, "ann")
	c.keep("1", b)
	if c.bucket("1") != nil {
		t.Error("an empty bucket was kept")
	}
	var none *Connections // where the source is the runner's
	none.keep("1", b)
	if none.bucket("1") != nil {
		t.Error("a bucket was kept without connections")
	}
}
