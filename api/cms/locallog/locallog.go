// Package locallog keeps the log of the CMS on one machine, in a Pebble database of its own directory.
package locallog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"homefeed/api/cms"
)

// memory is the bytes of entries that are held before they are written to a sorted file: a log of what people do by
// hand is small.
const memory = 4 << 20

// Options says how a log is kept.
type Options struct {
	Logger *slog.Logger // for what Pebble has to say; nil: nothing is logged
	// FS holds the files; nil means the disk. A test can pass one in memory.
	FS vfs.FS
}

// Log is a cms.Log. One process at a time may have its directory open.
type Log struct {
	use    sync.RWMutex // held for reading by every call, so that Close waits for them
	append sync.Mutex   // an entry is looked for and written by one at a time
	db     *pebble.DB
	closed bool
}

var _ cms.Log = (*Log)(nil)

// Open opens the log in dir, or makes it. It fails if another process has it open. Acknowledged entries of a process
// that was killed are there. The caller closes it.
func Open(dir string, o Options) (*Log, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	db, err := pebble.Open(dir, &pebble.Options{
		FS:           o.FS,
		Logger:       logger{o.Logger},
		MemTableSize: memory,
		CacheSize:    memory,
		// Named, so that a newer Pebble doesn't change the files by itself and lock out the older release.
		FormatMajorVersion: pebble.FormatTableFormatV6,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the CMS log in %s: %w", dir, err)
	}
	return &Log{db: db}, nil
}

var stateKey = []byte("s")

// entryKey sorts as the numbers do.
func entryKey(seq int64) []byte {
	return binary.BigEndian.AppendUint64([]byte("e"), uint64(seq))
}

// call runs do while the log is open.
func (l *Log) call(ctx context.Context, doing string, do func() error) error {
	l.use.RLock()
	defer l.use.RUnlock()
	err := ctx.Err()
	if l.closed {
		err = cms.ErrClosed
	}
	if err == nil {
		err = do()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// Append writes the entry and returns when it is synced.
func (l *Log) Append(ctx context.Context, seq int64, data []byte) error {
	return l.call(ctx, "appending to the CMS log", func() error {
		if len(data) > cms.MaxEntry {
			return fmt.Errorf("want at most %d bytes", cms.MaxEntry)
		}
		l.append.Lock()
		defer l.append.Unlock()
		switch found, err := l.get(entryKey(seq)); {
		case err != nil:
			return err
		case found != nil:
			return cms.ErrTaken
		}
		return l.db.Set(entryKey(seq), data, pebble.Sync)
	})
}

// get is nil without an error when there is nothing.
func (l *Log) get(key []byte) ([]byte, error) {
	value, closer, err := l.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return append([]byte{}, value...), nil
}

// Read reads a snapshot of the log.
func (l *Log) Read(ctx context.Context, from int64, limit int) ([][]byte, error) {
	var entries [][]byte
	err := l.call(ctx, "reading the CMS log", func() error {
		it, err := l.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: entryKey(from), UpperBound: []byte("f")})
		if err != nil {
			return err
		}
		for ok := it.First(); ok && len(entries) < limit; ok = it.Next() {
			entries = append(entries, slices.Clone(it.Value()))
		}
		return it.Close() // with what went wrong on the way, if anything did
	})
	return entries, err
}

// SaveState needs no sync: what is lost is made again.
func (l *Log) SaveState(ctx context.Context, data []byte) error {
	return l.call(ctx, "saving the CMS log's state", func() error {
		if len(data) > cms.MaxEntry {
			return fmt.Errorf("want at most %d bytes", cms.MaxEntry)
		}
		return l.db.Set(stateKey, data, pebble.NoSync)
	})
}

// LoadState reads what was saved.
func (l *Log) LoadState(ctx context.Context) (data []byte, err error) {
	err = l.call(ctx, "loading the CMS log's state", func() (err error) {
		data, err = l.get(stateKey)
		return err
	})
	return data, err
}

// Close waits for calls in progress and closes the files.
func (l *Log) Close() error {
	l.use.Lock()
	defer l.use.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	if err := l.db.Close(); err != nil {
		return fmt.Errorf("closing the CMS log: %w", err)
	}
	return nil
}

// logger hands on what Pebble says.
type logger struct{ log *slog.Logger }

func (l logger) Infof(format string, args ...any) {
	l.log.Debug("pebble: " + fmt.Sprintf(format, args...))
}

func (l logger) Errorf(format string, args ...any) {
	l.log.Error("pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf ends the process, as Pebble demands: the log can't be written, so nothing could be acknowledged.
func (l logger) Fatalf(format string, args ...any) {
	l.log.Error("pebble: the process ends: " + fmt.Sprintf(format, args...))
	os.Exit(1)
}
