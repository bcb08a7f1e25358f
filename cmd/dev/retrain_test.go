package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"homefeed/cmd/dev/madeup"
	"homefeed/pipeline/event"
	"homefeed/services/word2vec/vectors"
)

// TestVectorsFollowWhatIsPlayed starts with a catalogue and no playlists: what is near can come from listening only.
func TestVectorsFollowWhatIsPlayed(t *testing.T) {
	catalog := filepath.Join(t.TempDir(), "catalog.tsv")
	if err := writeOnce(catalog, madeup.New(1, madeup.Sizes{}).WriteCatalog); err != nil {
		t.Fatal(err)
	}
	dev := newInstance(t, "-catalog", catalog, "-retrain", "1s")
	events, users := twoDays()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for first := 0; first < len(events); first += 500 {
		if err := dev.send(ctx, events[first:min(first+500, len(events))]); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 2*time.Minute, func() error {
		_, err := os.Stat(filepath.Join(dev.data, "vectors-played.bin"))
		return err
	})
	user, track := users[0], ""
	for _, e := range events {
		if e.User == user && e.Kind == event.Played {
			track = e.Object
		}
	}
	again := event.Event{ID: "again", Kind: event.Played, User: user, Object: track, Time: time.Now().UTC()}
	if err := dev.send(ctx, []event.Event{again}); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, func() error {
		home, err := dev.home(ctx, user)
		if err != nil {
			return err
		}
		if len(home["more_like_artist"].GetCards()) == 0 {
			return fmt.Errorf("nothing is near yet: %v", home["more_like_artist"])
		}
		return nil
	})
	dev.stop()
}

func TestPublishedVectorsServeAfterARestart(t *testing.T) {
	open := func(c Config, l *library) *serving {
		t.Helper()
		s, err := (&process{cfg: c, library: l}).openVectors()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	made := func(id string) *vectors.Vectors {
		v, err := vectors.New([]string{id}, 1, []float32{1})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	cfg := Config{Data: t.TempDir(), Retrain: time.Hour}
	if s := open(cfg, &library{}); s.now.Load() != nil {
		t.Error("vectors out of nothing")
	} else if near, err := (nearOrNothing{nil, s}).Nearest(t.Context(), nil, 1, nil); near != nil || err != nil {
		t.Errorf("near with no vectors: %v, %v", near, err)
	}
	lists := &library{vectors: made("of-playlists")}
	s := open(cfg, lists)
	if s.now.Load() != lists.vectors {
		t.Error("the vectors of the playlists don't serve")
	}
	if err := s.publish(t.Context(), made("of-plays")); err != nil {
		t.Fatal(err)
	}
	if v := open(cfg, lists).now.Load(); v.ID(0) != "of-plays" {
		t.Errorf("after a restart %s serve", v.ID(0))
	}
	cfg.Retrain = 0
	if v := open(cfg, lists).now.Load(); v != lists.vectors {
		t.Errorf("without -retrain %s serve", v.ID(0))
	}
	cfg.Retrain = time.Hour
	if err := os.WriteFile(s.file, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (&process{cfg: cfg, library: lists}).openVectors(); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a broken file: %v", err)
	}
}
