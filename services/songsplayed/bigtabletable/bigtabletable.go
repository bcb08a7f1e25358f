// Package bigtabletable keeps the songs-played rows in Bigtable. A row is one cell, empty, with the time of the
// action as its timestamp, so that a rule of the column family can forget by age.
package bigtabletable

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"cloud.google.com/go/bigtable"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"homefeed/services/songsplayed"
)

// The table's schema, which deployment creates.
const (
	TableName = "songs-played"
	Family    = "a"
)

const column = "" // the key says it all

// callTimeout bounds a call whose context has no earlier deadline: the client has none, and tries for ever.
const callTimeout = 10 * time.Second

// Table is a songsplayed.Table.
type Table struct {
	client *bigtable.Client
	table  *bigtable.Table

	// use is held for reading by every call, so that Close waits for them.
	use    sync.RWMutex
	closed bool
}

var _ songsplayed.Table = (*Table)(nil)

// New is the table called TableName of the client's instance. Close closes the client.
func New(client *bigtable.Client) *Table {
	return &Table{client: client, table: client.Open(TableName)}
}

// Create makes the table in an instance that lacks it, and is content where it is there: for emulators. In
// production deployment makes it.
func Create(ctx context.Context, admin *bigtable.AdminClient) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := admin.CreateTableFromConf(ctx, &bigtable.TableConf{
		TableID: TableName,
		// An action written again replaces its cell, because the timestamp is the same: there is one version.
		Families: map[string]bigtable.GCPolicy{Family: bigtable.MaxVersionsPolicy(1)},
	})
	if err != nil && status.Code(err) != codes.AlreadyExists {
		return fmt.Errorf("creating table %s: %w", TableName, err)
	}
	return nil
}

// Put writes the rows with one bulk call. Each row is atomic and all of them together are not, which is enough,
// because they say nothing of each other and writing them again changes nothing. The client tries again the rows
// that failed for a passing reason, because their timestamps are given, until the deadline.
func (t *Table) Put(ctx context.Context, rows []songsplayed.Row) error {
	t.use.RLock()
	defer t.use.RUnlock()
	if t.closed {
		return fmt.Errorf("writing rows: %w", songsplayed.ErrClosed)
	}
	if len(rows) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	keys := make([]string, len(rows))
	mutations := make([]*bigtable.Mutation, len(rows))
	for i, r := range rows {
		keys[i] = string(r.Key)
		mutations[i] = bigtable.NewMutation()
		mutations[i].Set(Family, column, bigtable.Timestamp(r.Time*1000), nil)
	}
	each, err := t.table.ApplyBulk(ctx, keys, mutations)
	if err != nil {
		return fmt.Errorf("writing %d rows: %w", len(rows), err)
	}
	return firstOf(each)
}

// firstOf is how many rows failed, with the first's reason: they mostly share it.
func firstOf(each []error) error {
	var first error
	failed := 0
	for _, err := range each {
		if err != nil {
			first = cmp.Or(first, err)
			failed++
		}
	}
	if first == nil {
		return nil
	}
	return fmt.Errorf("writing rows: %d of %d failed, the first with: %w", failed, len(each), first)
}

// Scan streams the keys without their cells' values.
func (t *Table) Scan(ctx context.Context, from, to []byte, limit int, visit func(key []byte) bool) error {
	t.use.RLock()
	defer t.use.RUnlock()
	if t.closed {
		return fmt.Errorf("scanning rows: %w", songsplayed.ErrClosed)
	}
	if limit <= 0 {
		return nil // Bigtable takes 0 as no limit
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var key []byte
	err := t.table.ReadRows(ctx, bigtable.NewRange(string(from), string(to)),
		func(row bigtable.Row) bool {
			key = append(key[:0], row.Key()...)
			return visit(key)
		},
		bigtable.RowFilter(bigtable.ChainFilters(bigtable.CellsPerRowLimitFilter(1), bigtable.StripValueFilter())),
		bigtable.LimitRows(int64(limit)))
	if err != nil {
		return fmt.Errorf("scanning rows: %w", err)
	}
	return nil
}

// deleteBatch is how many rows one bulk call deletes.
const deleteBatch = 10_000

// Delete reads the keys and deletes them in bulk: deleting by prefix is an administrator's call, which may take
// minutes and is limited to a few a day.
func (t *Table) Delete(ctx context.Context, from, to []byte) error {
	for {
		var keys []string
		err := t.Scan(ctx, from, to, deleteBatch, func(key []byte) bool {
			keys = append(keys, string(key))
			return true
		})
		if err == nil && len(keys) > 0 {
			err = t.deleteRows(ctx, keys)
		}
		if err != nil {
			return fmt.Errorf("deleting rows: %w", err)
		}
		if len(keys) < deleteBatch {
			return nil
		}
	}
}

func (t *Table) deleteRows(ctx context.Context, keys []string) error {
	t.use.RLock()
	defer t.use.RUnlock()
	if t.closed {
		return songsplayed.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	mutations := make([]*bigtable.Mutation, len(keys))
	for i := range mutations {
		mutations[i] = bigtable.NewMutation()
		mutations[i].DeleteRow()
	}
	each, err := t.table.ApplyBulk(ctx, keys, mutations)
	if err != nil {
		return err
	}
	return firstOf(each)
}

// Close closes the client.
func (t *Table) Close() error {
	t.use.Lock()
	defer t.use.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	if err := t.client.Close(); err != nil {
		return fmt.Errorf("closing the Bigtable client: %w", err)
	}
	return nil
}
