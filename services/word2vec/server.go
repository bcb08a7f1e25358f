package word2vec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"

	"google.golang.org/grpc"

	"homefeed/services/rpc"
	"homefeed/services/word2vec/word2vecpb"
)

// Server answers from one model at a time. Its errors are *rpc.FieldError for requests over their bounds,
// rpc.ErrNotFound for a track that the model lacks, rpc.ErrUnavailable while there is no model, and the context's.
type Server struct {
	word2vecpb.UnimplementedWord2VecServer
	model atomic.Pointer[Model]
	file  *follower // nil: models come by Swap alone
	log   *slog.Logger
	// turns is a place for each search that runs. There are as many as processors: more searches at once would each
	// take longer, and all of them answer late, the first as well.
	turns chan struct{}
}

// NewServer makes the service of a model, which may be nil until Swap brings one.
func NewServer(m *Model) *Server {
	s := &Server{log: slog.New(slog.DiscardHandler), turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
	s.model.Store(m)
	return s
}

// Register puts the service on a gRPC server.
func Register(r grpc.ServiceRegistrar, s *Server) { word2vecpb.RegisterWord2VecServer(r, s) }

// Swap makes m, which may be nil, the model that later calls are answered from, and returns the one before, for the
// caller to close. Calls in progress end with the model they began with.
func (s *Server) Swap(m *Model) *Model { return s.model.Swap(m) }

// Close leaves the server without a model, and gives the memory of the last one back.
func (s *Server) Close() error {
	if m := s.Swap(nil); m != nil {
		return m.Close()
	}
	return nil
}

// current is the model, and done, which must be called when nothing of it is used any more.
func (s *Server) current() (m *Model, done func(), err error) {
	for {
		m := s.model.Load()
		if m == nil {
			return nil, nil, fmt.Errorf("no model is loaded yet: %w", rpc.ErrUnavailable)
		}
		if m.acquire() {
			return m, func() {
				if err := m.release(); err != nil {
					s.log.Error("memory of a model is not given back", "version", m.Version(), "error", err)
				}
			}, nil
		} // it was swapped and closed since it was loaded
	}
}

// Nearest returns the k tracks nearest to the weighted mean of the seeds.
func (s *Server) Nearest(ctx context.Context, r *word2vecpb.NearestRequest) (*word2vecpb.NearestResponse, error) {
	q, err := checkNearest("", r)
	if err != nil {
		return nil, err
	}
	// The model is that of the turn: calls that wait must not keep the memory of models that were swapped meanwhile.
	end, err := s.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	m, done, err := s.current()
	if err != nil {
		return nil, err
	}
	defer done()
	return nearest(ctx, m, "", q)
}

// NearestBatch answers each request as Nearest does.
func (s *Server) NearestBatch(ctx context.Context, r *word2vecpb.NearestBatchRequest) (*word2vecpb.NearestBatchResponse, error) {
	queries, err := checkBatch(r)
	if err != nil {
		return nil, err
	}
	m, done, err := s.current()
	if err != nil {
		return nil, err
	}
	defer done()
	answer := &word2vecpb.NearestBatchResponse{Responses: make([]*word2vecpb.NearestResponse, len(queries))}
	for i, q := range queries {
		if answer.Responses[i], err = s.nearestInTurn(ctx, m, prefix(i), q); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// nearestInTurn is nearest when the turn to search comes.
func (s *Server) nearestInTurn(ctx context.Context, m *Model, at string, q Query) (*word2vecpb.NearestResponse, error) {
	end, err := s.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	return nearest(ctx, m, at, q)
}

// nearest answers a request whose path in the message is at.
func nearest(ctx context.Context, m *Model, at string, q Query) (*word2vecpb.NearestResponse, error) {
	near, unknown, err := m.Nearest(ctx, q)
	if errors.Is(err, errVector) {
		return nil, rpc.Invalid(at+"vector", fmt.Sprintf("want %d finite values, as this model has, not all of them 0", m.Dim()))
	}
	if err != nil {
		return nil, fmt.Errorf("searching %d tracks: %w", m.Tracks(), err)
	}
	answer := &word2vecpb.NearestResponse{
		Neighbours: make([]*word2vecpb.Neighbour, len(near)), UnknownSeeds: unknown, ModelVersion: m.Version(),
	}
	all := make([]word2vecpb.Neighbour, len(near))
	for i, n := range near {
		all[i].Track, all[i].Similarity = n.Track, n.Similarity
		answer.Neighbours[i] = &all[i]
	}
	return answer, nil
}

// turn waits for a place to search, which is given back by end. The error is the context's.
func (s *Server) turn(ctx context.Context) (end func(), err error) {
	select {
	case s.turns <- struct{}{}:
		return func() { <-s.turns }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for a turn to search: %w", ctx.Err())
	}
}

// GetVector returns a track's vector.
func (s *Server) GetVector(_ context.Context, r *word2vecpb.GetVectorRequest) (*word2vecpb.GetVectorResponse, error) {
	m, done, err := s.current()
	if err != nil {
		return nil, err
	}
	defer done()
	vector, ok := m.Vector(r.GetTrack())
	if !ok {
		return nil, m.lacks(r.GetTrack())
	}
	return &word2vecpb.GetVectorResponse{Vector: vector, ModelVersion: m.Version()}, nil
}

// Similarity returns the cosine of two tracks.
func (s *Server) Similarity(_ context.Context, r *word2vecpb.SimilarityRequest) (*word2vecpb.SimilarityResponse, error) {
	m, done, err := s.current()
	if err != nil {
		return nil, err
	}
	defer done()
	for _, track := range []string{r.GetA(), r.GetB()} {
		if !m.has(track) {
			return nil, m.lacks(track)
		}
	}
	similarity, _ := m.Similarity(r.GetA(), r.GetB())
	return &word2vecpb.SimilarityResponse{Similarity: similarity}, nil
}

// Similarities returns the cosine of each pair of which the model has both.
func (s *Server) Similarities(_ context.Context, r *word2vecpb.SimilaritiesRequest) (*word2vecpb.SimilaritiesResponse, error) {
	if n := len(r.GetPairs()); n > MaxPairs {
		return nil, rpc.Invalid("pairs", fmt.Sprintf("want at most %d, not %d", MaxPairs, n))
	}
	m, done, err := s.current()
	if err != nil {
		return nil, err
	}
	defer done()
	answer := &word2vecpb.SimilaritiesResponse{ModelVersion: m.Version()}
	told := map[string]bool{}
	for _, pair := range r.GetPairs() {
		p := &word2vecpb.PairSimilarity{}
		if similarity, ok := m.Similarity(pair.GetA(), pair.GetB()); ok {
			p.Similarity = &similarity
		}
		for _, track := range []string{pair.GetA(), pair.GetB()} {
			if p.Similarity == nil && !told[track] && !m.has(track) {
				told[track] = true
				answer.Unknown = append(answer.Unknown, track)
			}
		}
		answer.Pairs = append(answer.Pairs, p)
	}
	return answer, nil
}

// GetModel describes the model that is serving.
func (s *Server) GetModel(context.Context, *word2vecpb.GetModelRequest) (*word2vecpb.GetModelResponse, error) {
	m, done, err := s.current()
	if err != nil {
		return nil, err
	}
	defer done()
	c := m.content
	build := &word2vecpb.BuildSettings{
		Lists: int32(c.Lists()), Recall: c.Recall, RecallFound: c.Report.Recall, Codes: len(c.Codes) > 0, Seed: c.Seed,
		Cells: int32(max(len(c.CellStarts)-1, 0)),
	}
	for _, probes := range c.Probes {
		build.Probes = append(build.Probes, int32(probes))
	}
	if build.Cells > 0 {
		for _, probes := range c.CellProbes {
			build.CellProbes = append(build.CellProbes, int32(probes))
		}
	}
	return &word2vecpb.GetModelResponse{
		Version: c.Version, Tracks: int32(c.Len()), Dim: int32(c.Dim), Name: c.Name, Labels: c.Labels(), Build: build,
	}, nil
}

func (m *Model) has(track string) bool {
	_, ok := m.content.Find(track)
	return ok
}

func (m *Model) lacks(track string) error {
	return fmt.Errorf("track %.140q in model %s: %w", track, m.Version(), rpc.ErrNotFound)
}
