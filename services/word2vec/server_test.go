package word2vec_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"homefeed/services/rpc"
	"homefeed/services/word2vec"
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
func TestSwapUnderLoad(t *testing.T) {
	// In each model another track is the nearest to a.
	models := make([]*word2vec.Model, 8)
	nearest := map[string]string{}
	for i := range models {
		ids, data := []string{"a"}, []float32{1, 0}
		for j := range models {
			ids = append(ids, fmt.Sprint("t", j))
			if i == j {
				data = append(data, 1, .01)
			} else {
				data = append(data, -1, float32(j))
			}
		}
		models[i] = modelOf(t, ids, 2, data...)
		nearest[models[i].Version()] = fmt.Sprint("t", i)
	}
	server := word2vec.NewServer(models[0])
	client := word2vecpb.NewWord2VecClient(serve(t, server))
	g, ctx := errgroup.WithContext(t.Context())
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for range 4 {
		g.Go(func() error {
			for range 300 {
				answer, err := client.Nearest(ctx, &word2vecpb.NearestRequest{Seeds: []*word2vecpb.Seed{{Track: "a"}}, K: 1})
				if err != nil {
					return err
				}
				if got := answer.GetNeighbours()[0].GetTrack(); got != nearest[answer.GetModelVersion()] {
					return fmt.Errorf("model %s answered %s, want %s", answer.GetModelVersion(), got, nearest[answer.GetModelVersion()])
				}
			}
			return nil
		})
	}
	swapped := make(chan struct{})
	go func() {
		defer close(swapped)
		for i := 0; ctx.Err() == nil; i++ {
			server.Swap(models[i%len(models)])
		}
	}()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	stop()
	<-swapped
}
