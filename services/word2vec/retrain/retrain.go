// Package retrain makes vectors anew on a schedule, so that they follow what people do, behind a gate: a model that
// guesses worse than the one that serves is never published.
package retrain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"homefeed/services/word2vec/evaluate"
	"homefeed/services/word2vec/sgns"
	"homefeed/services/word2vec/vectors"
)

// DefaultMargin is by what part a model may score worse and be published all the same: more than two seeds differ, so
// that chance alone doesn't keep old vectors.
const DefaultMargin = .05

// Config says what to do. The functions are called by one goroutine.
type Config struct {
	Every  time.Duration // between two rounds, which are that far apart at least; more than 0
	Margin float64       // 0: DefaultMargin
	// Sessions are what people did: what models are asked about. The last track of each is never learnt from, so
	// that a model that learnt from a session earlier doesn't know its end.
	Sessions func(ctx context.Context) (*sgns.Corpus, error)
	// Playlists are to be learnt from beside them; nil: none.
	Playlists *sgns.Corpus
	Training  sgns.Config
	Queries   int // how many sessions to ask about at most; 0: all
	// Serving are the vectors that serve; nil, or a nil result: none, and any model will do.
	Serving func() *vectors.Vectors
	// Publish makes the vectors serve: the very ones that were judged.
	Publish func(ctx context.Context, v *vectors.Vectors) error
	Log     *slog.Logger // nil: nothing is logged
}

// Validate names the field that is missing or wrong.
func (c Config) Validate() error {
	switch {
	case c.Every <= 0:
		return fmt.Errorf("Every: %v: want more than 0", c.Every)
	case !(c.Margin >= 0 && c.Margin < 1): // also refuses NaN
		return fmt.Errorf("Margin: %v: want 0 to 1", c.Margin)
	case c.Sessions == nil || c.Publish == nil:
		return errors.New("Sessions, Publish: want both")
	}
	return c.Training.Validate()
}

// Outcome is how a round ended.
type Outcome struct {
	Published          bool
	Serving, Candidate evaluate.Score // of the same questions
}

// Run makes rounds until ctx ends: the first at once if nothing serves, and else after Every. A round that fails is
// logged, and the next one tries again. The error is one of Validate's.
func Run(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("retraining: %w", err)
	}
	c = c.withDefaults()
	wait := time.NewTicker(c.Every)
	defer wait.Stop()
	for now := c.Serving() == nil; ; now = false {
		if !now {
			select {
			case <-wait.C:
			case <-ctx.Done():
				return nil
			}
		}
		outcome, err := c.round(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			c.Log.Warn("retraining failed; the old vectors go on serving", "error", err)
		case !outcome.Published:
			c.Log.Warn("new vectors are worse; the old ones go on serving",
				"candidate", outcome.Candidate, "serving", outcome.Serving, "margin", c.Margin)
		default:
			c.Log.Info("new vectors serve", "candidate", outcome.Candidate, "serving", outcome.Serving)
		}
	}
}

func (c Config) withDefaults() Config {
	if c.Margin == 0 {
		c.Margin = DefaultMargin
	}
	if c.Serving == nil {
		c.Serving = func() *vectors.Vectors { return nil }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// round trains one model, and publishes it if it may be.
func (c Config) round(ctx context.Context) (Outcome, error) {
	sessions, err := c.Sessions(ctx)
	if err != nil {
		return Outcome{}, err
	}
	var also []*sgns.Corpus
	if c.Playlists != nil {
		also = append(also, c.Playlists)
	}
	test, err := evaluate.NewTest(sessions, c.Queries, c.Training.Seed, also...)
	if err != nil {
		return Outcome{}, err
	}
	candidate, err := sgns.Train(ctx, test.Train, c.Training, nil)
	if err != nil {
		return Outcome{}, err
	}
	var o Outcome
	if o.Candidate, err = test.Vectors(ctx, candidate); err != nil {
		return o, err
	}
	if serving := c.Serving(); serving != nil {
		if o.Serving, err = test.Vectors(ctx, serving); err != nil {
			return o, err
		}
	}
	if Worse(o.Candidate, o.Serving, c.Margin) {
		return o, nil
	}
	if err := c.Publish(ctx, candidate); err != nil {
		return o, fmt.Errorf("publishing vectors: %w", err)
	}
	o.Published = true
	return o, nil
}

// Worse is the gate: whether a candidate's HR@10 or NDCG@10 is below what serves by more than the margin, a part of
// the serving one's. Both must have been asked the same questions.
func Worse(candidate, serving evaluate.Score, margin float64) bool {
	least := 1 - margin
	// The other way round a score that is no number would pass.
	return !(candidate.HitRate >= least*serving.HitRate && candidate.NDCG >= least*serving.NDCG)
}
