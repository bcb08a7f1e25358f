package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/trigger"
	"homefeed/shelves"
	"homefeed/shelves/refresh"
	"homefeed/shelves/refresh/plan"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelftest"
	"homefeed/shelves/store"
)

func outcomes(res refresh.Result) map[string]refresh.Outcome {
	m := map[string]refresh.Outcome{}
	for _, s := range res.Shelves {
		m[s.Shelf] = s.Outcome
	}
	return m
}

func wantOutcomes(t *testing.T, res refresh.Result, want map[string]refresh.Outcome) {
	t.Helper()
	if diff := cmp.Diff(want, outcomes(res)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	for want, spoil := range map[string]func(*refresh.Config){
		"Shelves: want at least one": func(c *refresh.Config) { c.Shelves = nil },
		"Doc":                        func(c *refresh.Config) { c.Shelves = []*shelf.Shelf{{Name: "a"}} },
		"listed twice":               func(c *refresh.Config) { c.Shelves = append(c.Shelves, shelves.Discover) },
		"Store":                      func(c *refresh.Config) { c.Store = nil },
		"Catalog":                    func(c *refresh.Config) { c.Catalog = nil },
		"registering metrics": func(c *refresh.Config) {
			if _, err := refresh.New(*c); err != nil {
				t.Fatal(err)
			}
		},
	} {
		f := newFixture()
		spoil(&f.cfg)
		if _, err := refresh.New(f.cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	f := newFixture()
	f.cfg.DeadLetters = nil
	if err := f.runner(t).Run(t.Context(), f.bus); err == nil {
		t.Error("Run without DeadLetters: want an error")
	}
}

func TestRefreshMakesTheRowInOneWrite(t *testing.T) {
	f := newFixture()
	tr := due("ann", 0, "recently_played", "heavy_rotation", "because_you_hearted")
	res, err := f.runner(t).Refresh(t.Context(), tr)
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, res, map[string]refresh.Outcome{
		"recently_played": refresh.Made, "heavy_rotation": refresh.Made, "because_you_hearted": refresh.TooFew,
	})
	want := map[string]decoded{
		"recently_played": {AsOf: shelftest.Noon, Trigger: tr.ID, URIs: []string{"track:mozart.k525", "track:haydn.h104"}},
		"heavy_rotation":  {AsOf: shelftest.Noon, Trigger: tr.ID, URIs: []string{"track:mozart.k525", "track:haydn.h104"}},
	}
	if diff := cmp.Diff(want, f.row(t, "ann")); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if n := f.store.writeCount(); n != 1 || len(res.Cells) != 2 {
		t.Errorf("%d writes, %d cells; want 1 and 2", n, len(res.Cells))
	}
}

func TestRefreshIsDeterministic(t *testing.T) {
	f := newFixture()
	f.world.Vectors = map[string][]float32{"mozart.k525": {1, 0}, "haydn.h104": {1, 1}, "bach.bwv988": {1, 2}}
	r := f.runner(t)
	tr := due("ann", 0, "recently_played", "heavy_rotation", "more_like_artist", "discover")
	first, err := r.Refresh(t.Context(), tr)
	if err != nil || len(first.Cells) != 4 {
		t.Fatalf("%v, %d cells", err, len(first.Cells))
	}
	for range 10 {
		again, err := r.Refresh(t.Context(), tr)
		if diff := cmp.Diff(first.Cells, again.Cells); err != nil || diff != "" {
			t.Fatalf("error %v, cells (-first +again):\n%s", err, diff)
		}
	}
}

func TestRefreshOfALateEvent(t *testing.T) {
	f := newFixture()
	all := f.world.Plays
	f.world.Plays = []shelf.Play{all[0], all[2]} // the second has not come yet
	r := f.runner(t)
	if _, err := r.Refresh(t.Context(), due("ann", 0, "recently_played")); err != nil {
		t.Fatal(err)
	}
	f.world.Plays = all
	late := due("ann", time.Minute, "recently_played", "heavy_rotation")
	res, err := r.Refresh(t.Context(), late)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Shelves[1].AsOf; !got.Equal(shelftest.Noon) {
		t.Errorf("as of %v, want the stored row's %v", got, shelftest.Noon)
	}
	want := map[string]decoded{
		"recently_played": {AsOf: shelftest.Noon, Trigger: late.ID, URIs: []string{"track:mozart.k525", "track:haydn.h104"}},
		// Nothing newer was stored of the other: it is as of the late event, for which two tracks were played once.
		"heavy_rotation": {AsOf: shelftest.Noon.Add(-time.Minute), Trigger: late.ID, URIs: []string{"track:haydn.h104", "track:mozart.k525"}},
	}
	if diff := cmp.Diff(want, f.row(t, "ann")); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

func TestRefreshAfterErasure(t *testing.T) {
	f := newFixture()
	f.store.deleted = map[store.Key]time.Time{userKey(t, "ann"): shelftest.Noon}
	r := f.runner(t)
	res, err := r.Refresh(t.Context(), due("ann", 0, "recently_played"))
	if err != nil || f.store.writeCount() != 0 {
		t.Errorf("error %v, %d writes", err, f.store.writeCount())
	}
	wantOutcomes(t, res, map[string]refresh.Outcome{"recently_played": refresh.Erased})
	res, err = r.Refresh(t.Context(), due("ann", -time.Millisecond, "recently_played"))
	if err != nil {
		t.Error(err)
	}
	wantOutcomes(t, res, map[string]refresh.Outcome{"recently_played": refresh.Made})
}

func TestRefreshSkipsShelvesItDoesNotHave(t *testing.T) {
	f := newFixture()
	res, err := f.runner(t).Refresh(t.Context(), due("ann", 0, "no_such_shelf", "trending", "recently_played"))
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, res, map[string]refresh.Outcome{
		"no_such_shelf": refresh.Unknown, "trending": refresh.Unknown, "recently_played": refresh.Made,
	})
}

func TestRefreshOfAMarket(t *testing.T) {
	f := newFixture(&shelf.Shelf{Name: "asks_for_plays", Doc: "A mistake.", Scope: shelf.Market,
		Fill: func(ctx context.Context, r *shelf.Request) ([]shelf.Card, error) {
			_, err := r.Plays.Recent(ctx, 1)
			return nil, err
		}})
	r := f.runner(t)
	market := func(ago time.Duration, shelf string, top ...string) trigger.Trigger {
		tr := due("", ago, shelf)
		tr.Market = "SE"
		for _, track := range top {
			tr.Top = append(tr.Top, trigger.TrackCount{Track: track, Plays: 3})
		}
		return tr.WithID()
	}
	steps := []struct {
		name string
		tr   trigger.Trigger
		want refresh.Outcome
		uris []string
	}{
		{"first", market(time.Minute, "trending", "mozart.k525"), refresh.Made, []string{"track:mozart.k525"}},
		{"next window", market(0, "trending", "haydn.h104"), refresh.Made, []string{"track:haydn.h104"}},
		{"an older one late", market(time.Minute, "trending", "bach.bwv988"), refresh.Superseded, []string{"track:haydn.h104"}},
		{"the same window counted again", market(0, "trending", "verdi.aida"), refresh.Made, []string{"track:verdi.aida"}},
	}
	for _, s := range steps {
		res, err := r.Refresh(t.Context(), s.tr)
		if err != nil {
			t.Fatal(err)
		}
		wantOutcomes(t, res, map[string]refresh.Outcome{"trending": s.want})
		row, err := f.store.Read(t.Context(), "m#SE", 1)
		if err != nil || len(row.Cells) != 1 {
			t.Fatalf("%s: %v, %d cells", s.name, err, len(row.Cells))
		}
		if diff := cmp.Diff(s.uris, decode(t, row.Cells[0]).URIs); diff != "" {
			t.Errorf("%s: cards (-want +got):\n%s", s.name, diff)
		}
	}
	res, err := r.Refresh(t.Context(), market(0, "asks_for_plays"))
	if err != nil || res.Shelves[0].Outcome != refresh.Failed || !strings.Contains(fmt.Sprint(res.Shelves[0].Err), "Request.Top") {
		t.Errorf("a market's shelf that asks for plays: %v, %+v; want a failure that says what to use", err, res.Shelves)
	}
}

func TestRefreshOfABadTrigger(t *testing.T) {
	ok := due("ann", 0, "recently_played")
	for name, tr := range map[string]trigger.Trigger{
		"a listener who can't be a key": due("an/n", 0, "recently_played"),
		"a market that can't be a key":  {ID: "x", Market: "Sweden", Due: ok.Due},
		"nobody":                        {ID: "x", Due: ok.Due},
		"no time":                       {ID: "x", User: "ann", Due: []trigger.Due{{Shelf: "recently_played"}}},
		"the year 20000":                {ID: "x", User: "ann", Due: []trigger.Due{{Shelf: "recently_played", Last: trigger.Ref{Time: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)}}}},
	} {
		f := newFixture()
		if _, err := f.runner(t).Refresh(t.Context(), tr); !errors.Is(err, plan.ErrBadTrigger) {
			t.Errorf("%s: got %v, want ErrBadTrigger", name, err)
		}
	}
}

func TestRefreshWritesTheOthersWhenOneFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(
			filling("fails", func(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, errAway }),
			filling("panics", func(context.Context, *shelf.Request) ([]shelf.Card, error) { panic("oh dear") }),
			filling("hangs", func(ctx context.Context, _ *shelf.Request) ([]shelf.Card, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}),
			filling("is_empty", func(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil }),
			filling("is_huge", func(context.Context, *shelf.Request) ([]shelf.Card, error) {
				return []shelf.Card{{URI: "track:a", Title: strings.Repeat("a", store.MaxCell)}}, nil
			}),
		)
		res, err := f.runner(t).Refresh(t.Context(), due("ann", 0, "fails", "panics", "hangs", "is_empty", "is_huge", "recently_played"))
		if err != nil {
			t.Fatal(err)
		}
		wantOutcomes(t, res, map[string]refresh.Outcome{
			"fails": refresh.Failed, "panics": refresh.Panicked, "hangs": refresh.TimedOut, "is_empty": refresh.TooFew,
			"is_huge": refresh.Failed, "recently_played": refresh.Made,
		})
		if row := f.row(t, "ann"); len(row) != 1 {
			t.Errorf("row: %v, want recently_played alone", row)
		}
		for _, s := range res.Shelves {
			if (s.Outcome == refresh.Made) != (s.Err == nil) {
				t.Errorf("shelf %s: outcome %s with error %v", s.Shelf, s.Outcome, s.Err)
			}
		}
	})
}

