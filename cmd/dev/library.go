package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"homefeed/cmd/dev/madeup"
	"homefeed/cmd/homefeed/train"
	"homefeed/services/catalog"
	"homefeed/services/catalog/art"
	"homefeed/services/word2vec/sgns"
	"homefeed/services/word2vec/vectors"
)

// library is the music: the user's own, or a made-up one.
type library struct {
	catalog   *catalog.Catalog
	playlists string           // the file to learn from; empty: none
	vectors   *vectors.Vectors // nil when there are no playlists to learn from
	world     *madeup.World    // nil when the catalogue is the user's own
}

// openLibrary loads the catalogue and the vectors. The first time it makes what is missing, which takes seconds and
// is told to out; it is kept in -data.
func openLibrary(ctx context.Context, cfg Config, out io.Writer) (*library, error) {
	l := &library{}
	tracks, playlists := cfg.Catalog, cfg.Playlists
	if tracks == "" {
		l.world = madeup.New(cfg.Seed, madeup.Sizes{})
		tracks = filepath.Join(cfg.Data, fmt.Sprintf("catalog-%d.tsv", cfg.Seed))
		if err := writeOnce(tracks, l.world.WriteCatalog); err != nil {
			return nil, err
		}
		if playlists == "" {
			playlists = filepath.Join(cfg.Data, fmt.Sprintf("playlists-%d.txt", cfg.Seed))
			if err := writeOnce(playlists, l.world.WritePlaylists); err != nil {
				return nil, err
			}
		}
	}
	var err error
	if l.catalog, err = catalog.Load(tracks); err != nil {
		return nil, err
	}
	if l.playlists = playlists; playlists == "" {
		if cfg.Retrain == 0 {
			fmt.Fprintln(out, "No -playlists: shelves that need to know what is near stay empty.")
		}
		return l, nil
	}
	l.vectors, err = learn(ctx, cfg.Data, playlists, out)
	return l, err
}

// training is enough for a small library, in seconds.
func training() sgns.Config {
	c := sgns.Default()
	c.Epochs, c.Dim = 10, 32
	return c
}

// learn is the vectors of a file of playlists, trained once for each content.
func learn(ctx context.Context, dir, playlists string, out io.Writer) (*vectors.Vectors, error) {
	digest, err := digestOf(playlists)
	if err != nil {
		return nil, fmt.Errorf("-playlists: %w", err)
	}
	file := filepath.Join(dir, "vectors-"+digest+".bin")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(out, "Learning vectors from %s, once:\n", playlists)
		cfg := train.Config{Source: train.Source{In: playlists}, Out: file, Config: training()}
		if err := train.Run(ctx, cfg, out); err != nil {
			return nil, err
		}
	}
	return vectors.Load(file)
}

func digestOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading %s: %w", file, err)
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// writeOnce writes the file unless it is there, aside and renamed, so that it is whole or missing.
func writeOnce(file string, write func(io.Writer) error) (err error) {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file))
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("writing %s: %w", file, err)
		}
	}()
	w := bufio.NewWriter(f)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// listeners are those that are known before anything was played.
func (l *library) listeners() []string {
	if l.world == nil {
		return nil
	}
	return l.world.Listeners()
}

func (l *library) art() http.Handler { return art.NewHandler(l.catalog.Describe) }

// artistOf is a track's artist, "" when the catalogue doesn't know the track.
func (l *library) artistOf(_ context.Context, id string) (string, error) {
	track, _ := l.catalog.Track(id)
	return track.Artist, nil
}
