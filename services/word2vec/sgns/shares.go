package sgns

// share is a run of tracks that a thread draws random ones from. Most rows that a step writes are those of random
// tracks. If all threads drew from all tracks, a row would most often be in another processor's cache, and take as long
// to come as a few steps: two threads learn programmes 1.5 times as fast as one on processors that have no cache in
// common, and 1.8 times if each has a share. It is a run because a processor brings the neighbours of a row unasked.
type share struct {
	first int32
	alias
}

// What a share has at least, so that it does no harm that a thread draws from one of them for a block: 2,000 tracks in
// four shares lost 1% of HR@10, and 10,000 in two nothing that could be told.
const (
	tracksPerShare = 4_000 // on the average
	leastShare     = 500   // where tracks are so frequent that few make a share
)

// newShares are n runs with about the same sum of weights, or less than n where that is too many. The largest weights
// are the first or the last ones.
func newShares(weights []float64, n int) []share {
	ends := min(leastShare, len(weights))
	all, large := sum(weights), max(sum(weights[:ends]), sum(weights[len(weights)-ends:]))
	n = max(min(n, len(weights)/tracksPerShare, int(all/large)), 1)
	shares := make([]share, 0, n)
	first, before := 0, 0.
	for i, w := range weights {
		before += w
		if i == len(weights)-1 || len(shares) < n-1 && before >= all*float64(len(shares)+1)/float64(n) {
			shares = append(shares, share{int32(first), newAlias(weights[first : i+1])})
			first = i + 1
		}
	}
	return shares
}

func sum(all []float64) float64 {
	var s float64
	for _, x := range all {
		s += x
	}
	return s
}

func (s *share) draw(r *random) int32 { return s.first + s.alias.draw(r) }

// shareOf is what is drawn from in block n of all epochs. Those that are taken at the same time, one by each thread,
// have different shares, as long as there are enough. Which is which is a matter of chance, so that in the end all
// tracks are drawn against each playlist: any order could fall in with that of the blocks in an epoch.
func (t *trainer) shareOf(n int64) share {
	threads := int64(t.Threads)
	r := randomOf(t.Seed, ^uint64(n/threads+1)) // no block has this number, nor has the start
	first, _ := r.below(len(t.shares))
	return t.shares[(first+int(n%threads))%len(t.shares)]
}
