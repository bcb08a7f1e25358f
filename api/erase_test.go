package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"testing"
	"time"

	"homefeed/api"
	"homefeed/pipeline/event"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

// songsPlayed has the actions, fails behind them with err, and erases what it is told.
type songsPlayed struct {
	actions []event.Event
	left    int64
	err     error
	newest  time.Time // of what claims to be later than now
	erased  map[string]time.Time
}

func (s *songsPlayed) Erase(_ context.Context, user string, at time.Time, ahead time.Duration) (upTo time.Time, deleted, left int64, err error) {
	if s.erased == nil {
		s.erased = map[string]time.Time{}
	}
	if s.newest.After(at) && !s.newest.After(at.Add(ahead)) {
		at = s.newest
	}
	s.erased[user] = at
	return at, 7, s.left, s.err
}

func (s *songsPlayed) Actions(context.Context, string) iter.Seq2[event.Event, error] {
	return func(yield func(event.Event, error) bool) {
		for _, e := range s.actions {
			if !yield(e, nil) {
				return
			}
		}
		if s.err != nil {
			yield(event.Event{}, s.err)
		}
	}
}

// TestErase holds that the receipt says what there was, that nothing is left, and that a refresh that was under way
// can't bring it back.
func TestErase(t *testing.T) {
	s, played := &rows{}, &songsPlayed{}
	key := userKey(t, "ann")
	s.put(t, key, "discover", now, nil, "a")
	s.put(t, key, "more_like", now, nil, "b")
	a := newAPI(t, api.Config{Rows: s, Events: played})
	w := call(a, "DELETE", "/v1/users/ann", "listener:ann", "")
	var got struct {
		At           time.Time
		Rows, Events struct{ Deleted, Left int }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
		t.Fatalf("%d %s, %v", w.Code, w.Body, err)
	}
	if got.Rows.Deleted != 2 || got.Events.Deleted != 7 || got.Rows.Left+got.Events.Left != 0 || !got.At.Equal(now) {
		t.Errorf("receipt %s", w.Body)
	}
	if !played.erased["ann"].Equal(got.At) || !s.rows[key].DeletedAt.Equal(got.At) {
		t.Errorf("erased up to %v and %v, want %v", played.erased["ann"], s.rows[key].DeletedAt, got.At)
	}
	for _, shelf := range getHome(t, a, "/v1/home").Shelves {
		if shelf.Status != shelfpb.Status_LEFT_OUT {
			t.Errorf("%v", shelf)
		}
	}
}

// TestEraseAhead holds that what a phone's clock has dated later goes too, and nothing later than that.
func TestEraseAhead(t *testing.T) {
	key := userKey(t, "ann")
	for name, c := range map[string]struct{ events, row, want time.Duration }{
		"nothing": {0, 0, 0}, "an event": {time.Minute, 0, time.Minute}, "a row": {time.Minute, 2 * time.Minute, 2 * time.Minute},
	} {
		s, played := &rows{}, &songsPlayed{newest: now.Add(c.events)}
		s.put(t, key, "discover", now.Add(c.row), nil, "a")
		w := call(newAPI(t, api.Config{Rows: s, Events: played}), "DELETE", "/v1/users/ann", "listener:ann", "")
		if got := s.rows[key].DeletedAt.Sub(now); w.Code != 200 || got != c.want {
			t.Errorf("%s: %d, erased up to %v later, want %v: %s", name, w.Code, got, c.want, w.Body)
		}
	}
}

// TestEraseIncomplete holds that no receipt is given for half of it.
func TestEraseIncomplete(t *testing.T) {
	for name, c := range map[string]api.Config{
		"songs-played away": {Events: &songsPlayed{err: errors.New("away")}},
		"something left":    {Events: &songsPlayed{left: 1}},
		"the store away":    {Events: &songsPlayed{}, Rows: &rows{before: func(context.Context, store.Key) error { return errors.New("away") }}},
		"no songs-played":   {},
	} {
		w := call(newAPI(t, c), "DELETE", "/v1/users/ann", "service:admin", "")
		if e := decodeError(t, w.Body.Bytes()); w.Code != 503 || e.Error.Status != "UNAVAILABLE" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
