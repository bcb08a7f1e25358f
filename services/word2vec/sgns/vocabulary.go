package sgns

import (
	"cmp"
	"errors"
	"math"
	"slices"
)

// vocabulary is the tracks that get a vector, the most frequent first, and the playlists in their numbers.
type vocabulary struct {
	ids    []string
	counts []int
	words  []int32
	ends   []int
}

// newVocabulary drops tracks that come up less than minCount times, and those that no playlist holds beside another
// track: nothing can be learnt of them.
func newVocabulary(c *Corpus, minCount int) (*vocabulary, error) {
	total := make([]int, len(c.ids))
	for _, w := range c.words {
		total[w]++
	}
	enough := func(w int32) bool { return total[w] >= minCount }
	v := &vocabulary{}
	counts := make([]int, len(c.ids))
	for i := range c.Playlists() {
		start := len(v.words)
		for _, w := range c.Playlist(i) {
			if enough(w) {
				v.words = append(v.words, w)
			}
		}
		if len(v.words)-start < 2 {
			v.words = v.words[:start]
			continue
		}
		for _, w := range v.words[start:] {
			counts[w]++
		}
		v.ends = append(v.ends, len(v.words))
	}
	if len(v.ends) == 0 {
		return nil, errors.New("no playlist holds two tracks that come up often enough: want some")
	}
	v.renumber(c.ids, counts)
	return v, nil
}

// renumber orders tracks by count, and by id where counts are equal, so that numbers don't depend on the order in
// which playlists came.
func (v *vocabulary) renumber(ids []string, counts []int) {
	var order []int32
	for w, n := range counts {
		if n > 0 {
			order = append(order, int32(w))
		}
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(ids[a], ids[b]))
	})
	number := make([]int32, len(ids))
	for i, w := range order {
		number[w] = int32(i)
		v.ids = append(v.ids, ids[w])
		v.counts = append(v.counts, counts[w])
	}
	for i, w := range v.words {
		v.words[i] = number[w]
	}
}

// keep is the chance with which each track is kept when frequent ones are thinned out, of 2³², as word2vec does it:
// √(t/f) + t/f for a track with the share f of all words, and never more than 1.
func (v *vocabulary) keep(sample float64) []uint32 {
	keep := make([]uint32, len(v.counts))
	for i, n := range v.counts {
		keep[i] = math.MaxUint32
		if sample > 0 {
			r := sample * float64(len(v.words)) / float64(n)
			keep[i] = uint32(min(1, math.Sqrt(r)+r) * math.MaxUint32)
		}
	}
	return keep
}

// weights is how often each track is drawn at random, by count to the power of exponent.
func (v *vocabulary) weights(exponent float64) []float64 {
	weights := make([]float64, len(v.counts))
	for i, n := range v.counts {
		weights[i] = math.Pow(float64(n), exponent)
	}
	return weights
}
