package ivf

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"homefeed/services/word2vec/dot"
	"homefeed/services/word2vec/ivf/clusters"
	"homefeed/services/word2vec/ivf/topk"
)

// depths are the numbers of nearest rows that Probes are tuned for.
var depths = [3]int{10, 100, 1000}

// questions is how many rows an index is examined with, and at most one of 20: the recall of the 10 nearest is then
// known to about 0.002. No centroid is learnt from them, as none is from what will be searched for.
const questions = 2000

// surely is how many standard errors more than what was asked for an examination has to find, so that others than the
// examined, too, find what was asked for: it is 19 times as likely as not.
const surely = 1.645

// exam is rows to search the neighbours of, with the exact answers.
type exam struct {
	points  clusters.Points
	rows    []int
	nearest [][]int // of each row, best first, without itself
}

func newExam(ctx context.Context, p clusters.Points, r *rand.Rand) (*exam, error) {
	e := &exam{points: p, rows: r.Perm(p.Len())[:min(questions, p.Len()/20+1)]}
	e.nearest = make([][]int, len(e.rows))
	return e, e.share(func(from, to int) error { return e.solve(ctx, from, to) })
}

// share does work on the questions, each thread on its part of them.
func (e *exam) share(work func(from, to int) error) error {
	var g errgroup.Group
	threads := runtime.GOMAXPROCS(0)
	for t := range threads {
		g.Go(func() error { return work(t*len(e.rows)/threads, (t+1)*len(e.rows)/threads) })
	}
	return g.Wait()
}

// others are the points that are no questions.
func (e *exam) others() []int {
	asked := make([]bool, e.points.Len())
	for _, row := range e.rows {
		asked[row] = true
	}
	others := make([]int, 0, len(asked)-len(e.rows))
	for i, is := range asked {
		if !is {
			others = append(others, i)
		}
	}
	return others
}

// solve finds the exact answers to some of the questions. All of them are asked about a block of rows while the
// block is in the cache.
func (e *exam) solve(ctx context.Context, from, to int) error {
	best := make([]topk.Top, to-from)
	for i := range best {
		best[i] = make(topk.Top, 0, min(depths[2], e.points.Len()-1))
	}
	scores := make([]float32, block)
	for first := 0; first < e.points.Len(); first += block {
		if err := ctx.Err(); err != nil {
			return err
		}
		scores = scores[:min(block, e.points.Len()-first)]
		rows := e.points.All[first*e.points.Stride : (first+len(scores))*e.points.Stride]
		for i, row := range e.rows[from:to] {
			dot.Rows(scores, e.points.At(row), rows)
			for j, similarity := range scores {
				if similarity > best[i].Worst() && first+j != row {
					best[i] = best[i].Offer(topk.New(first+j, similarity))
				}
			}
		}
	}
	for i, b := range best {
		b.Sort()
		e.nearest[from+i] = make([]int, len(b))
		for j, c := range b {
			e.nearest[from+i][j] = c.Row()
		}
	}
	return nil
}

// settle searches in earnest, and aims higher until the codes' losses are made up for.
func (e *exam) settle(ctx context.Context, b *Built, pl *plan, recall float64) error {
	rowOf := make([]int, len(b.Order))
	for row, i := range b.Order {
		rowOf[i] = row
	}
	const attempts = 4
	for goal, n := recall, 0; ; n++ {
		pl.aim(goal)
		// A question skips its own row, for which searches look farther. Here they must not: others skip none.
		b.Probes, b.CellProbes = even(pl.lists[0]), even(pl.cells[0])
		found, spread, err := e.recall(ctx, b, rowOf)
		b.Probes, b.CellProbes = pl.lists, pl.cells
		b.Report = Report{Recall: found, Rows: pl.rows}
		short := min(recall+surely*spread, 1) - found
		if err != nil || short <= 0 || n == attempts {
			return err
		}
		goal = min(1, goal+short)
	}
}

// even is probes that don't depend on what is asked for.
func even(n uint32) Probes { return Probes{n, n, n} }

// recall is the share of the nearest that searches find, and the standard error of taking it for that of all rows.
func (e *exam) recall(ctx context.Context, b *Built, rowOf []int) (share, deviation float64, err error) {
	var sum, squares float64
	for i, row := range e.rows {
		near := e.nearest[i][:min(depths[0], len(e.nearest[i]))]
		hits, err := b.Search(ctx, Query{Vector: e.points.At(row), K: len(near), Skip: []uint32{uint32(rowOf[row])}})
		if err != nil {
			return 0, 0, err
		}
		found := 0
		for _, hit := range hits {
			if slices.Contains(near, b.Order[hit.Row]) {
				found++
			}
		}
		share := float64(found) / float64(max(len(near), 1))
		sum += share
		squares += share * share
	}
	n := float64(len(e.rows))
	mean := sum / n
	return mean, math.Sqrt(max(squares/n-mean*mean, 0) / n), nil
}
