package word2vec

import (
	"fmt"
	"math"

	"homefeed/services/rpc"
	"homefeed/services/word2vec/word2vecpb"
	"homefeed/shelves/shelf"
)

// Bounds of a request, as the proto states them.
const (
	MaxSeeds     = 100
	MaxNearest   = 1_000
	MaxExclude   = 10_000
	MaxLabels    = 16
	MaxBatch     = 100
	MaxBatchK    = 10_000 // neighbours of a batch together
	MaxPairs     = 1_000
	defaultCount = 20
)

// checkNearest is the query of a request whose path in the message is at.
func checkNearest(at string, r *word2vecpb.NearestRequest) (Query, error) {
	q := Query{
		Vector: r.GetVector(), K: int(r.GetK()), Exclude: r.GetExclude(), With: r.GetWith(), Without: r.GetWithout(),
	}
	for _, list := range []struct {
		name    string
		n, most int
	}{
		{"seeds", len(r.GetSeeds()), MaxSeeds},
		{"exclude", len(q.Exclude), MaxExclude},
		{"with", len(q.With), MaxLabels},
		{"without", len(q.Without), MaxLabels},
	} {
		if list.n > list.most {
			return q, rpc.Invalid(at+list.name, fmt.Sprintf("want at most %d, not %d", list.most, list.n))
		}
	}
	if q.K < 0 || q.K > MaxNearest {
		return q, rpc.Invalid(at+"k", fmt.Sprintf("want 0 to %d, not %d", MaxNearest, q.K))
	}
	if q.K == 0 {
		q.K = defaultCount
	}
	if len(q.Vector) > 0 && len(r.GetSeeds()) > 0 {
		return q, rpc.Invalid(at+"vector", "want seeds or a vector, not both")
	}
	for i, seed := range r.GetSeeds() {
		if w := float64(seed.GetWeight()); math.IsNaN(w) || math.IsInf(w, 0) {
			return q, rpc.Invalid(fmt.Sprintf("%sseeds[%d].weight", at, i), "want a finite number")
		}
		q.Seeds = append(q.Seeds, shelf.Seed{Track: seed.GetTrack(), Weight: seed.GetWeight()})
	}
	return q, nil
}

// prefix is the path in the message of the fields of request i of a batch.
func prefix(i int) string { return fmt.Sprintf("requests[%d].", i) }

func checkBatch(r *word2vecpb.NearestBatchRequest) ([]Query, error) {
	if n := len(r.GetRequests()); n > MaxBatch {
		return nil, rpc.Invalid("requests", fmt.Sprintf("want at most %d, not %d", MaxBatch, n))
	}
	queries := make([]Query, len(r.GetRequests()))
	neighbours := 0
	for i, one := range r.GetRequests() {
		var err error
		if queries[i], err = checkNearest(prefix(i), one); err != nil {
			return nil, err
		}
		neighbours += queries[i].K
	}
	if neighbours > MaxBatchK {
		return nil, rpc.Invalid("requests", fmt.Sprintf("want at most %d neighbours together, not %d", MaxBatchK, neighbours))
	}
	return queries, nil
}
