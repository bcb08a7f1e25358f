package ivf

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"homefeed/services/word2vec/dot"
)

// depths are the numbers of nearest rows that Probes are tuned for.
var depths = [3]int{10, 100, 1000}

// questions is how many rows an index is examined with, and at most one of 20: the recall of the 10 nearest is then
// known to about 0.002.
const questions = 1000

// exam is rows to search the neighbours of, with the exact answers.
type exam struct {
	points  points
	rows    []int
	nearest [][]int // of each row, best first, without itself
}

func newExam(ctx context.Context, p points, r *rand.Rand) (*exam, error) {
	e := &exam{points: p, rows: r.Perm(p.len())[:min(questions, p.len()/20+1)]}
	e.nearest = make([][]int, len(e.rows))
	var g errgroup.Group
	threads := runtime.GOMAXPROCS(0)
	for t := range threads {
		from, to := t*len(e.rows)/threads, (t+1)*len(e.rows)/threads
		g.Go(func() error { return e.solve(ctx, from, to) })
	}
	return e, g.Wait()
}

// solve finds the exact answers to some of the questions. All of them are asked about a block of rows while the
// block is in the cache.
func (e *exam) solve(ctx context.Context, from, to int) error {
	best := make([]top, to-from)
	for i := range best {
		best[i] = make(top, 0, min(depths[2], e.points.len()-1))
	}
	scores := make([]float32, block)
	for first := 0; first < e.points.len(); first += block {
		if err := ctx.Err(); err != nil {
			return err
		}
		scores = scores[:min(block, e.points.len()-first)]
		rows := e.points.all[first*e.points.stride : (first+len(scores))*e.points.stride]
		for i, row := range e.rows[from:to] {
			dot.Rows(scores, e.points.at(row), rows)
			for j, similarity := range scores {
				if similarity > best[i].worst() && first+j != row {
					best[i] = best[i].offer(candidate{first + j, similarity})
				}
			}
		}
	}
	for i, b := range best {
		b.sort()
		e.nearest[from+i] = make([]int, len(b))
		for j, c := range b {
			e.nearest[from+i][j] = c.row
		}
	}
	return nil
}

// plan finds out where in the ranks of lists the nearest rows are, and so how many lists it takes.
func (e *exam) plan(c *clusters, home []int, recall float64) *plan {
	lists := c.len()
	pl := &plan{clusters: c, home: home, starts: startsOf(home, lists), read: make([]float64, lists+1)}
	for d := range pl.found {
		pl.found[d] = make([]float64, lists+1)
	}
	scores, ranked, rankOf := make([]float32, lists), make(top, lists), make([]int, lists)
	for i, row := range e.rows {
		dot.Rows(scores, e.points.at(row), c.all)
		for list, similarity := range scores {
			ranked[list] = candidate{list, similarity}
		}
		ranked.sort()
		for rank, list := range ranked {
			rankOf[list.row] = rank
			pl.read[rank+1] += float64(pl.starts[list.row+1]-pl.starts[list.row]) / float64(len(e.rows))
		}
		for d, depth := range depths {
			near := e.nearest[i][:min(depth, len(e.nearest[i]))]
			for _, neighbour := range near {
				pl.found[d][rankOf[home[neighbour]]+1] += 1 / float64(len(near)*len(e.rows))
			}
		}
	}
	for rank := range lists {
		pl.read[rank+1] += pl.read[rank]
		for d := range pl.found {
			pl.found[d][rank+1] += pl.found[d][rank]
		}
	}
	pl.aim(recall)
	return pl
}

// aim sets the probes to what finds the share of the nearest. Recall 1 can take all lists.
func (pl *plan) aim(recall float64) {
	for d, found := range pl.found {
		probes, _ := slices.BinarySearch(found, min(recall, found[len(found)-1]))
		pl.probes[d] = uint32(max(probes, 1))
	}
	pl.cost = float64(pl.clusters.len()) + pl.read[pl.probes[0]]
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
		b.Probes = pl.probes
		b.Report = Report{Rows: pl.cost}
		var err error
		if b.Report.Recall, err = e.recall(ctx, b, rowOf); err != nil || b.Report.Recall >= recall || n == attempts {
			return err
		}
		goal = min(1, goal+recall-b.Report.Recall)
	}
}

// recall is the share of the nearest that searches find.
func (e *exam) recall(ctx context.Context, b *Built, rowOf []int) (float64, error) {
	var found, all int
	for i, row := range e.rows {
		near := e.nearest[i][:min(depths[0], len(e.nearest[i]))]
		hits, err := b.Search(ctx, Query{Vector: e.points.at(row), K: len(near), Skip: []uint32{uint32(rowOf[row])}})
		if err != nil {
			return 0, err
		}
		for _, hit := range hits {
			if slices.Contains(near, b.Order[hit.Row]) {
				found++
			}
		}
		all += len(near)
	}
	return float64(found) / float64(max(all, 1)), nil
}
