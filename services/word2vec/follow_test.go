package word2vec_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"homefeed/services/word2vec"
	"homefeed/services/word2vec/modelfile"
	"homefeed/services/word2vec/vectors"
	"homefeed/services/word2vec/word2vecpb"
)

// saveModel puts a model under the path in which the track "n<nth>" is the one near to "a", and returns its version.
func saveModel(t testing.TB, path string, nth int) string {
	t.Helper()
	v, err := vectors.New([]string{"a", fmt.Sprint("n", nth), "far"}, 2, []float32{1, 0, 1, .1, -1, 0})
	if err != nil {
		t.Fatal(err)
	}
	if err := modelfile.Save(t.Context(), path, v, modelfile.Options{}); err != nil {
		t.Fatal(err)
	}
	return v.Digest()
}

// lines is a log that tests read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// refused is how many models have been counted as refused for the reason.
func refused(t *testing.T, g prometheus.Gatherer, reason string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "homefeed_word2vec_models_refused_total" && m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no count for %q", reason)
	return 0
}

func versionOf(t *testing.T, s *word2vec.Server) string {
	t.Helper()
	m, err := s.GetModel(t.Context(), &word2vecpb.GetModelRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return m.GetVersion()
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "m.hfm")
		first := saveModel(t, path, 1)
		log := &lines{}
		registry := prometheus.NewRegistry()
		s, err := word2vec.OpenServer(path, word2vec.Options{Logger: slog.New(slog.NewTextHandler(log, nil)), Registerer: registry})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Follow(ctx, time.Second) }()
		look := func() { time.Sleep(time.Second); synctest.Wait() }

		look()
		if got := versionOf(t, s); got != first || log.count("model is loaded") != 1 {
			t.Errorf("the same file was loaded again: %s", got)
		}
		second := saveModel(t, path, 2)
		look()
		if got := versionOf(t, s); got != second {
			t.Errorf("version %s, want the new %s", got, second)
		}
		// Whatever is wrong with a new file, it is told once, and the old model goes on serving.
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, spoilt := range []struct {
			reason string
			spoil  func() error
		}{
			{"truncated", func() error { return os.WriteFile(path, whole[:len(whole)-1], 0o600) }},
			{"unreadable", func() error { return os.Remove(path) }},
		} {
			if err := spoilt.spoil(); err != nil {
				t.Fatal(err)
			}
			look()
			look()
			if got := versionOf(t, s); got != second || log.count("is refused") != i+1 {
				t.Errorf("spoilt file %d: version %s, want %s; refused %d times", i, got, second, log.count("is refused"))
			}
			if refused(t, registry, spoilt.reason) != 1 || log.count("reason="+spoilt.reason) != 1 {
				t.Errorf("%s: %v counted, %d logged, want 1 of each", spoilt.reason, refused(t, registry, spoilt.reason),
					log.count("reason="+spoilt.reason))
			}
		}
		third := saveModel(t, path, 3)
		look()
		if got := versionOf(t, s); got != third {
			t.Errorf("after a spoilt file, version %s, want %s", got, third)
		}
		stop()
		if err := <-ended; err != context.Canceled {
			t.Errorf("ended with %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.hfm")
	saveModel(t, path, 1)
	s, err := word2vec.OpenServer(path, word2vec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	client := word2vecpb.NewWord2VecClient(serve(t, s))
	reload := func() (*word2vecpb.ReloadResponse, error) {
		return client.Reload(t.Context(), &word2vecpb.ReloadRequest{})
	}
	if answer, err := reload(); err != nil || answer.GetLoaded() {
		t.Errorf("nothing new: %v, %v", answer, err)
	}
	second := saveModel(t, path, 2)
	if answer, err := reload(); err != nil || !answer.GetLoaded() || answer.GetVersion() != second {
		t.Errorf("a new file: %v, %v", answer, err)
	}
	if err := os.WriteFile(path, []byte("homefeed"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time without a look
		_, err := reload()
		if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "the header is truncated") {
			t.Errorf("a spoilt file: %v", err)
		}
	}
	if got := versionOf(t, s); got != second {
		t.Errorf("version %s, want %s", got, second)
	}
	other := word2vecpb.NewWord2VecClient(serve(t, word2vec.NewServer(compass(t))))
	if _, err := other.Reload(t.Context(), &word2vecpb.ReloadRequest{}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("without a file: %v", err)
	}
	log := &lines{}
	if _, err := word2vec.OpenServer(path, word2vec.Options{Logger: slog.New(slog.NewTextHandler(log, nil))}); err == nil {
		t.Error("a server began with a spoilt file")
	}
	if log.count("model is refused") != 1 || log.count("goes on serving") != 0 {
		t.Error("what is logged speaks of a model that serves")
	}
}

// Mapped models come and go under load: no call fails, and every answer is wholly of one model. Memory that was given
// back too early would end the process.
func TestMappedModelsAreSwappedUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.hfm")
	near := map[string]string{}
	near[saveModel(t, path, 0)] = "n0"
	s, err := word2vec.OpenServer(path, word2vec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const swaps = 30
	for i := range swaps {
		near[saveModel(t, filepath.Join(t.TempDir(), "m.hfm"), i)] = fmt.Sprint("n", i)
	}
	g, ctx := errgroup.WithContext(t.Context())
	done := make(chan struct{})
	for range 4 {
		g.Go(func() error {
			for {
				select {
				case <-done:
					return nil
				default:
				}
				answer, err := s.Nearest(ctx, &word2vecpb.NearestRequest{Seeds: []*word2vecpb.Seed{{Track: "a"}}, K: 1})
				if err != nil {
					return err
				}
				if got := answer.GetNeighbours()[0].GetTrack(); got != near[answer.GetModelVersion()] {
					return fmt.Errorf("model %s answered %s, want %s", answer.GetModelVersion(), got, near[answer.GetModelVersion()])
				}
			}
		})
	}
	for i := range swaps {
		saveModel(t, path, i)
		if _, err := s.Reload(ctx, &word2vecpb.ReloadRequest{}); err != nil {
			t.Errorf("swap %d: %v", i, err)
		}
	}
	close(done)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.GetModel(t.Context(), &word2vecpb.GetModelRequest{}); err == nil {
		t.Error("a closed server answers")
	}
}
