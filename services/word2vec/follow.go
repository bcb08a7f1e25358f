package word2vec

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"homefeed/services/word2vec/modelfile"
	"homefeed/services/word2vec/word2vecpb"
)

// follower is the file that a server takes its models from.
type follower struct {
	path    string
	refused *prometheus.CounterVec // by reason
	mu      sync.Mutex
	seen    fs.FileInfo // what was there at the last look; nil: nothing
	err     error       // what was wrong with it
}

// Options says where a server of a file tells what happens to it.
type Options struct {
	Logger     *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // takes the metrics; nil: they are not registered
}

// OpenServer makes the service of the model in a file; see LoadModel. It fails if the file can't be served, and when
// its metrics are registered already.
func OpenServer(path string, o Options) (*Server, error) {
	s := NewServer(nil)
	if o.Logger != nil {
		s.log = o.Logger
	}
	s.file = &follower{path: path, refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "homefeed_word2vec_models_refused_total",
		Help: "New files that were not taken as the model, by reason; the model before went on serving.",
	}, []string{"reason"})}
	for _, reason := range modelfile.Reasons {
		s.file.refused.WithLabelValues(string(reason)) // from 0, so that the first one is an increase
	}
	if o.Registerer != nil {
		if err := o.Registerer.Register(s.file.refused); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	if _, err := s.reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Follow looks at the file of OpenServer now and then, and serves what is new there, until ctx ends. What can't be
// served is logged and counted, once; the model before goes on serving. New files should come by renaming, so that they
// are whole.
func (s *Server) Follow(ctx context.Context, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		_, _ = s.reload() // which tells what is wrong
	}
}

// Reload looks at the file at once.
func (s *Server) Reload(context.Context, *word2vecpb.ReloadRequest) (*word2vecpb.ReloadResponse, error) {
	if s.file == nil {
		return nil, status.Error(codes.FailedPrecondition, "this server's model is not from a file: there is nothing to look at")
	}
	loaded, err := s.reload()
	if err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	m, done, err := s.current()
	if err != nil {
		return nil, err
	}
	defer done()
	return &word2vecpb.ReloadResponse{Version: m.Version(), Loaded: loaded}, nil
}

// reload serves the file's model if the file is another than at the last look. Its error is also that of the last look
// if the file is still the same.
func (s *Server) reload() (loaded bool, err error) {
	f := s.file
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := os.Stat(f.path)
	if err != nil {
		return false, s.refuse(nil, fmt.Errorf("looking for a new model: %w", err))
	}
	if f.seen != nil && os.SameFile(f.seen, now) && f.seen.ModTime().Equal(now.ModTime()) && f.seen.Size() == now.Size() {
		return false, f.err
	}
	m, err := LoadModel(f.path)
	if err != nil {
		return false, s.refuse(now, err)
	}
	f.seen, f.err = now, nil // if it changed meanwhile, the next look sees that
	s.log.Info("model is loaded", "file", f.path, "version", m.Version(), "name", m.content.Name, "tracks", m.Tracks(),
		"dim", m.Dim(), "lists", m.content.Lists())
	if old := s.Swap(m); old != nil {
		err = old.Close()
	}
	return true, err
}

// refuse keeps what is wrong with the file, tells it unless that was told at the last look, and returns it.
func (s *Server) refuse(seen fs.FileInfo, err error) error {
	f := s.file
	before := f.err
	f.seen, f.err = seen, err
	if before == nil || before.Error() != err.Error() {
		reason := modelfile.ReasonOf(err)
		f.refused.WithLabelValues(string(reason)).Inc()
		what := "new model is refused, the one before goes on serving"
		if s.model.Load() == nil { // this is the start, which fails
			what = "model is refused"
		}
		s.log.Error(what, "file", f.path, "reason", reason, "error", err)
	}
	return err
}
