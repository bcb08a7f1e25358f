// Package bigtablelog keeps the log of the CMS in Bigtable: a row an entry, which a conditional mutation writes only
// where there is none. Rows are read after they are written, so the app profile has to route to a single cluster and
// allow single-row transactions.
package bigtablelog

import (
	"context"
	"fmt"
	"sync"
	"time"

	"cloud.google.com/go/bigtable"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"homefeed/api/cms"
)

// The table's schema, which deployment creates.
const (
	TableName = "cms"
	Family    = "e"
)

const (
	column       = ""
	stateKey     = "state"
	entries      = "e#"
	afterEntries = "e$" // the first key behind them
)

// callTimeout bounds a call whose context has no earlier deadline: the client has none, and tries for ever.
const callTimeout = 10 * time.Second

// Log is a cms.Log.
type Log struct {
	client *bigtable.Client
	table  *bigtable.Table

	use    sync.RWMutex // held for reading by every call, so that Close waits for them
	closed bool
}

var _ cms.Log = (*Log)(nil)

// New is the table called TableName of the client's instance. Close closes the client.
func New(client *bigtable.Client) *Log {
	return &Log{client: client, table: client.Open(TableName)}
}

// Create makes the table in an instance that lacks it, and is content where it is there: for emulators. In
// production deployment makes it.
func Create(ctx context.Context, admin *bigtable.AdminClient) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := admin.CreateTableFromConf(ctx, &bigtable.TableConf{
		TableID:  TableName,
		Families: map[string]bigtable.GCPolicy{Family: bigtable.MaxVersionsPolicy(1)},
	})
	if err != nil && status.Code(err) != codes.AlreadyExists {
		return fmt.Errorf("creating table %s: %w", TableName, err)
	}
	return nil
}

// entryKey sorts as the numbers do.
func entryKey(seq int64) string { return fmt.Sprintf("%s%019d", entries, seq) }

// call runs do while the log is open, with a deadline.
func (l *Log) call(ctx context.Context, doing string, do func(context.Context) error) error {
	l.use.RLock()
	defer l.use.RUnlock()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := ctx.Err()
	if l.closed {
		err = cms.ErrClosed
	}
	if err == nil {
		err = do(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

func cell(data []byte) (*bigtable.Mutation, error) {
	if len(data) > cms.MaxEntry {
		return nil, fmt.Errorf("want at most %d bytes", cms.MaxEntry)
	}
	m := bigtable.NewMutation()
	m.Set(Family, column, bigtable.Now(), data)
	return m, nil
}

// Append writes the entry's row if the row has no cell. The client never tries a conditional mutation again by
// itself.
func (l *Log) Append(ctx context.Context, seq int64, data []byte) error {
	return l.call(ctx, "appending to the CMS log", func(ctx context.Context) error {
		write, err := cell(data)
		if err != nil {
			return err
		}
		var taken bool
		absent := bigtable.NewCondMutation(bigtable.CellsPerRowLimitFilter(1), nil, write)
		if err := l.table.Apply(ctx, entryKey(seq), absent, bigtable.GetCondMutationResult(&taken)); err != nil {
			return err
		}
		if taken {
			return cms.ErrTaken
		}
		return nil
	})
}

// Read streams the rows.
func (l *Log) Read(ctx context.Context, from int64, limit int) ([][]byte, error) {
	var found [][]byte
	err := l.call(ctx, "reading the CMS log", func(ctx context.Context) error {
		if limit <= 0 {
			return nil // Bigtable takes 0 as no limit
		}
		return l.table.ReadRows(ctx, bigtable.NewRange(entryKey(from), afterEntries), func(r bigtable.Row) bool {
			found = append(found, r[Family][0].Value)
			return true
		}, bigtable.RowFilter(bigtable.LatestNFilter(1)), bigtable.LimitRows(int64(limit)))
	})
	return found, err
}

// SaveState replaces the row of the state.
func (l *Log) SaveState(ctx context.Context, data []byte) error {
	return l.call(ctx, "saving the CMS log's state", func(ctx context.Context) error {
		write, err := cell(data)
		if err != nil {
			return err
		}
		return l.table.Apply(ctx, stateKey, write)
	})
}

// LoadState reads the row of the state.
func (l *Log) LoadState(ctx context.Context) (data []byte, err error) {
	err = l.call(ctx, "loading the CMS log's state", func(ctx context.Context) error {
		row, err := l.table.ReadRow(ctx, stateKey, bigtable.RowFilter(bigtable.LatestNFilter(1)))
		if err == nil && len(row[Family]) > 0 {
			data = row[Family][0].Value
		}
		return err
	})
	return data, err
}

// Close closes the client.
func (l *Log) Close() error {
	l.use.Lock()
	defer l.use.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	if err := l.client.Close(); err != nil {
		return fmt.Errorf("closing the Bigtable client: %w", err)
	}
	return nil
}
