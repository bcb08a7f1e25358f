package homeapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"homefeed/api/edge"
	"homefeed/api/home"
	"homefeed/api/ondemand"
	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
	"homefeed/shelves/store"
)

// reading is what was read for a Home.
type reading struct {
	home.Source
	key      store.Key // of the listener's row
	degraded bool      // something could not be had, and is left out
	lent     bool      // the row is somebody else's memory, and others' after this
}

// Full refuses those for whom much would have to be done while as many Homes are being made as can be.
func (a *API) Full() error { return a.gate.Full() }

// source reads what Home shows, makes it where the listener has nothing, and calls use with it. Its error is the
// listener's id's, or use's.
func (a *API) source(ctx context.Context, cfg *home.Config, user, market string, use func(*reading) error) error {
	return a.read(ctx, cfg, user, market, 1, use)
}

// peeked makes src what source would call use with now for a Home that is kept, when there is nothing to wait for.
func (a *API) peeked(ctx context.Context, cfg *home.Config, kept *answer, now time.Time, src *reading) bool {
	if a.peek == nil {
		return false
	}
	var ok bool
	if src.Row, ok = a.peek(kept.row, now); !ok || a.demand != nil && !hasShelves(cfg, src.Row) {
		return false
	}
	a.faults.Recovered("row")
	a.addMarkets(ctx, cfg, kept.market, 1, src)
	return true
}

// pinned reads every generation that there is, so that a later page finds those of the first.
func (a *API) pinned(ctx context.Context, cfg *home.Config, user, market string, use func(*reading) error) error {
	return a.read(ctx, cfg, user, market, store.Versions, use)
}

func (a *API) read(ctx context.Context, cfg *home.Config, user, market string, versions int, use func(*reading) error) error {
	key, err := edge.UserKey(user)
	if err != nil {
		return err
	}
	if err := a.gate.Enter(); err != nil {
		return err
	}
	defer a.gate.Leave()
	complete := func(row store.Row, lent bool, failed error) {
		src := reading{Source: home.Source{Row: row}, key: key, lent: lent}
		a.complete(ctx, cfg, user, market, versions, &src, failed)
		err = use(&src)
	}
	if versions == 1 && a.peek != nil { // its row is kept, so it can't be lent
		row, failed := a.readRow(ctx, key, versions)
		complete(row, false, failed)
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, a.limits.StoreTimeout)
	defer cancel()
	seen := false
	failed := store.View(bounded, a.rows, key, versions, func(row store.Row) {
		seen = true
		complete(row, true, nil)
	})
	if !seen {
		complete(store.Row{}, false, failed)
	}
	return err
}

// complete adds to the listener's row what else there is to show.
func (a *API) complete(ctx context.Context, cfg *home.Config, user, market string, versions int, src *reading, failed error) {
	if failed != nil {
		src.Stale, src.degraded = true, true
		a.faults.Degraded("row", failed)
	} else {
		a.faults.Recovered("row")
		a.fill(ctx, cfg, user, &src.Source)
	}
	a.addMarkets(ctx, cfg, market, versions, src)
}

func (a *API) addMarkets(ctx context.Context, cfg *home.Config, market string, versions int, src *reading) {
	if !cfg.Markets() {
		return
	}
	rows := a.marketRows
	if versions > 1 {
		rows = a.marketGenerations
	}
	var failed error
	if src.Markets, failed = rows(ctx, market); failed != nil {
		src.degraded = true
	}
}

// fill makes the shelves of a listener who has none.
func (a *API) fill(ctx context.Context, cfg *home.Config, user string, src *home.Source) {
	if a.demand == nil || hasShelves(cfg, src.Row) {
		return
	}
	cells, err := a.demand.Make(ctx, user, cfg.Listeners())
	switch {
	case errors.Is(err, ondemand.ErrPaused):
		return
	case err != nil:
		a.faults.Degraded("on_demand", err)
		return
	}
	a.faults.Recovered("on_demand")
	if len(cells) > 0 {
		// The row may be shared, so it is not added to.
		src.Row.Cells = append(append(make([]store.Cell, 0, len(src.Row.Cells)+len(cells)), src.Row.Cells...), cells...)
		src.Made = true
	}
}

// hasShelves reports whether a listener's row has a shelf, whatever is on it.
func hasShelves(cfg *home.Config, row store.Row) bool {
	for i := range row.Cells {
		if s := cfg.Shelf(row.Cells[i].Shelf); s != nil && s.Scope == shelf.Listener {
			return true
		}
	}
	return false
}

// marketRows are the rows of the market and of the world, which has what the market lacks, as far as they can be had;
// the error says that one could not.
func (a *API) marketRows(ctx context.Context, market string) ([]store.Row, error) {
	return eachMarket(market, func(key store.Key) (store.Row, error) { return a.markets.Get(ctx, key) })
}

// marketGenerations is marketRows with more than the newest, which the cache hasn't.
func (a *API) marketGenerations(ctx context.Context, market string) ([]store.Row, error) {
	return eachMarket(market, func(key store.Key) (store.Row, error) {
		row, err := a.readRow(ctx, key, store.Versions)
		if err != nil {
			a.faults.Degraded("market", err)
		}
		return row, err
	})
}

func eachMarket(market string, get func(store.Key) (store.Row, error)) (rows []store.Row, failed error) {
	for _, m := range []string{market, trigger.World} {
		if m == "" {
			continue
		}
		key, err := store.MarketKey(m)
		if err != nil {
			return rows, err
		}
		row, err := get(key)
		if err != nil {
			failed = err
			continue
		}
		rows = append(rows, row)
	}
	return rows, failed
}

func (a *API) readMarket(ctx context.Context, key store.Key) (store.Row, error) {
	row, err := a.readRow(ctx, key, 1)
	if err != nil {
		a.faults.Degraded("market", err)
		return row, fmt.Errorf("reading market row: %w", err)
	}
	a.faults.Recovered("market")
	return row, nil
}

// readRow is the one read of a Home, within its deadline. With an error there may be a row that is older.
func (a *API) readRow(ctx context.Context, key store.Key, versions int) (store.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, a.limits.StoreTimeout)
	defer cancel()
	return a.rows.Read(ctx, key, versions)
}
