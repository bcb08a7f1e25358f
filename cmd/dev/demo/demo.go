// Package demo lets the made-up listeners play through the front door of a running homefeed, as any client would.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/schollz/progressbar/v3"
	"google.golang.org/protobuf/proto"

	"homefeed/api/homepb"
	"homefeed/cmd/dev/madeup"
	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
	"homefeed/shelves/shelfpb"
)

// Config is what a demo plays, and where.
type Config struct {
	World *madeup.World
	URL   string    // of the API
	Dir   string    // where it is kept how far the history got
	Days  int       // of history
	Rate  float64   // live events a second
	Out   io.Writer // shows the listeners' progress, and Home
}

// Run plays a history the first time, prints one listener's Home, and then plays live until ctx ends, which is no
// error.
func Run(ctx context.Context, cfg Config) error {
	d := &demo{Config: cfg, client: NewClient(cfg.URL)}
	err := d.run(ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

type demo struct {
	Config
	client *Client
}

// history is kept in Dir, so that a demo that was killed sends the same events again, with the same ids, and
// one that was finished doesn't send them at all.
type history struct {
	From, To time.Time
	Sent     bool
	LastPlay time.Time // of the listener whose Home is printed, once sent
}

func (d *demo) run(ctx context.Context) error {
	h, err := d.history()
	if err != nil {
		return err
	}
	user := d.World.Listeners()[0]
	if !h.Sent {
		if h, err = d.sendHistory(ctx, h, user); err != nil {
			return err
		}
	}
	home, err := d.settled(ctx, user, h.LastPlay)
	if err != nil {
		return err
	}
	printHome(d.Out, user, home, time.Now())
	fmt.Fprintf(d.Out, "Open %s to see it, tap a card, and watch Home change. %.3g events a second are being played live.\n"+
		"Ctrl-C ends it; the same command goes on where it was.\n", d.URL, d.Rate)
	return d.playLive(ctx)
}

func (d *demo) history() (history, error) {
	file := filepath.Join(d.Dir, "demo.json")
	b, err := os.ReadFile(file)
	if err == nil {
		var h history
		if err := json.Unmarshal(b, &h); err != nil {
			return h, fmt.Errorf("reading %s: %w", file, err)
		}
		return h, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return history{}, err
	}
	to := time.Now().UTC().Truncate(time.Minute)
	h := history{From: to.AddDate(0, 0, -d.Days), To: to}
	return h, d.keep(h)
}

func (d *demo) keep(h history) error {
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	file := filepath.Join(d.Dir, "demo.json")
	if err := os.WriteFile(file+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// batchSize is how many events of the history go in one request.
const batchSize = 1000

// sendHistory sends everything and returns h as it is kept then.
func (d *demo) sendHistory(ctx context.Context, h history, user string) (history, error) {
	bar := progressbar.NewOptions64(int64(h.To.Sub(h.From)/time.Minute),
		progressbar.OptionSetWriter(d.Out),
		progressbar.OptionSetDescription(fmt.Sprintf("Playing %d days of %d made-up listeners", d.Days, len(d.World.Listeners()))),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetWidth(30),
		progressbar.OptionClearOnFinish())
	started, sent := time.Now(), 0
	batch := make([]*eventpb.UserEvent, 0, batchSize)
	for e := range d.World.History(h.From, h.To) {
		if e.User == user && e.Kind == event.Played {
			h.LastPlay = e.Time
		}
		batch = append(batch, event.ToProto(e))
		if len(batch) < batchSize {
			continue
		}
		if err := d.post(ctx, batch); err != nil {
			return h, err
		}
		sent += len(batch)
		batch = batch[:0]
		bar.Set64(int64(e.Time.Sub(h.From) / time.Minute))
	}
	if err := d.post(ctx, batch); err != nil {
		return h, err
	}
	sent += len(batch)
	bar.Finish()
	took := time.Since(started)
	fmt.Fprintf(d.Out, "%d events in %.1f s (%.0f a second)\n", sent, took.Seconds(), float64(sent)/took.Seconds())
	h.Sent = true
	return h, d.keep(h)
}

// settled waits until the listener's Home shows the last play and today's trends, or shows what it can after a minute.
func (d *demo) settled(ctx context.Context, user string, lastPlay time.Time) (*homepb.Home, error) {
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		home, err := d.home(ctx, user)
		if err != nil {
			return nil, err
		}
		if time.Now().After(deadline) || complete(home, lastPlay) {
			return home, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// complete reports whether the shelves that every play refreshes are as of the last play or later, and trends are of
// now: they come last, when the clock has taken over from the history.
func complete(home *homepb.Home, lastPlay time.Time) bool {
	for _, s := range home.GetShelves() {
		switch s.GetName() {
		case "recently_played", "heavy_rotation", "more_like_artist", "discover":
			if s.GetStatus() == shelfpb.Status_LEFT_OUT || s.GetAsOf().AsTime().Before(lastPlay) {
				return false
			}
		case "trending":
			if s.GetStatus() != shelfpb.Status_FRESH {
				return false
			}
		}
	}
	return len(home.GetShelves()) > 0
}

// playLive sends what listeners do as time goes by.
func (d *demo) playLive(ctx context.Context) error {
	next, stop := iter.Pull(d.World.Live(time.Now().UTC(), d.Rate))
	defer stop()
	for {
		e, ok := next()
		if !ok {
			return errors.New("the made-up listeners have fallen silent")
		}
		select {
		case <-time.After(time.Until(e.Time)):
		case <-ctx.Done():
			return nil
		}
		if err := d.post(ctx, []*eventpb.UserEvent{event.ToProto(e)}); err != nil {
			return err
		}
	}
}

// post sends the events to this process' own API, as any client would, and again while it is overloaded.
func (d *demo) post(ctx context.Context, events []*eventpb.UserEvent) error {
	if len(events) == 0 {
		return nil
	}
	body, err := proto.Marshal(&eventpb.WriteEventsRequest{Events: events})
	if err != nil {
		return fmt.Errorf("encoding events: %w", err)
	}
	answer, err := backoff.Retry(ctx, func() (*eventpb.WriteEventsResponse, error) {
		var answer eventpb.WriteEventsResponse
		return &answer, d.client.Call(ctx, "POST", "/v1/events", "dev-service:importer", body, &answer)
	}, backoff.WithMaxElapsedTime(time.Minute))
	if err != nil {
		return err
	}
	for _, r := range answer.GetResults() {
		if r.GetError() != "" {
			return fmt.Errorf("event %s was refused: %s: %s", r.GetId(), r.GetField(), r.GetError())
		}
	}
	return nil
}

func (d *demo) home(ctx context.Context, user string) (*homepb.Home, error) {
	var home homepb.Home
	return &home, d.client.Call(ctx, "GET", "/v1/home", "dev-user:"+user, nil, &home)
}
