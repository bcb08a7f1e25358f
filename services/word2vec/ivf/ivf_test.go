package ivf_test

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"homefeed/services/word2vec/dot"
	"homefeed/services/word2vec/ivf"
)

// clustered is n unit vectors around n/50 centres.
func clustered(n, dim int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	centres := make([]float32, (n/50+1)*dim)
	for i := range centres {
		centres[i] = float32(r.NormFloat64())
	}
	all := make([]float32, n*dim)
	for i := range n {
		row, centre := all[i*dim:(i+1)*dim], centres[r.IntN(n/50+1)*dim:]
		var square float64
		for j := range row {
			row[j] = centre[j] + .7*float32(r.NormFloat64())
			square += float64(row[j]) * float64(row[j])
		}
		for j := range row {
			row[j] /= float32(math.Sqrt(square))
		}
	}
	return all
}

func build(t testing.TB, dim int, all []float32, o ivf.Options) *ivf.Built {
	t.Helper()
	b, err := ivf.Build(t.Context(), dim, all, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Validate(); err != nil {
		t.Fatal(err)
	}
	return b
}

// exact is the rows that may be answered, nearest first.
func exact(b *ivf.Built, q ivf.Query) []ivf.Hit {
	var all []ivf.Hit
	for row := range b.Len() {
		if _, skip := slices.BinarySearch(q.Skip, uint32(row)); !skip && (q.Accept == nil || q.Accept(row)) {
			all = append(all, ivf.Hit{Row: row, Similarity: dot.One(q.Vector, b.Row(row))})
		}
	}
	slices.SortStableFunc(all, func(a, b ivf.Hit) int { return cmp.Compare(b.Similarity, a.Similarity) })
	return all[:min(q.K, len(all))]
}

// recall is the share of the exact answers that searches find, over every nth row's own vector.
func recall(t testing.TB, b *ivf.Built, nth int, query func(row int) ivf.Query) float64 {
	var found, wanted int
	for row := 0; row < b.Len(); row += nth {
		q := query(row)
		hits, err := b.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		want := exact(b, q)
		if len(hits) != len(want) {
			t.Fatalf("row %d: %d hits, want %d", row, len(hits), len(want))
		}
		if !slices.IsSortedFunc(hits, func(a, b ivf.Hit) int { return cmp.Compare(b.Similarity, a.Similarity) }) {
			t.Fatalf("row %d: hits are not best first: %v", row, hits)
		}
		for _, hit := range hits {
			if slices.ContainsFunc(want, func(w ivf.Hit) bool { return w.Row == hit.Row }) {
				found++
			}
			if _, skipped := slices.BinarySearch(q.Skip, uint32(hit.Row)); skipped || q.Accept != nil && !q.Accept(hit.Row) {
				t.Fatalf("row %d: row %d is among the answers and may not be", row, hit.Row)
			}
		}
		wanted += len(want)
	}
	return float64(found) / float64(wanted)
}

func TestSearchFindsWhatWasAskedFor(t *testing.T) {
	const n, dim = 2_000, 20
	all := clustered(n, dim, 1)
	for name, test := range map[string]struct {
		options ivf.Options
		k       int
		least   float64
	}{
		"default":      {ivf.Options{Lists: 100}, 10, .97}, // asked for .98 of a sample; these are other rows
		"plain":        {ivf.Options{Lists: 100, Plain: true}, 10, .97},
		"more":         {ivf.Options{Lists: 100, Recall: .999}, 10, .997},
		"all of them":  {ivf.Options{Lists: 100, Recall: 1, Plain: true}, 10, .999},
		"one list":     {ivf.Options{Lists: 1}, 10, 1},
		"few":          {ivf.Options{}, 10, 1}, // too few for lists
		"as many":      {ivf.Options{Lists: n}, 10, .97},
		"100 nearest":  {ivf.Options{Lists: 100}, 100, .96},
		"1000 nearest": {ivf.Options{Lists: 100}, 1000, .96},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := build(t, dim, all, test.options)
			got := recall(t, b, 97, func(row int) ivf.Query {
				return ivf.Query{Vector: b.Row(row), K: test.k, Skip: []uint32{uint32(row)}}
			})
			if got < test.least {
				t.Errorf("recall %.4f, want %v, from %d lists, %v of which are looked into", got, test.least, b.Lists(), b.Probes)
			}
		})
	}
}

