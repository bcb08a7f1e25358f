// Package preview makes Home for editors: as any listener would get it from the API, by a document that need not be
// published, at any time.
package preview

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"homefeed/api/apierror"
	"homefeed/api/cms/check"
	"homefeed/api/home"
	"homefeed/api/homepb"
	"homefeed/api/placement"
	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
	"homefeed/shelves/store"
)

// Rows is what a preview needs of store.Store.
type Rows interface {
	Read(ctx context.Context, key store.Key, versions int) (store.Row, error)
}

// timeout bounds the reads of one Home.
const timeout = 2 * time.Second

// New makes Homes out of the rows as they were at the view's time, as far as older generations are kept, with what
// makes Home for the API. For a listener without a row nothing is made on demand: a preview asks no service.
func New(rows Rows, shelves []*shelf.Shelf) check.Previewer {
	return func(ctx context.Context, v check.View, p placement.Placements) (*homepb.Home, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		config, err := home.NewConfig(p, shelves)
		if err != nil {
			return nil, fmt.Errorf("preview: %w", err)
		}
		source, err := read(ctx, rows, v, config.Markets())
		if err != nil {
			return nil, err
		}
		arranged := config.Arrange(source, home.Viewer{User: v.User, Market: v.Market, Locale: v.Locale, Platform: v.Platform, Now: v.At}, home.Page{})
		wire, err := home.Render{}.Append(nil, arranged)
		if err != nil {
			return nil, fmt.Errorf("preview: encoding Home: %w", err)
		}
		shown := new(homepb.Home)
		if err := proto.Unmarshal(wire, shown); err != nil {
			return nil, fmt.Errorf("preview: a row can't be decoded: %w", err)
		}
		return shown, nil
	}
}

// read fails where the API would show what it can: an editor must not take an outage for a Home without rows.
func read(ctx context.Context, rows Rows, v check.View, markets bool) (home.Source, error) {
	user, err := store.UserKey(v.User)
	if err != nil {
		return home.Source{}, fmt.Errorf("preview: %w", err)
	}
	keys := []store.Key{user}
	for _, m := range []string{v.Market, trigger.World} { // what the market lacks, the world has
		if m == "" || !markets {
			continue
		}
		key, err := store.MarketKey(m)
		if err != nil {
			return home.Source{}, fmt.Errorf("preview: %w", err)
		}
		keys = append(keys, key)
	}
	found := make([]store.Row, len(keys))
	for i, key := range keys {
		row, err := rows.Read(ctx, key, store.Versions)
		if err != nil {
			return home.Source{}, apierror.Unavailable("STORE_UNAVAILABLE", "the listener's rows can't be read just now", time.Second, err)
		}
		found[i] = asOf(row, v.At)
	}
	return home.Source{Row: found[0], Markets: found[1:]}, nil
}

// asOf is the row without what is later than at. The row may be shared, so it is not changed.
func asOf(row store.Row, at time.Time) store.Row {
	var kept []store.Cell
	for _, c := range row.Cells {
		if !c.AsOf.After(at) {
			kept = append(kept, c)
		}
	}
	row.Cells = kept
	return row
}
