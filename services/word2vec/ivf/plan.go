package ivf

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"

	"homefeed/services/word2vec/dot"
	"homefeed/services/word2vec/ivf/clusters"
	"homefeed/services/word2vec/ivf/topk"
)

// What a search costs, in comparisons with rows: beside each of those, each with a cell and a centroid, and what it
// takes to begin with a cell or a list, which is to wait for its memory.
const (
	costOfList = 20
	costOfCell = 10
)

// plan is an index before its rows are moved, and what is known of searches that open some of its cells.
type plan struct {
	clusters     *clusters.Clusters
	home         []int // the list of each point
	starts       []uint32
	ways         []way
	wanted       [len(depths)]int // neighbours of all questions
	questions    int
	lists, cells Probes
	rows, cost   float64 // comparisons of a search for 10, and those with what else it takes
}

// way is searches that open some cells, over all questions.
type way struct {
	cells     int
	centroids int // in the cells
	read      []int
	found     [len(depths)][]int // read[n] is the rows in the nearest n lists of those in the cells; found, neighbours there
}

// ways are the numbers of cells to try.
func ways(cells, lists int) []way {
	var all []way
	for n := 1; n < cells; n += max(1, n/4) {
		all = append(all, way{cells: n})
	}
	all = append(all, way{cells: cells})
	for i := range all {
		all[i].read = make([]int, lists+1)
		for d := range depths {
			all[i].found[d] = make([]int, lists+1)
		}
	}
	return all
}

// plan finds out where in the ranks of cells and lists the nearest rows are, and so how many of each it takes.
func (e *exam) plan(ctx context.Context, c *clusters.Clusters, recall float64) (*plan, error) {
	home, err := c.Assign(ctx, e.points)
	if err != nil {
		return nil, err
	}
	pl := &plan{
		clusters: c, home: home, starts: startsOf(home, c.Len()), ways: ways(len(c.Starts)-1, c.Len()), questions: len(e.rows),
	}
	var adding sync.Mutex
	err = e.share(func(from, to int) error {
		part := ways(len(c.Starts)-1, c.Len())
		for i := from; i < to; i++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			pl.ask(part, e.points.At(e.rows[i]), e.nearest[i])
		}
		adding.Lock()
		defer adding.Unlock()
		for i := range part {
			pl.ways[i].add(&part[i])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for d, depth := range depths {
		for _, near := range e.nearest {
			pl.wanted[d] += min(depth, len(near))
		}
	}
	for i := range pl.ways {
		pl.ways[i].sumUp()
	}
	pl.aim(recall)
	return pl, nil
}

// ask adds to ways what it takes to find the near points of a query.
func (pl *plan) ask(ways []way, query []float32, near []int) {
	c := pl.clusters
	cellRank := make([]int, c.Len()) // of each list
	for rank, cell := range ranked(query, c.Cells) {
		for list := c.Starts[cell.Row()]; list < c.Starts[cell.Row()+1]; list++ {
			cellRank[list] = rank
		}
	}
	var held [len(depths)][]int // of each list, how many of the near ones it has
	for d, depth := range depths {
		held[d] = make([]int, c.Len())
		for _, neighbour := range near[:min(depth, len(near))] {
			held[d][pl.home[neighbour]]++
		}
	}
	lists := ranked(query, c.All)
	for i := range ways {
		w, n := &ways[i], 0
		for _, list := range lists {
			if cellRank[list.Row()] >= w.cells {
				continue
			}
			n++
			w.read[n] += int(pl.starts[list.Row()+1] - pl.starts[list.Row()])
			for d := range depths {
				w.found[d][n] += held[d][list.Row()]
			}
		}
		w.centroids += n
	}
}

// ranked is the rows, nearest first.
func ranked(query, rows []float32) topk.Top {
	scores := make([]float32, len(rows)/len(query))
	dot.Rows(scores, query, rows)
	all := make(topk.Top, len(scores))
	for i, similarity := range scores {
		all[i] = topk.New(i, similarity)
	}
	all.Sort()
	return all
}

func (w *way) add(other *way) {
	w.centroids += other.centroids
	for n := range w.read {
		w.read[n] += other.read[n]
		for d := range depths {
			w.found[d][n] += other.found[d][n]
		}
	}
}

// sumUp turns what the nth list has into what the nearest n have.
func (w *way) sumUp() {
	for n := 1; n < len(w.read); n++ {
		w.read[n] += w.read[n-1]
		for d := range depths {
			w.found[d][n] += w.found[d][n-1]
		}
	}
}

// aim sets the probes to what finds the share of the nearest at the least cost. Recall 1 can take all lists.
func (pl *plan) aim(recall float64) {
	for d := range depths {
		best := math.Inf(1)
		for i := range pl.ways {
			w := &pl.ways[i]
			all := i == len(pl.ways)-1
			lists := w.enough(d, recall*float64(pl.wanted[d]))
			if lists == len(w.read) && all {
				lists-- // by rounding
			}
			if lists == len(w.read) || !all && d > 0 && w.cells < int(pl.cells[d-1]) {
				continue
			}
			rows := float64(len(pl.clusters.Starts)-1) + float64(w.centroids+w.read[lists])/float64(pl.questions)
			cost := rows + float64(costOfCell*w.cells+costOfList*lists)
			if cost >= best {
				continue
			}
			best = cost
			pl.lists[d], pl.cells[d] = uint32(lists), uint32(w.cells)
			if d == 0 {
				pl.rows, pl.cost = rows, cost
			}
		}
		if d > 0 {
			pl.lists[d] = max(pl.lists[d], pl.lists[d-1])
		}
	}
}

// enough is the least number of lists, from 1 on, that have so many of the neighbours.
func (w *way) enough(depth int, neighbours float64) int {
	lists, _ := slices.BinarySearchFunc(w.found[depth], neighbours, func(found int, want float64) int {
		return cmp.Compare(float64(found), want)
	})
	return max(lists, 1)
}
