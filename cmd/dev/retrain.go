package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync/atomic"

	"homefeed/cmd/homefeed/train"
	"homefeed/services/word2vec"
	"homefeed/services/word2vec/retrain"
	"homefeed/services/word2vec/sgns"
	"homefeed/services/word2vec/vectors"
	"homefeed/shelves/shelf"
)

// serving is the vectors that the word2vec service answers from.
type serving struct {
	server *word2vec.Server
	file   string // of those that were learnt from what was played
	now    atomic.Pointer[vectors.Vectors]
}

// openVectors begins with the vectors that were learnt last from what was played, if -retrain is on and there are any,
// and else with those of the playlists. They are nil when there are neither.
func (p *process) openVectors() (*serving, error) {
	s := &serving{server: word2vec.NewServer(nil), file: filepath.Join(p.cfg.Data, "vectors-played.bin")}
	v := p.library.vectors
	if p.cfg.Retrain > 0 {
		played, err := vectors.Load(s.file)
		switch {
		case err == nil:
			v = played
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	if v != nil {
		s.use(v)
	}
	return s, nil
}

func (s *serving) use(v *vectors.Vectors) {
	s.server.Swap(word2vec.NewModel(v))
	s.now.Store(v)
}

// publish keeps the vectors for the next start, and serves them.
func (s *serving) publish(_ context.Context, v *vectors.Vectors) error {
	if err := vectors.Save(s.file, v); err != nil {
		return err
	}
	s.use(v)
	return nil
}

// startRetraining learns from what was played, and the playlists, every so often.
func (p *process) startRetraining(s *serving) error {
	var playlists *sgns.Corpus
	if file := p.library.playlists; file != "" {
		var err error
		if playlists, err = sgns.LoadCorpus(file, ""); err != nil {
			return fmt.Errorf("-playlists: %w", err)
		}
	}
	c := retrain.Config{
		Every:  p.cfg.Retrain,
		Margin: p.cfg.RetrainMargin,
		Sessions: func(ctx context.Context) (*sgns.Corpus, error) {
			return train.FromSongsPlayed(ctx, p.clients.plays, 0)
		},
		Playlists: playlists,
		Training:  training(),
		Queries:   5_000,
		Serving:   s.now.Load,
		Publish:   s.publish,
		Log:       p.log,
	}
	p.parts.Go("retraining", func(ctx context.Context) error { return retrain.Run(ctx, c) })
	return nil
}

// nearOrNothing answers with nothing as long as there are no vectors. The service would rightly say that it is
// unavailable; here there may never be any, so trying again is of no use.
type nearOrNothing struct {
	shelf.Word2Vec
	vectors *serving
}

func (n nearOrNothing) Nearest(ctx context.Context, seeds []shelf.Seed, k int, exclude []string) ([]shelf.Neighbour, error) {
	if n.vectors.now.Load() == nil {
		return nil, nil
	}
	return n.Word2Vec.Nearest(ctx, seeds, k, exclude)
}
