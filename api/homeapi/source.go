package homeapi

import (
	"context"
	"errors"
	"fmt"

	"homefeed/api/edge"
	"homefeed/api/home"
	"homefeed/api/ondemand"
	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
	"homefeed/shelves/store"
)

// source reads what Home shows, and makes it where the listener has nothing. What can't be had is left out and
// reported as degraded. Its error is the listener's id's.
func (a *API) source(ctx context.Context, cfg *home.Config, user, market string) (src home.Source, degraded bool, err error) {
	return a.read(ctx, cfg, user, market, 1)
}

// pinned reads every generation that there is, so that a later page finds those of the first.
func (a *API) pinned(ctx context.Context, cfg *home.Config, user, market string) (src home.Source, degraded bool, err error) {
	return a.read(ctx, cfg, user, market, store.Versions)
}

func (a *API) read(ctx context.Context, cfg *home.Config, user, market string, versions int) (src home.Source, degraded bool, err error) {
	key, err := edge.UserKey(user)
	if err != nil {
		return src, false, err
	}
	src.Row, err = a.readRow(ctx, key, versions)
	if err != nil {
		src.Stale, degraded = true, true
		a.faults.Degraded("row", err)
	} else {
		a.faults.Recovered("row")
		a.fill(ctx, cfg, user, &src)
	}
	if !cfg.Markets() {
		return src, degraded, nil
	}
	if versions > 1 {
		src.Markets, err = a.marketGenerations(ctx, market)
	} else {
		src.Markets, err = a.marketRows(ctx, market)
	}
	return src, degraded || err != nil, nil
}

// fill makes the shelves of a listener who has none.
func (a *API) fill(ctx context.Context, cfg *home.Config, user string, src *home.Source) {
	if a.demand == nil {
		return
	}
	for _, c := range src.Row.Cells {
		if s := cfg.Shelf(c.Shelf); s != nil && s.Scope == shelf.Listener {
			return
		}
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
	if a.peek != nil && versions == 1 { // nothing to wait for: no deadline, which costs as much as the rest
		if row, ok := a.peek(key); ok {
			return row, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, a.limits.StoreTimeout)
	defer cancel()
	return a.rows.Read(ctx, key, versions)
}
