// Package evaluate asks how well something guesses the next track of a playlist, by the protocol of item2vec (Barkan
// and Koenigstein, 2016, as Caselles-Dupré et al., "Word2vec applied to Recommendation", 2018, use it): learn from
// tracks 1 to n−1 of each playlist, ask with track n−1, and look where track n is among the ten best answers.
package evaluate

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"

	"homefeed/services/word2vec/sgns"
)

// K is how many answers count.
const K = 10

// Shortest is the length of the shortest playlist that is asked about: with two tracks left to learn from.
const Shortest = 3

// Test is what to learn from and what to ask.
type Test struct {
	Train   *sgns.Corpus
	queries []query
}

// query is numbers of tracks in Train; the target may be no track of it.
type query struct{ from, target int32 }

// unseen is the target that no answer can be.
const unseen = -1

// NewTest takes the last track off each playlist that has at least Shortest. Shorter ones are left out. Of the
// questions it keeps at most most, chosen by the seed; 0 means all. Playlists that are also given are learnt from
// whole, and not asked about.
func NewTest(c *sgns.Corpus, most int, seed uint64, also ...*sgns.Corpus) (*Test, error) {
	var asked []int // playlists
	for i := range c.Playlists() {
		if len(c.Playlist(i)) >= Shortest {
			asked = append(asked, i)
		}
	}
	if len(asked) == 0 {
		return nil, fmt.Errorf("no playlist has %d tracks or more: want some to ask about", Shortest)
	}
	train, err := sgns.NewCorpus(func(yield func([]string) bool) {
		for _, i := range asked {
			p := c.Playlist(i)
			if !yield(ids(c, p[:len(p)-1])) {
				return
			}
		}
		for _, c := range also {
			for i := range c.Playlists() {
				if !yield(ids(c, c.Playlist(i))) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if most > 0 && most < len(asked) {
		r := rand.New(rand.NewPCG(seed, 0))
		r.Shuffle(len(asked), func(i, j int) { asked[i], asked[j] = asked[j], asked[i] })
		asked = asked[:most]
		slices.Sort(asked)
	}
	t := &Test{Train: train, queries: make([]query, len(asked))}
	for q, i := range asked {
		p := c.Playlist(i)
		from, _ := train.Number(c.ID(p[len(p)-2]))
		target, seen := train.Number(c.ID(p[len(p)-1]))
		if !seen {
			target = unseen
		}
		t.queries[q] = query{from, target}
	}
	return t, nil
}

func ids(c *sgns.Corpus, tracks []int32) []string {
	all := make([]string, len(tracks))
	for i, track := range tracks {
		all[i] = c.ID(track)
	}
	return all
}

// Queries is how many questions are asked.
func (t *Test) Queries() int { return len(t.queries) }

// Score is how good answers are, from 0 to 1.
type Score struct {
	// HitRate, HR@10, is the part of the questions whose target is among the ten best answers.
	HitRate float64
	// NDCG, NDCG@10, counts a hit for less the further down it is: 1/log₂(1 + place).
	NDCG float64
}

// LogValue makes four places of each, as tables have them.
func (s Score) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String(fmt.Sprintf("hr%d", K), fmt.Sprintf("%.4f", s.HitRate)),
		slog.String(fmt.Sprintf("ndcg%d", K), fmt.Sprintf("%.4f", s.NDCG)),
	)
}

// add counts answers, best first, to a question.
func (s *Score) add(answers []int32, target int32) {
	if at := slices.Index(answers[:min(len(answers), K)], target); at >= 0 {
		s.HitRate++
		s.NDCG += 1 / math.Log2(float64(at+2))
	}
}

// score asks every question; answers don't hold the track that is asked with.
func (t *Test) score(answers func(from int32) []int32) Score {
	var s Score
	for _, q := range t.queries {
		s.add(answers(q.from), q.target)
	}
	n := float64(len(t.queries))
	return Score{s.HitRate / n, s.NDCG / n}
}

// Summary is several scores of one thing, such as those of several seeds.
type Summary struct{ Mean, Spread Score }

// Summarise takes at least one score. The spread is the standard deviation; of one score it is 0.
func Summarise(scores []Score) (Summary, error) {
	if len(scores) == 0 {
		return Summary{}, errors.New("no scores: want at least one")
	}
	mean := func(of func(Score) float64) (mean, spread float64) {
		for _, s := range scores {
			mean += of(s) / float64(len(scores))
		}
		if len(scores) == 1 {
			return mean, 0
		}
		for _, s := range scores {
			spread += (of(s) - mean) * (of(s) - mean) / float64(len(scores)-1)
		}
		return mean, math.Sqrt(spread)
	}
	var s Summary
	s.Mean.HitRate, s.Spread.HitRate = mean(func(s Score) float64 { return s.HitRate })
	s.Mean.NDCG, s.Spread.NDCG = mean(func(s Score) float64 { return s.NDCG })
	return s, nil
}
