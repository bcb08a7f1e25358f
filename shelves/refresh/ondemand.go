package refresh

import (
	"context"
	"fmt"
	"slices"
	"time"

	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
	"homefeed/shelves/store"
)

// Make makes and stores shelves of a listener on demand: as of the newest event that songs-played has, never of a later
// time, because such a row would hide the one that the next event makes. A listener without events has no cells, and
// so has one whose shelves all came out too short, which is no error. Shelves that fail are left out; the error is
// for what concerns all of them.
func (r *Runner) Make(ctx context.Context, user string, shelves []string) ([]store.Cell, error) {
	newest, err := r.newest(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("making on demand: %w", err)
	}
	if newest.IsZero() {
		return nil, nil
	}
	t := trigger.Trigger{User: user, FireTime: newest, Cause: trigger.OnDemand}
	at := trigger.Ref{Time: newest}
	for _, name := range shelves {
		t.Due = append(t.Due, trigger.Due{Shelf: name, First: at, Last: at, Count: 1})
	}
	res, err := r.Refresh(ctx, t.WithID())
	if len(res.Cells) > 0 {
		return res.Cells, nil // if they could not be stored, the next Home makes them again
	}
	if err != nil {
		return nil, fmt.Errorf("making on demand: %w", err)
	}
	return nil, nil
}

// newest is the time of the newest event of the listener, zero when there is none.
func (r *Runner) newest(ctx context.Context, user string) (time.Time, error) {
	asked := r.cfg.Plays(user, r.now().Add(event.MaxAhead)) // phones' clocks may be that far ahead
	plays, err := asked.Recent(ctx, 1)
	if err != nil {
		return time.Time{}, err
	}
	hearts, err := asked.Hearts(ctx, 1)
	if err != nil {
		return time.Time{}, err
	}
	follows, err := asked.Follows(ctx, 1)
	if err != nil {
		return time.Time{}, err
	}
	var newest time.Time
	for _, p := range slices.Concat(plays, hearts) {
		newest = later(newest, p.Time)
	}
	for _, f := range follows {
		newest = later(newest, f.Time)
	}
	return newest, nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
