package evaluate

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"homefeed/services/word2vec/dot"
	"homefeed/services/word2vec/vectors"
)

// Vectors is the score of answering with the tracks whose vectors are nearest to that of the question. Questions with a
// track that has no vector are missed. It compares with every vector, on all processors. The error is the context's.
func (t *Test) Vectors(ctx context.Context, v *vectors.Vectors) (Score, error) {
	asked := map[int32]int{} // where in answers
	var distinct []int32
	for _, q := range t.queries {
		if _, again := asked[q.from]; !again {
			asked[q.from] = len(distinct)
			distinct = append(distinct, q.from)
		}
	}
	number := make([]int32, v.Len()) // of each vector's track
	for i := range number {
		track, known := t.Train.Number(v.ID(i))
		if !known {
			track = unseen - 1 // no question's target
		}
		number[i] = track
	}
	answers := make([][]int32, len(distinct))
	var next atomic.Int64
	var threads sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		threads.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1) - 1)
				if i >= len(distinct) {
					return
				}
				if at, known := v.Find(t.Train.ID(distinct[i])); known {
					answers[i] = nearest(v, at, number)
				}
			}
		})
	}
	threads.Wait()
	if err := ctx.Err(); err != nil {
		return Score{}, fmt.Errorf("evaluating vectors: %w", err)
	}
	return t.score(func(from int32) []int32 { return answers[asked[from]] }), nil
}

// nearest is the tracks of the K vectors nearest to one, without it.
func nearest(v *vectors.Vectors, to int, number []int32) []int32 {
	type near struct {
		track      int32
		similarity float32
	}
	best := make([]near, 0, K+1)
	query := v.At(to)
	for i := range v.Len() {
		s := dot.One(query, v.At(i))
		if i == to || len(best) == K && s <= best[K-1].similarity {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, s, func(n near, s float32) int { return cmp.Compare(s, n.similarity) })
		best = slices.Insert(best, at, near{number[i], s})
		best = best[:min(len(best), K)]
	}
	tracks := make([]int32, len(best))
	for i, n := range best {
		tracks[i] = n.track
	}
	return tracks
}
