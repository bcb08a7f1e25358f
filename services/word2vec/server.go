package word2vec

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"google.golang.org/grpc"

	"homefeed/services/rpc"
	"homefeed/services/word2vec/vectors"
	"homefeed/services/word2vec/word2vecpb"
	"homefeed/shelves/shelf"
)

// Bounds of a request, as the proto states them.
const (
	MaxSeeds     = 100
	MaxNearest   = 1_000
	MaxExclude   = 10_000
	defaultCount = 20
)

// Server answers from one model at a time. Its errors are *rpc.FieldError for requests over their bounds,
// rpc.ErrNotFound for a track that the model lacks, rpc.ErrUnavailable while there is no model, and the context's.
type Server struct {
	word2vecpb.UnimplementedWord2VecServer
	model atomic.Pointer[Model]
}

// NewServer makes the service of a model, which may be nil until Swap brings one.
func NewServer(m *Model) *Server {
	s := &Server{}
	s.model.Store(m)
	return s
}

// Register puts the service on a gRPC server.
func Register(r grpc.ServiceRegistrar, s *Server) { word2vecpb.RegisterWord2VecServer(r, s) }

// Swap makes m the model that later calls are answered from, and returns the one before. Calls in progress end
// with the model they began with.
func (s *Server) Swap(m *Model) *Model { return s.model.Swap(m) }

func (s *Server) current() (*Model, error) {
	m := s.model.Load()
	if m == nil {
		return nil, fmt.Errorf("no model is loaded yet: %w", rpc.ErrUnavailable)
	}
	return m, nil
}

// Nearest returns the k tracks nearest to the weighted mean of the seeds.
func (s *Server) Nearest(ctx context.Context, r *word2vecpb.NearestRequest) (*word2vecpb.NearestResponse, error) {
	seeds, k, err := checkNearest(r)
	if err != nil {
		return nil, err
	}
	m, err := s.current()
	if err != nil {
		return nil, err
	}
	near, unknown, err := m.Nearest(ctx, seeds, k, r.GetExclude())
	if err != nil {
		return nil, fmt.Errorf("scanning %d tracks: %w", m.Tracks(), err)
	}
	answer := &word2vecpb.NearestResponse{
		Neighbours: make([]*word2vecpb.Neighbour, len(near)), UnknownSeeds: unknown, ModelVersion: m.version,
	}
	for i, n := range near {
		answer.Neighbours[i] = &word2vecpb.Neighbour{Track: n.Track, Similarity: n.Similarity}
	}
	return answer, nil
}

func checkNearest(r *word2vecpb.NearestRequest) (seeds []shelf.Seed, k int, err error) {
	if n := len(r.GetSeeds()); n > MaxSeeds {
		return nil, 0, rpc.Invalid("seeds", fmt.Sprintf("want at most %d, not %d", MaxSeeds, n))
	}
	if n := len(r.GetExclude()); n > MaxExclude {
		return nil, 0, rpc.Invalid("exclude", fmt.Sprintf("want at most %d, not %d", MaxExclude, n))
	}
	k = int(r.GetK())
	if k < 0 || k > MaxNearest {
		return nil, 0, rpc.Invalid("k", fmt.Sprintf("want 0 to %d, not %d", MaxNearest, k))
	}
	if k == 0 {
		k = defaultCount
	}
	for i, seed := range r.GetSeeds() {
		if w := float64(seed.GetWeight()); math.IsNaN(w) || math.IsInf(w, 0) {
			return nil, 0, rpc.Invalid(fmt.Sprintf("seeds[%d].weight", i), "want a finite number")
		}
		seeds = append(seeds, shelf.Seed{Track: seed.GetTrack(), Weight: seed.GetWeight()})
	}
	return seeds, k, nil
}

// GetVector returns a track's vector.
func (s *Server) GetVector(_ context.Context, r *word2vecpb.GetVectorRequest) (*word2vecpb.GetVectorResponse, error) {
	m, err := s.current()
	if err != nil {
		return nil, err
	}
	vector, err := m.mustVector(r.GetTrack())
	if err != nil {
		return nil, err
	}
	return &word2vecpb.GetVectorResponse{Vector: vector, ModelVersion: m.version}, nil
}

// Similarity returns the cosine of two tracks.
func (s *Server) Similarity(_ context.Context, r *word2vecpb.SimilarityRequest) (*word2vecpb.SimilarityResponse, error) {
	m, err := s.current()
	if err != nil {
		return nil, err
	}
	a, err := m.mustVector(r.GetA())
	if err != nil {
		return nil, err
	}
	b, err := m.mustVector(r.GetB())
	if err != nil {
		return nil, err
	}
	return &word2vecpb.SimilarityResponse{Similarity: min(max(vectors.Dot(a, b), -1), 1)}, nil
}

// GetModel describes the model that is serving.
func (s *Server) GetModel(context.Context, *word2vecpb.GetModelRequest) (*word2vecpb.GetModelResponse, error) {
	m, err := s.current()
	if err != nil {
		return nil, err
	}
	return &word2vecpb.GetModelResponse{Version: m.version, Tracks: int32(m.Tracks()), Dim: int32(m.Dim())}, nil
}

func (m *Model) mustVector(track string) ([]float32, error) {
	vector, ok := m.Vector(track)
	if !ok {
		return nil, fmt.Errorf("track %.140q in model %s: %w", track, m.version, rpc.ErrNotFound)
	}
	return vector, nil
}
