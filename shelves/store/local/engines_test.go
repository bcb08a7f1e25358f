package local_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/bbolt"

	"homefeed/shelves/store"
	"homefeed/shelves/store/local"
)

// engine is what BenchmarkEngines compares: durable writes of a few cells, and reads of the newest generation.
type engine interface {
	write(key store.Key, cells []store.Cell) error
	read(key store.Key) (shelves, size int, err error)
	close() error
}

// engines are the package's own layout (a row is one key, joined by a merge operator) and the two it was
// chosen over: a key a cell in Pebble, and a key a cell in bbolt.
var engines = []struct {
	name string
	open func(dir string, writers int) (engine, error)
}{
	{"pebble-row", openRows},
	{"pebble-cell", openCells},
	{"bbolt-cell", openBolt},
}

type rows struct{ s *local.Store }

func openRows(dir string, _ int) (engine, error) {
	s, err := local.Open(local.Config{Dir: dir})
	return rows{s}, err
}

func (e rows) write(key store.Key, cells []store.Cell) error {
	return e.s.Write(benchContext, key, cells...)
}

func (e rows) read(key store.Key) (shelves, size int, err error) {
	row, err := e.s.Read(benchContext, key, 1)
	for _, c := range row.Cells {
		size += len(c.Data)
	}
	return len(row.Cells), size, err
}

func (e rows) close() error { return e.s.Close() }

// A cell's key is row, 0, shelf, 0, and the as-of so that the newest comes first.
func cellKey(key store.Key, c store.Cell) []byte {
	return binary.BigEndian.AppendUint64(append(columnPrefix(key, c.Shelf), 0), ^uint64(c.AsOf.UnixMilli()))
}

func columnPrefix(key store.Key, shelf string) []byte {
	return append(append([]byte(key), 0), shelf...)
}

func rowBounds(key store.Key) (lower, upper []byte) {
	return append([]byte(key), 0), append([]byte(key), 1)
}

// newestOnly counts what a scan over the cells of a row shows of the newest generation.
type newestOnly struct {
	column        []byte
	shelves, size int
	data          []byte
}

func (n *newestOnly) see(key, value []byte) {
	column := key[:len(key)-8]
	if !bytes.Equal(n.column, column) {
		n.column = append(n.column[:0], column...)
		n.shelves++
		n.size += len(value)
		if n.data == nil {
			n.data = make([]byte, 0, 32<<10) // a caller keeps what it reads
		}
		n.data = append(n.data, value...)
	}
}

type cells struct{ db *pebble.DB }

func openCells(dir string, _ int) (engine, error) {
	byRow := *pebble.DefaultComparer
	byRow.Name = "by-row"
	byRow.Split = func(key []byte) int { return bytes.IndexByte(key, 0) + 1 }
	o := &pebble.Options{
		Comparer: &byRow, CacheSize: 64 << 20, FS: vfs.Default, FormatMajorVersion: pebble.FormatNewest,
		Logger: quiet{}, MemTableSize: 16 << 20, MemTableStopWritesThreshold: 4, L0CompactionThreshold: 2,
	}
	for i := range o.Levels {
		o.Levels[i].BlockSize = 32 << 10
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	db, err := pebble.Open(dir, o)
	return cells{db}, err
}

type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// write sets the cells and trims the generations that are too many.
func (e cells) write(key store.Key, cs []store.Cell) error {
	batch := e.db.NewBatch()
	defer batch.Close()
	it, err := e.scan(key)
	if err != nil {
		return err
	}
	older := map[string]int{}
	for ok := it.First(); ok; ok = it.Next() {
		column := string(it.Key()[:len(it.Key())-8])
		if older[column]++; older[column] >= store.Versions {
			err = errors.Join(err, batch.Delete(it.Key(), nil))
		}
	}
	for _, c := range cs {
		err = errors.Join(err, batch.Set(cellKey(key, c), c.Data, nil))
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return err
	}
	return batch.Commit(pebble.Sync)
}

func (e cells) scan(key store.Key) (*pebble.Iterator, error) {
	lower, upper := rowBounds(key)
	return e.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
}

func (e cells) read(key store.Key) (shelves, size int, err error) {
	it, err := e.scan(key)
	if err != nil {
		return 0, 0, err
	}
	var n newestOnly
	prefix, _ := rowBounds(key)
	for ok := it.SeekPrefixGE(prefix); ok; ok = it.Next() {
		n.see(it.Key(), it.Value())
	}
	return n.shelves, n.size, it.Close()
}

func (e cells) close() error { return e.db.Close() }

var bucket = []byte("home")

type bolt struct {
	db     *bbolt.DB
	commit func(func(*bbolt.Tx) error) error
}

func openBolt(dir string, writers int) (engine, error) {
	db, err := bbolt.Open(filepath.Join(dir, "rows.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	db.MaxBatchDelay = time.Millisecond
	e := bolt{db, db.Batch}
	if writers == 1 {
		e.commit = db.Update
	}
	return e, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
}

func (e bolt) write(key store.Key, cs []store.Cell) error {
	return e.commit(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucket)
		for _, c := range cs {
			if err := b.Put(cellKey(key, c), c.Data); err != nil {
				return err
			}
			column := append(columnPrefix(key, c.Shelf), 0)
			at, n := b.Cursor(), 0
			for k, _ := at.Seek(column); bytes.HasPrefix(k, column); k, _ = at.Next() {
				if n++; n > store.Versions {
					if err := at.Delete(); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

func (e bolt) read(key store.Key) (shelves, size int, err error) {
	var n newestOnly
	prefix, _ := rowBounds(key)
	err = e.db.View(func(tx *bbolt.Tx) error {
		at := tx.Bucket(bucket).Cursor()
		for k, v := at.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = at.Next() {
			n.see(k, v)
		}
		return nil
	})
	return n.shelves, n.size, err
}

func (e bolt) close() error { return e.db.Close() }
