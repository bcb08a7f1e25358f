package word2vec_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"homefeed/services/rpc"
	"homefeed/services/word2vec"
	"homefeed/services/word2vec/ivf"
	"homefeed/services/word2vec/modelfile"
	"homefeed/services/word2vec/vectors"
	"homefeed/services/word2vec/word2vecpb"
	"homefeed/shelves/shelf"
)

// serve puts the server on gRPC and returns a connection to it.
func serve(t *testing.T, s *word2vec.Server) *grpc.ClientConn {
	t.Helper()
	server, err := rpc.NewServer(rpc.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	word2vec.Register(server, s)
	conn, stop, err := rpc.InProcess(server, rpc.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return conn
}

func TestClient(t *testing.T) {
	m := compass(t)
	conn := serve(t, word2vec.NewServer(m))
	client := word2vec.NewClient(conn)
	ctx := t.Context()

	seeds := []shelf.Seed{{Track: "n", Weight: 2}, {Track: "gone"}, {Track: "e"}}
	want, _, _ := m.Nearest(ctx, word2vec.Query{Seeds: seeds, K: 3, Exclude: []string{"w"}})
	got, err := client.Nearest(ctx, seeds, 3, []string{"w"})
	if diff := gocmp.Diff(want, got); diff != "" || err != nil || len(got) != 2 {
		t.Errorf("Nearest: %v (-model +client)\n%s", err, diff)
	}
	for name, ask := range map[string]func() ([]shelf.Neighbour, error){
		"no seeds":    func() ([]shelf.Neighbour, error) { return client.Nearest(ctx, nil, 3, nil) },
		"k = 0":       func() ([]shelf.Neighbour, error) { return client.Nearest(ctx, seeds, 0, nil) },
		"all unknown": func() ([]shelf.Neighbour, error) { return client.Nearest(ctx, seeds[1:2], 3, nil) },
	} {
		if near, err := ask(); len(near) != 0 || err != nil {
			t.Errorf("%s: %v, %v", name, near, err)
		}
	}
	if v, err := client.Vector(ctx, "w"); err != nil || gocmp.Diff([]float32{-1, 0}, v) != "" {
		t.Errorf("Vector: %v, %v", v, err)
	}
	if s, err := client.Similarity(ctx, "n", "ne"); err != nil || math.Abs(float64(s)-math.Sqrt2/2) > 1e-6 {
		t.Errorf("Similarity: %v, %v", s, err)
	}
	_, vectorErr := client.Vector(ctx, "gone")
	_, firstErr := client.Similarity(ctx, "gone", "n")
	_, secondErr := client.Similarity(ctx, "n", "gone")
	for _, err := range []error{vectorErr, firstErr, secondErr} {
		if !errors.Is(err, rpc.ErrNotFound) || status.Code(errors.Unwrap(err)) != codes.NotFound {
			t.Errorf("a track that the model lacks: %v", err)
		}
	}
}

func TestServerReportsWhatItUsed(t *testing.T) {
	m := compass(t)
	client := word2vecpb.NewWord2VecClient(serve(t, word2vec.NewServer(m)))
	answer, err := client.Nearest(t.Context(), &word2vecpb.NearestRequest{
		Seeds: []*word2vecpb.Seed{{Track: "x"}, {Track: "n"}, {Track: "y"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{"x", "y"}, answer.GetUnknownSeeds()); diff != "" {
		t.Errorf("unknown seeds (-want +got)\n%s", diff)
	}
	if answer.GetModelVersion() != m.Version() || len(answer.GetNeighbours()) != 4 {
		t.Errorf("%d neighbours by model %q, want 4 by %q", len(answer.GetNeighbours()), answer.GetModelVersion(), m.Version())
	}
	model, err := client.GetModel(t.Context(), &word2vecpb.GetModelRequest{})
	if err != nil || model.GetVersion() != m.Version() || model.GetTracks() != 5 || model.GetDim() != 2 {
		t.Errorf("GetModel: %v, %v", model, err)
	}
}

func TestServerRefusesTooMuch(t *testing.T) {
	client := word2vecpb.NewWord2VecClient(serve(t, word2vec.NewServer(compass(t))))
	for want, r := range map[string]*word2vecpb.NearestRequest{
		"seeds: want at most 100, not 101":       {Seeds: make([]*word2vecpb.Seed, 101)},
		"exclude: want at most 10000, not 10001": {Exclude: make([]string, 10_001)},
		"k: want 0 to 1000, not 1001":            {K: 1_001},
		"k: want 0 to 1000, not -1":              {K: -1},
		"seeds[1].weight: want a finite number":  {Seeds: []*word2vecpb.Seed{{}, {Weight: float32(math.NaN())}}},
		"seeds[0].weight: want a finite number":  {Seeds: []*word2vecpb.Seed{{Weight: float32(math.Inf(1))}}},
	} {
		for i := range r.Seeds {
			if r.Seeds[i] == nil {
				r.Seeds[i] = &word2vecpb.Seed{}
			}
		}
		_, err := client.Nearest(t.Context(), r)
		var field *rpc.FieldError
		if !errors.As(err, &field) || field.Error() != want || status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v, want INVALID_ARGUMENT with %q", err, want)
		}
	}
	tooMany := word2vec.NewClient(serve(t, word2vec.NewServer(compass(t))))
	if _, err := tooMany.Nearest(t.Context(), []shelf.Seed{{Track: "n"}}, math.MaxInt, nil); err == nil {
		t.Error("the client asked for more than there may be")
	}
}

// labelled is a compass whose tracks have labels.
func labelled(t testing.TB) *word2vec.Server {
	t.Helper()
	v, err := vectors.New([]string{"n", "ne", "e", "s", "w"}, 2, []float32{0, 1, 1, 1, 1, 0, 0, -1, -1, 0})
	if err != nil {
		t.Fatal(err)
	}
	return saved(t, v, modelfile.Options{
		Name: "compass", Labels: map[string][]string{"ne": {"SE", "explicit"}, "e": {"SE"}, "s": {"SE"}, "w": {"NO"}},
	})
}

// saved serves the vectors from a model file.
func saved(t testing.TB, v *vectors.Vectors, o modelfile.Options) *word2vec.Server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.hfm")
	if err := modelfile.Save(t.Context(), path, v, o); err != nil {
		t.Fatal(err)
	}
	s, err := word2vec.OpenServer(path, word2vec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func tracks(r *word2vecpb.NearestResponse) []string {
	var all []string
	for _, n := range r.GetNeighbours() {
		all = append(all, n.GetTrack())
	}
	return all
}

func TestFiltersVectorsAndBatches(t *testing.T) {
	client := word2vecpb.NewWord2VecClient(serve(t, labelled(t)))
	north := []*word2vecpb.Seed{{Track: "n"}}
	requests := map[string]struct {
		r    *word2vecpb.NearestRequest
		want []string
	}{
		"all":            {&word2vecpb.NearestRequest{Seeds: north, K: 2}, []string{"ne", "e"}},
		"with":           {&word2vecpb.NearestRequest{Seeds: north, With: []string{"SE"}}, []string{"ne", "e", "s"}},
		"with, without":  {&word2vecpb.NearestRequest{Seeds: north, K: 2, With: []string{"SE"}, Without: []string{"explicit"}}, []string{"e", "s"}},
		"excluded, too":  {&word2vecpb.NearestRequest{Seeds: north, Without: []string{"explicit"}, Exclude: []string{"e"}}, []string{"w", "s"}},
		"nobody's label": {&word2vecpb.NearestRequest{Seeds: north, With: []string{"DE"}}, nil},
		"a vector":       {&word2vecpb.NearestRequest{Vector: []float32{-7, -1}, K: 2}, []string{"w", "s"}},
	}
	batch, want := &word2vecpb.NearestBatchRequest{}, [][]string(nil)
	for name, test := range requests {
		answer, err := client.Nearest(t.Context(), test.r)
		if diff := gocmp.Diff(test.want, tracks(answer)); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got)\n%s", name, err, diff)
		}
		batch.Requests, want = append(batch.Requests, test.r), append(want, test.want)
	}
	answers, err := client.NearestBatch(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	for i, answer := range answers.GetResponses() {
		if diff := gocmp.Diff(want[i], tracks(answer)); diff != "" {
			t.Errorf("request %d of the batch (-want +got)\n%s", i, diff)
		}
	}
	if len(answers.GetResponses()) != len(want) {
		t.Errorf("%d answers to %d requests", len(answers.GetResponses()), len(want))
	}
}

func TestSimilarities(t *testing.T) {
	client := word2vecpb.NewWord2VecClient(serve(t, word2vec.NewServer(compass(t))))
	answer, err := client.Similarities(t.Context(), &word2vecpb.SimilaritiesRequest{Pairs: []*word2vecpb.SimilarityRequest{
		{A: "n", B: "s"}, {A: "n", B: "gone"}, {A: "gone", B: "lost"}, {A: "e", B: "e"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var got []any
	for _, pair := range answer.GetPairs() {
		if pair.Similarity == nil {
			got = append(got, nil)
		} else {
			got = append(got, pair.GetSimilarity())
		}
	}
	if diff := gocmp.Diff([]any{float32(-1), nil, nil, float32(1)}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := gocmp.Diff([]string{"gone", "lost"}, answer.GetUnknown()); diff != "" {
		t.Errorf("unknown (-want +got)\n%s", diff)
	}
}

func TestGetModelTellsHowItWasBuilt(t *testing.T) {
	m, err := labelled(t).GetModel(t.Context(), &word2vecpb.GetModelRequest{})
	if err != nil {
		t.Fatal(err)
	}
	want := &word2vecpb.GetModelResponse{
		Version: m.GetVersion(), Tracks: 5, Dim: 2, Name: "compass", Labels: []string{"NO", "SE", "explicit"},
		Build: &word2vecpb.BuildSettings{Lists: 1, Probes: []int32{1, 1, 1}, Recall: .98, RecallFound: 1},
	}
	if diff := gocmp.Diff(want, m, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestGetModelTellsOfListsAndCells(t *testing.T) {
	const n, dim = 2000, 8
	ids, values, r := make([]string, n), make([]float32, n*dim), rand.New(rand.NewPCG(1, 2))
	for i := range ids {
		ids[i] = fmt.Sprint("t", i)
	}
	for i := range values {
		values[i] = float32(r.NormFloat64())
	}
	v, err := vectors.New(ids, dim, values)
	if err != nil {
		t.Fatal(err)
	}
	m, err := saved(t, v, modelfile.Options{Index: ivf.Options{Lists: 50}}).GetModel(t.Context(), &word2vecpb.GetModelRequest{})
	if err != nil {
		t.Fatal(err)
	}
	b := m.GetBuild()
	if b.GetLists() < 10 || b.GetCells() < 2 || b.GetCells() > b.GetLists() || len(b.GetCellProbes()) != len(b.GetProbes()) {
		t.Fatalf("build settings: %v", b)
	}
	for _, probes := range b.GetCellProbes() {
		if probes < 1 || probes > b.GetCells() {
			t.Errorf("%d cells are opened of %d", probes, b.GetCells())
		}
	}
}

func TestServerRefusesWrongBatchesAndVectors(t *testing.T) {
	client := word2vecpb.NewWord2VecClient(serve(t, word2vec.NewServer(compass(t))))
	one := &word2vecpb.NearestRequest{Seeds: []*word2vecpb.Seed{{Track: "n"}}, K: 1_000}
	nan := float32(math.NaN())
	batch := func(rs ...*word2vecpb.NearestRequest) error {
		_, err := client.NearestBatch(t.Context(), &word2vecpb.NearestBatchRequest{Requests: rs})
		return err
	}
	nearest := func(r *word2vecpb.NearestRequest) error {
		_, err := client.Nearest(t.Context(), r)
		return err
	}
	_, pairs := client.Similarities(t.Context(), &word2vecpb.SimilaritiesRequest{Pairs: slices.Repeat([]*word2vecpb.SimilarityRequest{{}}, 1_001)})
	for want, err := range map[string]error{
		"requests: want at most 100, not 101":                         batch(slices.Repeat([]*word2vecpb.NearestRequest{one}, 101)...),
		"requests: want at most 10000 neighbours together, not 11000": batch(slices.Repeat([]*word2vecpb.NearestRequest{one}, 11)...),
		"requests[1].k: want 0 to 1000, not -1":                       batch(one, &word2vecpb.NearestRequest{K: -1}),
		"requests[1].vector: want 2 finite values, as this model":     batch(one, &word2vecpb.NearestRequest{Vector: []float32{1}}),
		"with: want at most 16, not 17":                               nearest(&word2vecpb.NearestRequest{With: make([]string, 17)}),
		"without: want at most 16, not 17":                            nearest(&word2vecpb.NearestRequest{Without: make([]string, 17)}),
		"vector: want seeds or a vector, not both":                    nearest(&word2vecpb.NearestRequest{Seeds: one.Seeds, Vector: []float32{1, 0}}),
		"vector: want 2 finite values, as":                            nearest(&word2vecpb.NearestRequest{Vector: []float32{0, 0}}),
		"as this model has, not all of them 0":                        nearest(&word2vecpb.NearestRequest{Vector: []float32{nan, 0}}),
		"pairs: want at most 1000, not 1001":                          pairs,
	} {
		var field *rpc.FieldError
		if !errors.As(err, &field) || !strings.Contains(field.Error(), want) || status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v, want INVALID_ARGUMENT with %q", err, want)
		}
	}
}

func TestNoModelYet(t *testing.T) {
	server := word2vec.NewServer(nil)
	conn := serve(t, server)
	ctx := t.Context()
	// Asked directly: a connection would try again and again.
	_, nearest := server.Nearest(ctx, &word2vecpb.NearestRequest{})
	_, vector := server.GetVector(ctx, &word2vecpb.GetVectorRequest{})
	_, similarity := server.Similarity(ctx, &word2vecpb.SimilarityRequest{})
	_, model := server.GetModel(ctx, &word2vecpb.GetModelRequest{})
	for _, err := range []error{nearest, vector, similarity, model} {
		if !errors.Is(err, rpc.ErrUnavailable) {
			t.Errorf("without a model: %v", err)
		}
	}
	if old := server.Swap(compass(t)); old != nil {
		t.Errorf("before the first model there was %v", old)
	}
	if _, err := word2vec.NewClient(conn).Vector(ctx, "n"); err != nil {
		t.Errorf("with a model: %v", err)
	}
}

// Every answer under swaps must be wholly of the model that it names.
