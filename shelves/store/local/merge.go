package local

import (
	"bytes"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// newMerger makes the operator with which Pebble joins what was written to a row, while it reads and while it
// compacts. Its name is kept on disk: a directory written by another format is refused at Open.
func newMerger() *pebble.Merger {
	pool := &sync.Pool{New: func() any { return &merge{} }}
	return &pebble.Merger{
		Name: "homefeed.row.v1",
		Merge: func(_, value []byte) (pebble.ValueMerger, error) {
			m := pool.Get().(*merge)
			m.pool = pool
			m.row = append(m.row[:0], value...)
			return m, nil
		},
	}
}

// merge joins rows one by one. Two buffers take turns, because the engine keeps the bytes that it hands in.
type merge struct {
	pool       *sync.Pool
	row, spare []byte
}

func (m *merge) MergeNewer(value []byte) error { return m.join(m.row, value) }
func (m *merge) MergeOlder(value []byte) error { return m.join(value, m.row) }

func (m *merge) join(older, newer []byte) error {
	joined, err := joinRows(m.spare[:0], older, newer)
	if err != nil {
		return err
	}
	m.row, m.spare = joined, m.row
	return nil
}

// maxPooled keeps the buffers of a few huge rows from staying in memory for ever.
const maxPooled = 1 << 20

// Finish hands the row out until the closer is closed.
func (m *merge) Finish(bool) ([]byte, io.Closer, error) {
	if cap(m.row)+cap(m.spare) > maxPooled {
		return bytes.Clone(m.row), nil, nil
	}
	return m.row, m, nil
}

// Close takes the buffers back.
func (m *merge) Close() error {
	m.pool.Put(m)
	return nil
}
