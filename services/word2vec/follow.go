package word2vec

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"homefeed/services/word2vec/word2vecpb"
)

// follower is the file that a server takes its models from.
type follower struct {
	path string
	mu   sync.Mutex
	seen fs.FileInfo // what was there at the last look; nil: nothing
	err  error       // what was wrong with it
}

// OpenServer makes the service of the model in a file; see LoadModel. What happens to the file later is logged.
func OpenServer(path string, log *slog.Logger) (*Server, error) {
	s := NewServer(nil)
	s.log, s.file = log, &follower{path: path}
	if _, err := s.reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Follow looks at the file of OpenServer now and then, and serves what is new there, until ctx ends. What can't be
// served is logged, once; the model before goes on serving. New files should come by renaming, so that they are whole.
func (s *Server) Follow(ctx context.Context, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		s.file.mu.Lock()
		before := s.file.err
		s.file.mu.Unlock()
		if _, err := s.reload(); err != nil && (before == nil || before.Error() != err.Error()) {
			s.log.Error("new model is refused, the one before goes on serving", "file", s.file.path, "error", err)
		}
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
		f.seen, f.err = nil, fmt.Errorf("looking for a new model: %w", err)
		return false, f.err
	}
	if f.seen != nil && os.SameFile(f.seen, now) && f.seen.ModTime().Equal(now.ModTime()) && f.seen.Size() == now.Size() {
		return false, f.err
	}
	m, err := LoadModel(f.path)
	f.seen, f.err = now, err // if it changed meanwhile, the next look sees that
	if err != nil {
		return false, err
	}
	s.log.Info("model is loaded", "file", f.path, "version", m.Version(), "name", m.content.Name, "tracks", m.Tracks(),
		"dim", m.Dim(), "lists", m.content.Lists())
	if old := s.Swap(m); old != nil {
		err = old.Close()
	}
	return true, err
}
