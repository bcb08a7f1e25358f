package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"homefeed/services/rpc"
	"homefeed/services/songsplayed"
	"homefeed/services/word2vec/sessions"
	"homefeed/services/word2vec/sgns"
)

// Source is where playlists come from: a file, or what the songs-played service recorded.
type Source struct {
	In     string      // a file of playlists, one a line; may be gzipped
	Format sgns.Format // of the file; empty: by its name

	SongsPlayed string        // address of the service
	Plaintext   bool          // call it without TLS
	Pause       time.Duration // what ends a session; 0: half an hour
}

// Validate says which is missing, or that there are two.
func (s Source) Validate() error {
	switch {
	case s.In == "" && s.SongsPlayed == "":
		return errors.New("in is missing: want the file of playlists, or -from-songs-played")
	case s.In != "" && s.SongsPlayed != "":
		return errors.New("from-songs-played: want this or -in, not both")
	case s.Pause < 0:
		return fmt.Errorf("pause: %v: want a time such as 30m", s.Pause)
	}
	return s.Format.Validate()
}

// load reads everything and tells out how much it is.
func (s Source) load(ctx context.Context, out io.Writer) (*sgns.Corpus, error) {
	c, name, err := s.corpus(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "%s: %d playlists, %d tracks, %d different ones\n", name, c.Playlists(), c.Words(), c.Tracks())
	return c, nil
}

func (s Source) corpus(ctx context.Context) (c *sgns.Corpus, name string, err error) {
	if s.SongsPlayed == "" {
		c, err = sgns.LoadCorpus(s.In, s.Format)
		return c, s.In, err
	}
	conn, err := rpc.Dial(s.SongsPlayed, rpc.DialOptions{Plaintext: s.Plaintext, Timeout: time.Minute})
	if err != nil {
		return nil, "", err
	}
	defer conn.Close()
	c, err = FromSongsPlayed(ctx, songsplayed.NewClient(conn), s.Pause)
	return c, "sessions of " + s.SongsPlayed, err
}

// FromSongsPlayed is the sessions of all that the service recorded; a pause of 0 is half an hour.
func FromSongsPlayed(ctx context.Context, client *songsplayed.Client, pause time.Duration) (*sgns.Corpus, error) {
	var failed error
	c, err := sgns.NewCorpus(func(yield func([]string) bool) {
		for p, err := range sessions.Playlists(client.Everybody(ctx), cmp.Or(pause, sessions.Pause)) {
			if failed = err; err != nil || !yield(p) {
				return
			}
		}
	})
	if err := cmp.Or(failed, err); err != nil {
		return nil, fmt.Errorf("reading sessions: %w", err)
	}
	return c, nil
}
