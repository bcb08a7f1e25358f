// Package bigtable is the row store of production: one Bigtable table, a row a listener.
//
// Family s has a column a shelf; a cell's timestamp is its as-of time, so Bigtable itself orders the generations
// and a write that is repeated replaces the same cell. Family m has the tombstone. Bigtable's garbage collection
// may lag by a week, so nothing here relies on it: a Read asks for no more than it needs and passes over what
// the tombstone hides.
//
// Rows are read after they are written, so the app profile has to route to a single cluster.
package bigtable

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/bigtable"
	"google.golang.org/api/option"

	"homefeed/shelves/store"
)

// The table's schema, which deployment creates; EnsureTable does in tests and on emulators.
const (
	DefaultTable = "home"

	shelfFamily    = "s" // a column a shelf
	metaFamily     = "m"
	deletedColumn  = "deleted_at" // its cell's timestamp is the tombstone
	deletedVersion = 1            // the newest tombstone is the latest
)

// Config says where the table is. The zero values of what is not required are good for production.
type Config struct {
	Project  string // required
	Instance string // required
	// Table is its name; empty means DefaultTable.
	Table string
	// AppProfile is the instance's profile; empty means its default one.
	AppProfile string
	// ReadTimeout bounds a Read, WriteTimeout a Write or Delete, with all the attempts the client makes, where
	// the call's context has no earlier deadline. 0 means 2 and 10 seconds.
	ReadTimeout, WriteTimeout time.Duration
	// Options are the client's: credentials, endpoint, or a connection. BIGTABLE_EMULATOR_HOST is observed.
	Options []option.ClientOption
}

// Store is a store.Store. Make it with Open.
type Store struct {
	client      *bigtable.Client
	table       *bigtable.Table
	read, write time.Duration

	open   sync.RWMutex // held for reading by every call
	closed bool
}

var _ store.Store = (*Store)(nil)

// Open makes the client. It does not wait for a connection or look for the table: where either is missing, calls
// fail. Of ctx only the values are used; Close ends the client.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	switch {
	case cfg.Project == "":
		return nil, errors.New("opening row store: project: want a Google Cloud project's id")
	case cfg.Instance == "":
		return nil, errors.New("opening row store: instance: want a Bigtable instance's id")
	case cfg.ReadTimeout < 0 || cfg.WriteTimeout < 0:
		return nil, errors.New("opening row store: timeouts: want 0 or more")
	}
	// The client works in the background for as long as the context it is made with lasts, whatever it documents.
	client, err := bigtable.NewClientWithConfig(context.WithoutCancel(ctx), cfg.Project, cfg.Instance, bigtable.ClientConfig{
		AppProfile: cfg.AppProfile,
		// The client's own metrics go to Cloud Monitoring at a price; store.Observe counts here.
		MetricsProvider: bigtable.NoopMetricsProvider{},
		// Sessions keep goroutines and connections of their own beside the ordinary ones.
		DisableSession: true,
	}, cfg.Options...)
	if err != nil {
		return nil, fmt.Errorf("opening row store in %s/%s: %w", cfg.Project, cfg.Instance, err)
	}
	return &Store{
		client: client,
		table:  client.Open(cmp.Or(cfg.Table, DefaultTable)),
		read:   cmp.Or(cfg.ReadTimeout, 2*time.Second),
		write:  cmp.Or(cfg.WriteTimeout, 10*time.Second),
	}, nil
}

// call runs do while the store is open, with a deadline. An error of a call whose time is up is its context's
// too, which the client's alone is not.
func (s *Store) call(ctx context.Context, timeout time.Duration, do func(context.Context) error) error {
	s.open.RLock()
	defer s.open.RUnlock()
	if s.closed {
		return store.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return err
	}
	err := do(ctx)
	if ended := ctx.Err(); err != nil && ended != nil && !errors.Is(err, ended) {
		return fmt.Errorf("%w: %w", ended, err)
	}
	return err
}

// Write sets the cells with one MutateRow. The client tries again after a passing failure until the deadline,
// which is safe because the timestamps are given. After a deadline the write may still take place. Then it looks for a
// tombstone of a listener, and takes back what that hides: Delete sets one before it removes, so whichever comes first,
// one of the two finds the other's.
func (s *Store) Write(ctx context.Context, key store.Key, cells ...store.Cell) error {
	if err := store.CheckWrite(key, cells); err != nil {
		return fmt.Errorf("writing row: %w", err)
	}
	if len(cells) == 0 {
		return nil
	}
	m := bigtable.NewMutation()
	for i := range cells {
		m.Set(shelfFamily, cells[i].Shelf, bigtable.Time(cells[i].AsOf), cells[i].Data)
	}
	err := s.call(ctx, s.write, func(ctx context.Context) error {
		if err := s.table.Apply(ctx, string(key), m); err != nil || !key.Listener() {
			return err
		}
		return s.takeBack(ctx, key, cells)
	})
	if err != nil {
		return fmt.Errorf("writing row: %w", err)
	}
	return nil
}