// A filter costs the answer neither length nor quality, however few it lets pass.
func TestFilters(t *testing.T) {
	const n, dim = 2_000, 20
	b := build(t, dim, clustered(n, dim, 2), ivf.Options{Lists: 100})
	var near []uint32
	for name, test := range map[string]struct {
		accept func(row int) bool
		skip   func(row int) []uint32
		least  float64
	}{
		"half":     {accept: func(row int) bool { return row%2 == 0 }, least: .96},
		"one 50th": {accept: func(row int) bool { return row%50 == 0 }, least: .95},
		"7 rows":   {accept: func(row int) bool { return row < 7 }, least: 1},
		"none":     {accept: func(int) bool { return false }, least: math.NaN()},
		"the 500 nearest are out": {
			skip: func(row int) []uint32 {
				near = near[:0]
				for _, hit := range exact(b, ivf.Query{Vector: b.Row(row), K: 500}) {
					near = append(near, uint32(hit.Row))
				}
				slices.Sort(near)
				return near
			},
			least: .95,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := recall(t, b, 97, func(row int) ivf.Query {
				q := ivf.Query{Vector: b.Row(row), K: 10, Accept: test.accept}
				if test.skip != nil {
					q.Skip = test.skip(row)
				}
				return q
			})
			if got < test.least {
				t.Errorf("recall %.4f, want %v", got, test.least)
			}
		})
	}
}

func TestBuildIsDeterministic(t *testing.T) {
	all := clustered(3_000, 16, 3)
	a, b := build(t, 16, all, ivf.Options{Lists: 100, Seed: 7}), build(t, 16, all, ivf.Options{Lists: 100, Seed: 7})
	if !slices.Equal(a.Order, b.Order) || !slices.Equal(a.Codes, b.Codes) || !slices.Equal(a.Centroids, b.Centroids) ||
		!slices.Equal(a.Cells, b.Cells) || a.Probes != b.Probes || a.CellProbes != b.CellProbes || a.Report != b.Report {
		t.Error("two builds of the same differ")
	}
	// Every row of the source is there once, unchanged.
	seen := make([]bool, len(a.Order))
	for row, i := range a.Order {
		if seen[i] || !slices.Equal(a.Row(row), all[i*16:(i+1)*16]) {
			t.Fatalf("row %d is not the source's %d", row, i)
		}
		seen[i] = true
	}
}

