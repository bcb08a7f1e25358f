// Package preview makes Home for editors: as any listener would get it from the API, by a document that need not be
// published, at any time.
package preview

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/protobuf/proto"

	"homefeed/api"
	"homefeed/api/apierror"
	"homefeed/api/cms/check"
	"homefeed/api/homepb"
	"homefeed/api/identity"
	"homefeed/api/placement"
	"homefeed/pipeline/bus"
	"homefeed/shelves/shelf"
	"homefeed/shelves/store"
)

// New makes Homes out of the rows. What it gives is the answer of an API of its own, which has the document for its
// placements, the view's time for its clock and its listener for everybody: so it can't differ from what the API does.
func New(rows api.Rows, shelves []*shelf.Shelf) check.Previewer {
	return func(ctx context.Context, v check.View, p placement.Placements) (*homepb.Home, error) {
		a, err := api.New(api.Config{
			Rows: upTo{rows, v.At}, Bus: silent{}, Shelves: shelves, Placements: p, Verifier: is(v.User),
			Now: func() time.Time { return v.At },
		})
		if err != nil {
			return nil, fmt.Errorf("preview: %w", err)
		}
		defer a.Close()
		query := url.Values{"market": {v.Market}, "platform": {v.Platform}, "locale": {v.Locale}}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/v1/home?"+query.Encode(), nil)
		if err != nil {
			return nil, fmt.Errorf("preview: %w", err)
		}
		r.Header.Set("Accept", "application/x-protobuf")
		w := &answer{header: http.Header{}, status: http.StatusOK}
		a.ServeHTTP(w, r)
		home := new(homepb.Home)
		if w.status == http.StatusOK {
			err = proto.Unmarshal(w.body.Bytes(), home)
		} else {
			err = errors.New(http.StatusText(w.status))
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("preview: reading Home: %w", err)
		case w.header.Get("Cache-Control") == "no-store": // a Home without rows must not be taken for the listener's
			return nil, apierror.Unavailable("STORE_UNAVAILABLE", "the listener's rows could not be read", time.Second, nil)
		}
		return home, nil
	}
}

// upTo is the rows as they were at a time, as far as older generations are kept.
type upTo struct {
	api.Rows
	at time.Time
}

func (u upTo) Read(ctx context.Context, key store.Key, versions int) (store.Row, error) {
	row, err := u.Rows.Read(ctx, key, store.Versions)
	kept := make([]store.Cell, 0, len(row.Cells))
	of := map[string]int{} // by shelf
	for _, c := range row.Cells {
		if !c.AsOf.After(u.at) && of[c.Shelf] < versions {
			of[c.Shelf]++
			kept = append(kept, c)
		}
	}
	row.Cells = kept
	return row, err
}

// is a Verifier of one listener.
type is string

func (i is) Verify(context.Context, *http.Request) (identity.Identity, error) {
	return identity.Identity{User: string(i)}, nil
}

// silent takes no events: nothing is done on behalf of the listener.
type silent struct{}

func (silent) Publish(context.Context, string, ...bus.Message) error {
	return errors.New("a preview takes no events")
}

// answer keeps what the API writes.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
