package word2vec_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/errgroup"

	"homefeed/services/rpc"
	"homefeed/services/word2vec"
	"homefeed/services/word2vec/word2vecpb"
)

// held is a context at which a search stops to look until it may go on.
type held struct {
	context.Context
	began, goOn chan struct{}
}

func (h *held) Err() error {
	select {
	case h.began <- struct{}{}:
		<-h.goOn
	case <-h.goOn:
	}
	return h.Context.Err()
}

// As many searches run as there are processors; one more waits, for as long as its caller does, and without keeping a
// model from being given back.
func TestSearchesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := word2vec.NewServer(compass(t))
		type ended struct {
			version string
			err     error
		}
		ask := func(ctx context.Context) <-chan ended {
			answered := make(chan ended, 1)
			go func() {
				answer, err := s.Nearest(ctx, &word2vecpb.NearestRequest{Vector: []float32{1, 0}})
				answered <- ended{answer.GetModelVersion(), err}
			}()
			return answered
		}
		running := &held{t.Context(), make(chan struct{}), make(chan struct{})}
		var all []<-chan ended
		for range runtime.GOMAXPROCS(0) {
			all = append(all, ask(running))
			<-running.began
		}
		ctx, giveUp := context.WithCancel(t.Context())
		waiting, gaveUp := ask(t.Context()), ask(ctx)
		synctest.Wait()
		if len(waiting) > 0 || len(gaveUp) > 0 {
			t.Error("a search too many ran")
		}
		giveUp()
		if end := <-gaveUp; !errors.Is(end.err, context.Canceled) {
			t.Errorf("a call that gave up: %v", end.err)
		}
		newer := modelOf(t, []string{"n", "e"}, 2, 0, 1, 1, 0)
		older := s.Swap(newer)
		close(running.goOn)
		for _, answered := range all {
			if end := <-answered; end.err != nil || end.version != older.Version() {
				t.Errorf("a call that ran when the model was swapped: version %s, %v, want %s", end.version, end.err, older.Version())
			}
		}
		if end := <-waiting; end.err != nil || end.version != newer.Version() {
			t.Errorf("a call that waited when the model was swapped: version %s, %v, want %s", end.version, end.err, newer.Version())
		}
	})
}

// However many calls come at once, as they do when the processor was away for a moment, all of them are answered: how
// many there may be is what rpc.Server sees to, by letting them wait and not by refusing them.
func TestABurstIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := word2vec.NewServer(compass(t))
		one := &word2vecpb.NearestRequest{Vector: []float32{1, 0}}
		var begun sync.WaitGroup
		running := &held{t.Context(), make(chan struct{}), make(chan struct{})}
		for range runtime.GOMAXPROCS(0) {
			begun.Go(func() {
				if _, err := s.Nearest(running, one); err != nil {
					t.Error(err)
				}
			})
			<-running.began
		}
		for range 10 * rpc.DefaultMaxConcurrent {
			begun.Go(func() {
				if _, err := s.NearestBatch(t.Context(), &word2vecpb.NearestBatchRequest{Requests: []*word2vecpb.NearestRequest{one, one}}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(running.goOn)
		begun.Wait()
	})
}

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
