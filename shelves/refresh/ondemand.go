package refresh

import (
	"context"
	"fmt"
	"time"

	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
	"homefeed/shelves/store"
)

// Make makes and stores shelves of a listener on demand. Each is as of the newest event that songs-played has of those
// that the shelf listens to, as the pipeline would have made it: never of a later time, because such a row would hide
// the one that the next event makes. A listener without such events has no cells, and so has one whose shelves all
// came out too short, which is no error. Shelves that fail are left out; the error is for what concerns all of them.
func (r *Runner) Make(ctx context.Context, user string, shelves []string) ([]store.Cell, error) {
	newest, err := r.newest(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("making on demand: %w", err)
	}
	t := trigger.Trigger{User: user, Cause: trigger.OnDemand}
	for _, name := range shelves {
		at := trigger.Ref{}
		if s := r.shelves[name]; s != nil {
			for _, signal := range s.Signals() {
				at.Time = later(at.Time, newest[event.Kind(signal.Kind)])
			}
		}
		if !at.Time.IsZero() {
			t.Due = append(t.Due, trigger.Due{Shelf: name, First: at, Last: at, Count: 1})
		}
	}
	if len(t.Due) == 0 {
		return nil, nil
	}
	t.FireTime = t.AsOf()
	res, err := r.Refresh(ctx, t.WithID())
	if len(res.Cells) > 0 {
		return res.Cells, nil // if they could not be stored, the next Home makes them again
	}
	if err != nil {
		return nil, fmt.Errorf("making on demand: %w", err)
	}
	return nil, nil
}

// newest is the time of the newest event of the listener, by kind.
func (r *Runner) newest(ctx context.Context, user string) (map[event.Kind]time.Time, error) {
	asked := r.cfg.Plays(user, r.now().Add(event.MaxAhead)) // phones' clocks may be that far ahead
	plays, err := asked.Recent(ctx, 1)
	if err != nil {
		return nil, err
	}
	hearts, err := asked.Hearts(ctx, 1)
	if err != nil {
		return nil, err
	}
	follows, err := asked.Follows(ctx, 1)
	if err != nil {
		return nil, err
	}
	newest := map[event.Kind]time.Time{}
	for _, p := range plays {
		newest[event.Played] = later(newest[event.Played], p.Time)
	}
	for _, h := range hearts {
		newest[event.Hearted] = later(newest[event.Hearted], h.Time)
	}
	for _, f := range follows {
		newest[event.Followed] = later(newest[event.Followed], f.Time)
	}
	return newest, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
