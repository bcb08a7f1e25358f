package api_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"homefeed/api"
	"homefeed/api/homepb"
	"homefeed/api/rowcache"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

// outages are ways in which something behind Home may fail.
func outages() map[string]outage {
	var calls atomic.Int64
	away := errors.New("away")
	return map[string]outage{
		"down":  func(context.Context) error { return away },
		"hangs": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"fails-one-in-ten": func(context.Context) error {
			if calls.Add(1)%10 == 0 {
				return away
			}
			return nil
		},
	}
}

// services make shelves on demand, as far as songs-played and word2vec can be had.
type services struct {
	outage atomic.Pointer[outage]
	cell   store.Cell
}

// outage is what happens to whoever asks; nil: nothing.
type outage func(context.Context) error

func (s *services) Make(ctx context.Context, _ string, _ []string) ([]store.Cell, error) {
	if happens := s.outage.Load(); happens != nil {
		if err := (*happens)(ctx); err != nil {
			return nil, err
		}
	}
	return []store.Cell{s.cell}, nil
}

// TestOutages holds that every Home is answered, and every shelf says what it is, whatever fails behind it: for
// listeners whose rows were seen before, and for newcomers, whose shelves are made on demand.
func TestOutages(t *testing.T) {
	type statuses map[shelfpb.Status]int
	fresh, lastGood, demand, byDefault := shelfpb.Status_FRESH, shelfpb.Status_LAST_GOOD, shelfpb.Status_ON_DEMAND, shelfpb.Status_DEFAULT
	const each = 20
	for _, c := range []struct {
		what, how      string
		old, newcomers statuses
	}{
		{"store", "down", statuses{lastGood: each}, statuses{byDefault: each}},
		{"store", "hangs", statuses{lastGood: each}, statuses{byDefault: each}},
		{"store", "fails-one-in-ten", statuses{fresh: each - 2, lastGood: 2}, statuses{demand: each - 2, byDefault: 2}},
		{"services", "down", statuses{fresh: each}, statuses{byDefault: each}},
		{"services", "hangs", statuses{fresh: each}, statuses{byDefault: each}},
		{"services", "fails-one-in-ten", statuses{fresh: each}, statuses{demand: each - 2, byDefault: 2}},
	} {
		t.Run(c.what+" "+c.how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, made := &rows{}, &services{}
				for i := range each {
					s.put(t, userKey(t, fmt.Sprint("old-", i)), "discover", time.Now(), nil, "a")
				}
				made.cell = s.rows[userKey(t, "old-0")].Cells[0]
				cached, err := rowcache.New(s, rowcache.Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(cached.Close)
				a := newAPI(t, api.Config{
					Rows: cached, OnDemand: made, Now: time.Now,
					Placements: api.Placements{Shelves: []api.Placement{{Shelf: "discover", DefaultCards: api.Cards{{Uri: "track:d", Title: "D"}}}}},
				})
				ask := func(who string) statuses {
					got := statuses{}
					for i := range each {
						began := time.Now()
						w := call(a, "GET", "/v1/home", fmt.Sprintf("listener:%s-%d", who, i), "", "Accept", "application/x-protobuf")
						home := new(homepb.Home)
						if err := proto.Unmarshal(w.Body.Bytes(), home); err != nil || w.Code != 200 || len(home.Shelves) != 1 {
							t.Fatalf("%s: %d %v %v", who, w.Code, home, err)
						}
						status := home.Shelves[0].Status
						got[status]++
						if keep := w.Header().Get("Cache-Control") != "no-store"; keep != !home.Degraded {
							t.Errorf("%s: degraded is %v, and a cache may keep it: %v", who, home.Degraded, keep)
						}
						if took := time.Since(began); took > time.Second+100*time.Millisecond {
							t.Errorf("%s: took %v, want the store's 300 ms and the services' 800 at most", who, took)
						}
					}
					return got
				}
				check := func(when, who string, want statuses) {
					t.Helper()
					if got := ask(who); fmt.Sprint(got) != fmt.Sprint(want) {
						t.Errorf("%s, %s: %v, want %v", when, who, got, want)
					}
				}
				check("before", "old", statuses{fresh: each})
				time.Sleep(3 * time.Second) // the cache asks the store again
				happens := outages()[c.how]
				if c.what == "store" {
					s.set(func(ctx context.Context, _ store.Key) error { return happens(ctx) })
				} else {
					made.outage.Store(&happens)
				}
				check("during", "old", c.old)
				check("during", "new", c.newcomers)
				s.set(nil)
				made.outage.Store(nil)
				for range 2 { // they find out that the store is back, and what makes shelves
					_ = ask("old")
					_ = ask("between")
					time.Sleep(10 * time.Second)
				}
				check("after", "old", statuses{fresh: each})
				check("after", "new", statuses{demand: each})
			})
		})
	}
}