func TestRefreshKeepsTheOlderRowWhenThereIsTooLittle(t *testing.T) {
	cards := oneCard
	f := newFixture(filling("varies", func(context.Context, *shelf.Request) ([]shelf.Card, error) { return cards, nil }))
	r := f.runner(t)
	if _, err := r.Refresh(t.Context(), due("ann", time.Minute, "varies")); err != nil {
		t.Fatal(err)
	}
	cards = nil
	if _, err := r.Refresh(t.Context(), due("ann", 0, "varies")); err != nil {
		t.Fatal(err)
	}
	if got := f.row(t, "ann")["varies"]; !got.AsOf.Equal(shelftest.Noon.Add(-time.Minute)) || len(got.URIs) != 1 {
		t.Errorf("row %+v, want the older one", got)
	}
}

func TestRefreshWithoutAStore(t *testing.T) {
	f := newFixture()
	f.store.onWrite = func(context.Context) error { return errAway }
	res, err := f.runner(t).Refresh(t.Context(), due("ann", 0, "recently_played"))
	if !errors.Is(err, errAway) || !strings.HasPrefix(err.Error(), "writing row: ") || len(res.Cells) != 1 {
		t.Errorf("write: error %v with %d cells; want errAway and what was made", err, len(res.Cells))
	}
	f = newFixture()
	f.store.onRead = func() error { return errAway }
	if _, err := f.runner(t).Refresh(t.Context(), due("ann", 0, "recently_played")); !errors.Is(err, errAway) || !strings.HasPrefix(err.Error(), "reading row: ") {
		t.Errorf("read: error %v", err)
	}
}