// takeBack removes those of the cells, which are written, that the row's tombstone hides.
func (s *Store) takeBack(ctx context.Context, key store.Key, cells []store.Cell) error {
	found, err := s.table.ReadRow(ctx, string(key), bigtable.RowFilter(
		bigtable.ChainFilters(bigtable.FamilyFilter(metaFamily), bigtable.LatestNFilter(deletedVersion), bigtable.StripValueFilter())))
	if err != nil {
		return fmt.Errorf("looking for a tombstone: %w", err)
	}
	deletedAt := visible(found).DeletedAt
	m := bigtable.NewMutation()
	hidden := false
	for i := range cells {
		if at := bigtable.Time(cells[i].AsOf); !cells[i].AsOf.After(deletedAt) {
			m.DeleteTimestampRange(shelfFamily, cells[i].Shelf, at, at+1000) // a millisecond, which is a timestamp's step
			hidden = true
		}
	}
	if !hidden {
		return nil
	}
	if err := s.table.Apply(ctx, string(key), m); err != nil {
		return fmt.Errorf("taking back what is deleted: %w", err)
	}
	return nil
}

// Read is one ReadRow for the newest cells of every column.
func (s *Store) Read(ctx context.Context, key store.Key, versions int) (store.Row, error) {
	return s.readRow(ctx, key, versions, bigtable.LatestNFilter(versions))
}

// Outline is a Read for which Bigtable sends no values.
func (s *Store) Outline(ctx context.Context, key store.Key) (store.Row, error) {
	return s.readRow(ctx, key, 1, bigtable.ChainFilters(bigtable.LatestNFilter(1), bigtable.StripValueFilter()))
}

func (s *Store) readRow(ctx context.Context, key store.Key, versions int, filter bigtable.Filter) (store.Row, error) {
	if err := store.CheckRead(key, versions); err != nil {
		return store.Row{}, fmt.Errorf("reading row: %w", err)
	}
	var found bigtable.Row
	err := s.call(ctx, s.read, func(ctx context.Context) (err error) {
		found, err = s.table.ReadRow(ctx, string(key), bigtable.RowFilter(filter))
		return err
	})
	if err != nil {
		return store.Row{}, fmt.Errorf("reading row: %w", err)
	}
	return visible(found), nil
}

// visible is what the tombstone leaves of a row. Bigtable returns columns in order, and cells newest first.
func visible(found bigtable.Row) store.Row {
	var row store.Row
	for _, item := range found[metaFamily] {
		if at := item.Timestamp.Time().UTC(); item.Column == metaFamily+":"+deletedColumn && at.After(row.DeletedAt) {
			row.DeletedAt = at
		}
	}
	items := found[shelfFamily]
	if len(items) == 0 {
		return row
	}
	row.Cells = make([]store.Cell, 0, len(items))
	for i := range items {
		asOf := items[i].Timestamp.Time().UTC()
		if !asOf.After(row.DeletedAt) {
			continue
		}
		row.Cells = append(row.Cells, store.Cell{
			Shelf: strings.TrimPrefix(items[i].Column, shelfFamily+":"),
			AsOf:  asOf,
			Data:  slices.Clip(items[i].Value),
		})
	}
	return row
}

// Delete sets the tombstone, and then looks up which columns there are and removes what it hides there. A cell that is
// written later is taken back by its Write.
func (s *Store) Delete(ctx context.Context, key store.Key, at time.Time) error {
	if err := store.CheckDelete(key, at); err != nil {
		return fmt.Errorf("deleting row: %w", err)
	}
	err := s.call(ctx, s.write, func(ctx context.Context) error {
		mark := bigtable.NewMutation()
		mark.Set(metaFamily, deletedColumn, bigtable.Time(at), nil)
		if err := s.table.Apply(ctx, string(key), mark); err != nil {
			return fmt.Errorf("setting the tombstone: %w", err)
		}
		keysOnly := bigtable.ChainFilters(bigtable.FamilyFilter(shelfFamily), bigtable.LatestNFilter(1), bigtable.StripValueFilter())
		found, err := s.table.ReadRow(ctx, string(key), bigtable.RowFilter(keysOnly))
		if err != nil {
			return fmt.Errorf("finding its columns: %w", err)
		}
		if len(found[shelfFamily]) == 0 {
			return nil
		}
		m := bigtable.NewMutation()
		for _, item := range found[shelfFamily] {
			column := strings.TrimPrefix(item.Column, shelfFamily+":")
			m.DeleteTimestampRange(shelfFamily, column, 0, bigtable.Time(at.Add(time.Millisecond)))
		}
		return s.table.Apply(ctx, string(key), m)
	})
	if err != nil {
		return fmt.Errorf("deleting row: %w", err)
	}
	return nil
}

// Close waits for the calls under way, which their deadlines bound, and closes the client.
func (s *Store) Close() error {
	s.open.Lock()
	defer s.open.Unlock()
	if s.closed {
		return fmt.Errorf("closing row store: %w", store.ErrClosed)
	}
	s.closed = true
	if err := s.client.Close(); err != nil {
		return fmt.Errorf("closing row store: %w", err)
	}
	return nil
}
