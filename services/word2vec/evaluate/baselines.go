package evaluate

import (
	"cmp"
	"slices"

	"homefeed/services/word2vec/sgns"
)

// Popularity is the score of always answering with the tracks that come up most.
func (t *Test) Popularity() Score {
	popular := byCount(counts(t.Train))
	return t.score(func(from int32) []int32 { return without(popular, from) })
}

// Markov is the score of a first-order Markov model: the tracks that followed most often, filled up with popular
// ones. It is hard to beat where playlists are few.
func (t *Test) Markov() Score {
	all := counts(t.Train)
	popular := byCount(all)
	after := map[int32]map[int32]int{}
	for i := range t.Train.Playlists() {
		p := t.Train.Playlist(i)
		for j, next := range p[1:] {
			from := p[j]
			if after[from] == nil {
				after[from] = map[int32]int{}
			}
			after[from][next]++
		}
	}
	return t.score(func(from int32) []int32 {
		next := make([]int32, 0, len(after[from])+K)
		for track := range after[from] {
			next = append(next, track)
		}
		slices.SortFunc(next, func(a, b int32) int {
			return cmp.Or(cmp.Compare(after[from][b], after[from][a]), cmp.Compare(all[b], all[a]), cmp.Compare(a, b))
		})
		for _, track := range popular {
			if after[from][track] == 0 {
				next = append(next, track)
			}
		}
		return without(next, from)
	})
}

// counts is how often each track comes up.
func counts(c *sgns.Corpus) []int {
	all := make([]int, c.Tracks())
	for i := range c.Playlists() {
		for _, track := range c.Playlist(i) {
			all[track]++
		}
	}
	return all
}

// byCount is the tracks that come up most: one more than count, because the one that is asked with doesn't.
func byCount(counts []int) []int32 {
	order := make([]int32, len(counts))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	return order[:min(len(order), K+1)]
}

// without is the first K of tracks that are not from.
func without(tracks []int32, from int32) []int32 {
	best := make([]int32, 0, K)
	for _, track := range tracks {
		if track != from && len(best) < K {
			best = append(best, track)
		}
	}
	return best
}
