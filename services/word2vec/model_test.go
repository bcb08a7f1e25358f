package word2vec_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"homefeed/services/word2vec"
	"homefeed/services/word2vec/dot"
	"homefeed/services/word2vec/vectors"
	"homefeed/shelves/shelf"
)

func modelOf(t testing.TB, ids []string, dim int, data ...float32) *word2vec.Model {
	t.Helper()
	v, err := vectors.New(ids, dim, data)
	if err != nil {
		t.Fatal(err)
	}
	return word2vec.NewModel(v)
}

// compass has a track in each direction.
func compass(t testing.TB) *word2vec.Model {
	return modelOf(t, []string{"n", "ne", "e", "s", "w"}, 2, 0, 1, 1, 1, 1, 0, 0, -1, -1, 0)
}

var nearly = cmpopts.EquateApprox(0, 1e-5)

func TestNearest(t *testing.T) {
	const d = math.Sqrt2 / 2
	for name, test := range map[string]struct {
		seeds   []shelf.Seed
		k       int
		exclude []string
		want    []shelf.Neighbour
		unknown []string
	}{
		"one seed": {
			seeds: []shelf.Seed{{Track: "n"}}, k: 2,
			want: []shelf.Neighbour{{Track: "ne", Similarity: d}, {Track: "e", Similarity: 0}}, // e is as near as w, and comes first in the model
		},
		"two seeds": {
			seeds: []shelf.Seed{{Track: "n"}, {Track: "e"}}, k: 9,
			want: []shelf.Neighbour{{Track: "ne", Similarity: 1}, {Track: "s", Similarity: -d}, {Track: "w", Similarity: -d}},
		},
		"weights": {
			seeds: []shelf.Seed{{Track: "n", Weight: 1}, {Track: "e", Weight: 3}}, k: 1, exclude: []string{"ne"},
			want: []shelf.Neighbour{{Track: "s", Similarity: -1 / float32(math.Sqrt(10))}},
		},
		"a negative weight turns away": {
			seeds: []shelf.Seed{{Track: "n", Weight: -1}}, k: 1,
			want: []shelf.Neighbour{{Track: "s", Similarity: 1}},
		},
		"a seed twice counts twice": {
			seeds: []shelf.Seed{{Track: "n"}, {Track: "s"}, {Track: "n"}}, k: 1,
			want: []shelf.Neighbour{{Track: "ne", Similarity: d}},
		},
		"excluded": {
			seeds: []shelf.Seed{{Track: "n"}}, k: 3, exclude: []string{"ne", "w", "gone", "ne", "n"},
			want: []shelf.Neighbour{{Track: "e", Similarity: 0}, {Track: "s", Similarity: -1}},
		},
		"unknown among known": {
			seeds: []shelf.Seed{{Track: "x"}, {Track: "s"}, {Track: "y"}}, k: 1,
			want: []shelf.Neighbour{{Track: "e", Similarity: 0}}, unknown: []string{"x", "y"},
		},
		"all unknown":    {seeds: []shelf.Seed{{Track: "x"}}, k: 5, unknown: []string{"x"}},
		"no seeds":       {k: 5},
		"none asked for": {seeds: []shelf.Seed{{Track: "n"}}},
		"seeds that cancel out": {
			seeds: []shelf.Seed{{Track: "n"}, {Track: "s"}}, k: 5,
		},
		"all excluded": {
			seeds: []shelf.Seed{{Track: "n"}}, k: 5, exclude: []string{"ne", "e", "s", "w"}, want: []shelf.Neighbour{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			near, unknown, err := compass(t).Nearest(t.Context(), word2vec.Query{Seeds: test.seeds, K: test.k, Exclude: test.exclude})
			if diff := gocmp.Diff(test.want, near, nearly); diff != "" || err != nil {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
			if diff := gocmp.Diff(test.unknown, unknown); diff != "" {
				t.Errorf("unknown (-want +got)\n%s", diff)
			}
		})
	}
}

// The heap must agree with sorting everything.
func TestNearestAgreesWithSorting(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const dim = 3
		n := rapid.IntRange(1, 60).Draw(rt, "tracks")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		ids, data := make([]string, n), make([]float32, 0, n*dim)
		for i := range n {
			ids[i] = fmt.Sprint("t", i)
			data = append(data, 1+float32(r.IntN(2)), float32(r.IntN(3)), float32(r.IntN(3))) // with equals among them
		}
		m := modelOf(t, ids, dim, data...)
		name := rapid.Custom(func(rt *rapid.T) string { return fmt.Sprint("t", rapid.IntRange(0, n+3).Draw(rt, "track")) })
		exclude := rapid.SliceOfN(name, 0, n).Draw(rt, "exclude")
		seed := rapid.SampledFrom(ids).Draw(rt, "seed track")
		k := rapid.IntRange(0, n+2).Draw(rt, "k")

		at, _ := m.Vector(seed)
		var want []shelf.Neighbour
		for _, id := range ids {
			if v, _ := m.Vector(id); id != seed && !slices.Contains(exclude, id) {
				want = append(want, shelf.Neighbour{Track: id, Similarity: min(dot.One(at, v), 1)})
			}
		}
		slices.SortStableFunc(want, func(a, b shelf.Neighbour) int { return cmp.Compare(b.Similarity, a.Similarity) })
		want = want[:min(k, len(want))]
		got, _, err := m.Nearest(t.Context(), word2vec.Query{Seeds: []shelf.Seed{{Track: seed}}, K: k, Exclude: exclude})
		if diff := gocmp.Diff(want, got, nearly, cmpopts.EquateEmpty(),
			cmpopts.IgnoreFields(shelf.Neighbour{}, "Track")); diff != "" || err != nil {
			rt.Fatalf("%v (-want +got)\n%s", err, diff)
		}
		for i, neighbour := range got {
			// Rounding may turn those that are as near as each other around, and nothing else.
			if v, _ := m.Vector(neighbour.Track); math.Abs(float64(dot.One(at, v)-neighbour.Similarity)) > 1e-5 ||
				neighbour.Track == seed || slices.Contains(exclude, neighbour.Track) {
				rt.Fatalf("neighbour %d is %v", i, neighbour)
			}
		}
	})
}

