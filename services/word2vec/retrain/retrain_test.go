package retrain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"homefeed/services/word2vec/evaluate"
	"homefeed/services/word2vec/sgns"
	"homefeed/services/word2vec/vectors"
)

func TestGate(t *testing.T) {
	serving := evaluate.Score{HitRate: .2, NDCG: .1}
	for name, c := range map[string]struct {
		candidate evaluate.Score
		worse     bool
	}{
		"better":               {evaluate.Score{HitRate: .3, NDCG: .2}, false},
		"equal":                {serving, false},
		"a little worse":       {evaluate.Score{HitRate: .1901, NDCG: .0951}, false},
		"fewer hits":           {evaluate.Score{HitRate: .1899, NDCG: .1}, true},
		"hits further down":    {evaluate.Score{HitRate: .2, NDCG: .0949}, true},
		"one better, one less": {evaluate.Score{HitRate: .4, NDCG: .05}, true},
		"nothing":              {evaluate.Score{}, true},
		"no number":            {evaluate.Score{HitRate: math.NaN(), NDCG: .2}, true},
	} {
		if got := Worse(c.candidate, serving, .05); got != c.worse {
			t.Errorf("%s: worse is %v", name, got)
		}
	}
	if Worse(evaluate.Score{}, evaluate.Score{}, .05) {
		t.Error("nothing is worse than nothing")
	}
}

// mixed is sessions in groups, in which any track of the group may come next.
func mixed(t *testing.T) *sgns.Corpus {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	var all [][]string
	for i := range 200 {
		var s []string
		for range 6 {
			s = append(s, fmt.Sprintf("%c%d", 'a'+i%4, r.IntN(10)))
		}
		all = append(all, s)
	}
	c, err := sgns.NewCorpus(slices.Values(all))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bench is a config whose vectors serve as soon as they are published.
type bench struct {
	Config
	serving   *vectors.Vectors
	published int
	log       bytes.Buffer
}

func newBench(t *testing.T) *bench {
	corpus := mixed(t)
	b := &bench{}
	b.Config = Config{
		Every:    time.Hour,
		Sessions: func(context.Context) (*sgns.Corpus, error) { return corpus, nil },
		Training: sgns.Default(),
		Serving:  func() *vectors.Vectors { return b.serving },
		Publish: func(_ context.Context, v *vectors.Vectors) error {
			b.serving = v
			b.published++
			return nil
		},
		Log: slog.New(slog.NewTextHandler(&b.log, nil)),
	}
	b.Training.Dim, b.Training.Epochs, b.Training.Sample = 8, 20, 0
	return b
}

// run runs for a time of the bubble's clock.
func (b *bench) run(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := Run(ctx, b.Config); err != nil {
		t.Error(err)
	}
}

func TestRoundsComeBySchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run(t, time.Minute)
		if b.published != 1 {
			t.Errorf("with nothing that serves, %d models in a minute, want 1", b.published)
		}
		b.run(t, 59*time.Minute)
		if b.published != 1 {
			t.Errorf("%d models before it was time, want the first one only", b.published)
		}
		b.run(t, 3*time.Hour+time.Minute)
		if b.published != 4 {
			t.Errorf("%d models after three more hours, want 4", b.published)
		}
	})
}

func TestAWorseModelIsNotPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run(t, time.Minute)
		good := b.serving
		b.Training.LearningRate = 1e-9 // learns nothing
		b.run(t, time.Hour+time.Minute)
		if b.published != 1 || b.serving != good {
			t.Error("a model that learnt nothing serves")
		}
		if !regexp.MustCompile(`new vectors are worse.* candidate.hr10=0\.\d{4} .*serving.ndcg10=0\.\d{4} margin=0.05`).MatchString(b.log.String()) {
			t.Errorf("log:\n%s", b.log.String())
		}
		b.Margin = .999
		b.run(t, time.Hour+time.Minute)
		if b.published != 2 {
			t.Error("the margin changes nothing")
		}
	})
}

func TestAFailedRoundIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		sessions, rounds := b.Sessions, 0
		b.Sessions = func(ctx context.Context) (*sgns.Corpus, error) {
			if rounds++; rounds == 1 {
				return nil, errors.New("away")
			}
			return sessions(ctx)
		}
		publish := b.Publish
		b.Publish = func(ctx context.Context, v *vectors.Vectors) error {
			if rounds == 2 {
				return errors.New("disk full")
			}
			return publish(ctx, v)
		}
		b.run(t, 2*time.Hour+time.Minute)
		if rounds != 3 || b.published != 1 {
			t.Errorf("%d rounds, %d models", rounds, b.published)
		}
		for _, want := range []string{"error=away", "publishing vectors: disk full", "new vectors serve"} {
			if !strings.Contains(b.log.String(), want) {
				t.Errorf("%q is not in\n%s", want, b.log.String())
			}
		}
	})
}

func TestPlaylistsAreLearntFromToo(t *testing.T) {
	b := newBench(t)
	more, err := sgns.NewCorpus(slices.Values([][]string{{"x1", "x2", "x3"}}))
	if err != nil {
		t.Fatal(err)
	}
	b.Playlists = more
	if o, err := b.withDefaults().round(t.Context()); err != nil || !o.Published || o.Candidate.HitRate < .5 {
		t.Fatalf("%+v, %v", o, err)
	}
	if _, known := b.serving.Find("x3"); !known {
		t.Error("a track of the playlists has no vector")
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"Every: 0s: want":          func(c *Config) { c.Every = 0 },
		"Margin: -1: want":         func(c *Config) { c.Margin = -1 },
		"Sessions, Publish: want":  func(c *Config) { c.Publish = nil },
		"retraining: dim: 0: want": func(c *Config) { c.Training.Dim = 0 },
	} {
		b := newBench(t)
		change(&b.Config)
		if err := Run(t.Context(), b.Config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
