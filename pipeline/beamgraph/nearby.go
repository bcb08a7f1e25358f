package beamgraph

import (
	"slices"
	"sync"
	"time"
)

// nearby is what the stages of a job tell one another where all of them are in this process, beside what they tell
// the runner. Elsewhere the methods of Connections about it do nothing. It lives and dies with a run of the job.
type nearby struct {
	sync.Mutex
	// reading is how many messages were pulled and not yet taken into the policy's state. The runner has no
	// back-pressure: without this bound the source would run far ahead, and all of it would be in memory.
	reading int
	// next is the watermark that the source's current bundle comes to, mark that of the last one that is done; ms.
	next, mark int64
	// packs are the times, in ms, of the packs of each key that are on their way from Admit to Decide.
	packs map[string][]int64
	// buckets are as they are in the runner's state, by key.
	buckets map[string]*bucket
}

func (c *Connections) isNearby() bool { return c != nil && c.live }

// room is how many messages the source may take, of at most most in flight. While much of the last batch is still
// on its way there is none: small batches would hold few events of each listener.
func (c *Connections) room(most int) int {
	if !c.isNearby() {
		return most
	}
	c.nearby.Lock()
	defer c.nearby.Unlock()
	if c.nearby.reading > most/4 {
		return 0
	}
	return most - c.nearby.reading
}

func (c *Connections) pulled(n int) {
	if c.isNearby() {
		c.nearby.Lock()
		defer c.nearby.Unlock()
		c.nearby.reading += n
	}
}

func (c *Connections) taken(n int) { c.pulled(-n) }

// reached notes what the source's watermark will be when its bundle is done.
func (c *Connections) reached(mark time.Time) {
	if c.isNearby() {
		c.nearby.Lock()
		defer c.nearby.Unlock()
		c.nearby.next = mark.UnixMilli()
	}
}

// packed notes that a pack of a key is on its way to Decide, with the time of its first event.
func (c *Connections) packed(key string, first int64) {
	if c.isNearby() {
		c.nearby.Lock()
		defer c.nearby.Unlock()
		if c.nearby.packs == nil {
			c.nearby.packs = map[string][]int64{}
		}
		c.nearby.packs[key] = append(c.nearby.packs[key], first)
	}
}

// declare notes that all packs of the source's bundle are on their way.
func (c *Connections) declare() {
	if c.isNearby() {
		c.nearby.Lock()
		defer c.nearby.Unlock()
		c.nearby.mark = c.nearby.next
	}
}

// unpacked notes that a pack has been taken into the policy's state.
func (c *Connections) unpacked(key string, first int64) {
	if !c.isNearby() {
		return
	}
	c.nearby.Lock()
	defer c.nearby.Unlock()
	packs := c.nearby.packs[key]
	if i := slices.Index(packs, first); i >= 0 {
		packs = slices.Delete(packs, i, i+1)
	}
	if c.nearby.packs[key] = packs; len(packs) == 0 {
		delete(c.nearby.packs, key)
	}
}

// through is up to when the policy's state has every event of a key, in ms; 0: not known. Beam tells a timer only
// that the watermark has reached it. What is set for a little later would fire in a bundle of its own, and what is
// set for a little later than that in the next one: a bucket with many listeners would fall behind for ever.
func (c *Connections) through(key string) int64 {
	if !c.isNearby() {
		return 0
	}
	c.nearby.Lock()
	defer c.nearby.Unlock()
	through := c.nearby.mark
	for _, first := range c.nearby.packs[key] {
		through = min(through, first)
	}
	return through
}

// bucket is nil where the state has to be read. Prism keeps it in this process until the job ends, and retries
// nothing: what a bundle has made of a bucket is either committed or the end of the job, and of this copy. So reading
// would be a detour.
func (c *Connections) bucket(key string) *bucket {
	if !c.isNearby() {
		return nil
	}
	c.nearby.Lock()
	defer c.nearby.Unlock()
	return c.nearby.buckets[key]
}

// keep notes what has been written to the state.
func (c *Connections) keep(key string, b *bucket) {
	if !c.isNearby() {
		return
	}
	c.nearby.Lock()
	defer c.nearby.Unlock()
	if len(b.listeners) == 0 {
		delete(c.nearby.buckets, key)
		return
	}
	if c.nearby.buckets == nil {
		c.nearby.buckets = map[string]*bucket{}
	}
	c.nearby.buckets[key] = b
}