func TestEqualsAreInTheirOrder(t *testing.T) {
	all := slices.Repeat([]float32{1, 0}, 700)
	b := build(t, 2, all, ivf.Options{})
	hits, err := b.Search(t.Context(), ivf.Query{Vector: []float32{1, 0}, K: 3, Skip: []uint32{1}})
	want := []ivf.Hit{{Row: 0, Similarity: 1}, {Row: 2, Similarity: 1}, {Row: 3, Similarity: 1}}
	if diff := gocmp.Diff(want, hits); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

// expiring is a context whose time runs out when it is looked at for the nth time.
type expiring struct {
	context.Context
	looks atomic.Int64
	after int64
}

func (e *expiring) Err() error {
	if e.looks.Add(1) >= e.after {
		return context.DeadlineExceeded
	}
	return nil
}

func TestLongSearchObservesTheDeadline(t *testing.T) {
	const n = 40_000
	all := slices.Repeat([]float32{1}, n)
	scan := build(t, 1, all, ivf.Options{Lists: 1})
	lists := &ivf.Index{
		Dim: 1, Vectors: scan.Vectors, Centroids: scan.Vectors[:4*8], Starts: []uint32{0, n / 4, n / 2, 3 * n / 4, n},
		Cells: scan.Vectors[:2*8], CellStarts: []uint32{0, 1, 4}, Probes: ivf.Probes{1, 1, 1}, CellProbes: ivf.Probes{1, 1, 1},
	}
	for name, x := range map[string]*ivf.Index{"scan": scan.Index, "lists": lists} {
		q := ivf.Query{Vector: []float32{1}, K: 10, Accept: func(int) bool { return false }} // to the very end
		ctx := &expiring{Context: t.Context(), after: 3}
		if hits, err := x.Search(ctx, q); err != context.DeadlineExceeded || hits != nil || ctx.looks.Load() != 3 {
			t.Errorf("%s: %d hits, %v after %d looks", name, len(hits), err, ctx.looks.Load())
		}
		if _, err := x.Search(&expiring{Context: t.Context(), after: 100}, q); err != nil {
			t.Errorf("%s in time: %v", name, err)
		}
	}
	if _, err := ivf.Build(&expiring{Context: t.Context(), after: 5}, 1, all[:4000], ivf.Options{Lists: 20}); err != context.DeadlineExceeded {
		t.Errorf("building went on: %v", err)
	}
}

func TestOptions(t *testing.T) {
	for want, o := range map[string]ivf.Options{
		"recall 0.4: want 0.5 to 1": {Recall: .4},
		"recall NaN: want 0.5 to 1": {Recall: math.NaN()},
		"lists -1: want 0":          {Lists: -1},
	} {
		if _, err := ivf.Build(t.Context(), 1, []float32{1}, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestValidateSaysWhatIsWrong(t *testing.T) {
	all := clustered(200, 10, 4)
	nan := float32(math.NaN())
	for want, spoil := range map[string]func(b *ivf.Index){
		"0 rows of dimension 10":                    func(x *ivf.Index) { x.Starts = nil },
		"rows of dimension 0":                       func(x *ivf.Index) { x.Dim = 0 },
		"3184 values: want 3200":                    func(x *ivf.Index) { x.Vectors = x.Vectors[16:] },
		"0 scales: want 3200 and 200":               func(x *ivf.Index) { x.Scales = nil },
		"0 scales of centroids: want":               func(x *ivf.Index) { x.CentroidScales = nil },
		"values of centroids: want":                 func(x *ivf.Index) { x.Centroids = x.Centroids[1:] },
		"list 0 starts at row 1: want 0":            func(x *ivf.Index) { x.Starts[0] = 1 },
		"list 1 starts at row 250, behind its end":  func(x *ivf.Index) { x.Starts[1] = 250 },
		"cell 0 starts at list 2: want 0":           func(x *ivf.Index) { x.CellStarts[0] = 2 },
		"cell 1 starts at list 2147483648, behind":  func(x *ivf.Index) { x.CellStarts[1] = 1 << 31 },
		"values of cells: want":                     func(x *ivf.Index) { x.Cells = x.Cells[1:] },
		"0 cells: want some, which end at list":     func(x *ivf.Index) { x.Cells, x.CellStarts = nil, nil },
		"cells: want some, which end at list":       func(x *ivf.Index) { x.CellStarts[len(x.CellStarts)-1]++ },
		"cell 0: the square of its length is 0":     func(x *ivf.Index) { clear(x.Cells[:16]) },
		"probes of [0 1 1] lists: want 1 to":        func(x *ivf.Index) { x.Probes = ivf.Probes{0, 1, 1} },
		"probes of [1 1 9999] cells: want 1 to":     func(x *ivf.Index) { x.CellProbes = ivf.Probes{1, 1, 9999} },
		"scale 3 of codes is NaN":                   func(x *ivf.Index) { x.Scales[3] = nan },
		"row 5: the square of its length is NaN":    func(x *ivf.Index) { x.Vectors[5*16+2] = nan },
		"row 5: the square of its length is +Inf":   func(x *ivf.Index) { x.Vectors[5*16] = float32(math.Inf(1)) },
		"centroid 1: the square of its length is 4": func(x *ivf.Index) { clear(x.Centroids[16:32]); x.Centroids[16] = 2 },
	} {
		b := build(t, 10, all, ivf.Options{Lists: 20})
		spoil(b.Index)
		if err := b.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Even where there is hardly anything to learn from.
func TestAFewRowsInLists(t *testing.T) {
	for n := 2; n < 30; n++ {
		all := clustered(n, 4, uint64(n))
		for _, lists := range []int{2, n / 2, n} {
			b := build(t, 4, all, ivf.Options{Lists: max(lists, 1), Recall: 1})
			hits, err := b.Search(t.Context(), ivf.Query{Vector: b.Row(0), K: n})
			if err != nil || len(hits) != n {
				t.Errorf("%d rows in %d lists: %d found, %v", n, b.Lists(), len(hits), err)
			}
		}
	}
}

func TestNothingToFind(t *testing.T) {
	b := build(t, 2, []float32{1, 0}, ivf.Options{})
	if hits, err := b.Search(t.Context(), ivf.Query{Vector: []float32{1, 0}}); hits != nil || err != nil {
		t.Errorf("none asked for: %v, %v", hits, err)
	}
	if hits, err := new(ivf.Index).Search(t.Context(), ivf.Query{K: 1}); hits != nil || err != nil {
		t.Errorf("no rows: %v, %v", hits, err)
	}
}
