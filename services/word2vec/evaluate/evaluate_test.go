package evaluate

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homefeed/services/word2vec/sgns"
	"homefeed/services/word2vec/vectors"
)

func corpus(t *testing.T, lines ...string) *sgns.Corpus {
	t.Helper()
	var playlists [][]string
	for _, line := range lines {
		playlists = append(playlists, strings.Fields(line))
	}
	c, err := sgns.NewCorpus(slices.Values(playlists))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newTest(t *testing.T, most int, lines ...string) *Test {
	t.Helper()
	test, err := NewTest(corpus(t, lines...), most, 1)
	if err != nil {
		t.Fatal(err)
	}
	return test
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func TestTheLastTrackIsAskedForAndNotLearnt(t *testing.T) {
	test := newTest(t, 0, "a b c", "x y", "c b a", "b a z")
	if test.Train.Playlists() != 3 || test.Train.Words() != 6 || test.Queries() != 3 {
		t.Errorf("%d playlists of %d tracks to learn from, %d questions",
			test.Train.Playlists(), test.Train.Words(), test.Queries())
	}
	number := func(id string) int32 {
		n, ok := test.Train.Number(id)
		if !ok {
			t.Fatalf("%s is not to be learnt from", id)
		}
		return n
	}
	want := []query{{number("b"), number("c")}, {number("b"), number("a")}, {number("a"), unseen}}
	if diff := cmp.Diff(want, test.queries, cmp.AllowUnexported(query{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, ok := test.Train.Number("z"); ok {
		t.Error("what is asked for is learnt from")
	}
	more, err := NewTest(corpus(t, "a b c"), 0, 1, corpus(t, "c d", "e"))
	if err != nil {
		t.Fatal(err)
	}
	if more.Train.Playlists() != 3 || more.Train.Words() != 5 || more.Queries() != 1 {
		t.Errorf("with more to learn from: %d playlists of %d tracks, %d questions",
			more.Train.Playlists(), more.Train.Words(), more.Queries())
	}
	if _, err := NewTest(corpus(t, "a b"), 0, 1); err == nil {
		t.Error("a test without questions")
	}
}

func TestQuestionsAreChosenBySeed(t *testing.T) {
	var lines []string
	for range 100 {
		lines = append(lines, "a b c", "b c a", "c a b")
	}
	c := corpus(t, lines...)
	ask := func(seed uint64) []query {
		test, err := NewTest(c, 20, seed)
		if err != nil {
			t.Fatal(err)
		}
		return test.queries
	}
	if len(ask(1)) != 20 || !slices.Equal(ask(1), ask(1)) || slices.Equal(ask(1), ask(2)) {
		t.Error("want 20 questions, the same for the same seed")
	}
}

func TestScoreByPlace(t *testing.T) {
	answers := []int32{5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	for target, want := range map[int32]Score{
		5: {1, 1}, 6: {1, 1 / math.Log2(3)}, 14: {1, 1 / math.Log2(11)}, 15: {}, 99: {},
	} {
		var s Score
		s.add(answers, target)
		if s != want {
			t.Errorf("target %d scores %v, want %v", target, s, want)
		}
	}
}

func TestBaselines(t *testing.T) {
	// To learn from: p q ×2, p r, q p. After p comes q twice and r once; p and q are the most popular.
	test := newTest(t, 0, "p q p", "p q s", "p r q", "q p r")
	// Questions: q→p, q→s, r→q, p→r. Popular without the asked: q: p r; r: p q; p: q r.
	third, second := 1/math.Log2(3), 1.
	if got, want := test.Popularity(), (Score{3. / 4, (second + 2*third) / 4}); !near(got.HitRate, want.HitRate) || !near(got.NDCG, want.NDCG) {
		t.Errorf("popularity %v, want %v", got, want)
	}
	// Markov: q: p r; r: nothing, then p q; p: q r.
	if got, want := test.Markov(), (Score{3. / 4, (1 + 2*third) / 4}); !near(got.HitRate, want.HitRate) || !near(got.NDCG, want.NDCG) {
		t.Errorf("Markov %v, want %v", got, want)
	}
	// What a Markov model knows and popularity doesn't.
	var lines []string
	for i := range 40 {
		a, b := string(rune('a'+i%20)), string(rune('A'+i%20))
		lines = append(lines, a+" "+b+" "+a, "x "+a+" "+b)
	}
	test = newTest(t, 0, lines...)
	if m, p := test.Markov(), test.Popularity(); m.HitRate < p.HitRate+.3 {
		t.Errorf("Markov %v, popularity %v", m, p)
	}
}

func TestVectors(t *testing.T) {
	test := newTest(t, 0, "a b c", "b c a", "d a b")
	// Questions: b→c, c→a, a→b. c is nearest to b, and b to c; d has no vector, and other has one that is never asked.
	v, err := vectors.New([]string{"a", "b", "c", "other"}, 2, []float32{1, 0, 0, 1, .1, 1, -1, -.2})
	if err != nil {
		t.Fatal(err)
	}
	got, err := test.Vectors(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	second := 1 / math.Log2(3)
	if !near(got.HitRate, 1) || !near(got.NDCG, (1+second+second)/3) {
		t.Errorf("%v", got)
	}
	few, err := vectors.New([]string{"x", "a"}, 1, []float32{1, 1})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := test.Vectors(t.Context(), few); err != nil || got != (Score{}) {
		t.Errorf("vectors that know nothing of it: %v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := test.Vectors(ctx, v); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSummarise(t *testing.T) {
	got, err := Summarise([]Score{{.1, .5}, {.3, .5}})
	if err != nil {
		t.Fatal(err)
	}
	if !near(got.Mean.HitRate, .2) || !near(got.Mean.NDCG, .5) || !near(got.Spread.HitRate, math.Sqrt(.02)) || !near(got.Spread.NDCG, 0) {
		t.Errorf("%+v", got)
	}
	if one, err := Summarise([]Score{{.1, .2}}); err != nil || one.Spread != (Score{}) || !near(one.Mean.NDCG, .2) {
		t.Errorf("of one: %+v, %v", one, err)
	}
	if _, err := Summarise(nil); err == nil {
		t.Error("a summary of nothing")
	}
}