// expiring is a context whose time runs out when it is looked at for the nth time.
type expiring struct {
	context.Context
	looks, after int
}

func (e *expiring) Err() error {
	if e.looks++; e.looks >= e.after {
		return context.DeadlineExceeded
	}
	return nil
}

func TestLongScanObservesTheDeadline(t *testing.T) {
	const n = 100_000
	ids, data := make([]string, n), make([]float32, n)
	for i := range n {
		ids[i], data[i] = fmt.Sprint(i), 1
	}
	m := modelOf(t, ids, 1, data...)
	ctx := &expiring{Context: t.Context(), after: 3}
	near, _, err := m.Nearest(ctx, word2vec.Query{Seeds: []shelf.Seed{{Track: "7"}}, K: 10})
	if err != context.DeadlineExceeded || near != nil || ctx.looks != 3 {
		t.Errorf("%d neighbours, %v after %d looks at the context", len(near), err, ctx.looks)
	}
	if _, _, err := m.Nearest(&expiring{Context: t.Context(), after: 100}, word2vec.Query{Seeds: []shelf.Seed{{Track: "7"}}, K: 10}); err != nil {
		t.Errorf("in time: %v", err)
	}
}

func TestLoadModel(t *testing.T) {
	v, err := vectors.New([]string{"a", "b"}, 2, []float32{1, 2, 3, 4})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "m.bin")
	if err := vectors.Save(path, v); err != nil {
		t.Fatal(err)
	}
	m, err := word2vec.LoadModel(path)
	if err != nil {
		t.Fatal(err)
	}
	if m.Version() != word2vec.NewModel(v).Version() || m.Tracks() != 2 || m.Dim() != 2 {
		t.Errorf("model %s of %d tracks of dimension %d", m.Version(), m.Tracks(), m.Dim())
	}
	if _, err := word2vec.LoadModel(path + ".txt"); err == nil {
		t.Error("a missing model was loaded")
	}
}

func BenchmarkNearest(b *testing.B) {
	for _, n := range []int{2_000, 50_000} {
		b.Run(fmt.Sprintf("tracks=%d", n), func(b *testing.B) {
			const dim = 64
			r := rand.New(rand.NewPCG(1, 1))
			ids, data := make([]string, n), make([]float32, n*dim)
			for i := range ids {
				ids[i] = fmt.Sprint(i)
			}
			for i := range data {
				data[i] = r.Float32() - .5
			}
			m := modelOf(b, ids, dim, data...)
			seeds := []shelf.Seed{{Track: "1"}, {Track: "2"}, {Track: "3"}, {Track: "4"}, {Track: "5"}}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := m.Nearest(b.Context(), word2vec.Query{Seeds: seeds, K: 20, Exclude: ids[:50]}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
