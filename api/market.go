package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"homefeed/shelves/store"
)

// markets keeps the rows of markets in memory, because every Home of a market shows the same one: the first Home
// waits for the read, later ones take what is there while one goroutine reads again. Its size is bounded by the
// valid market codes (676 and the world's).
type markets struct {
	read func(ctx context.Context, key store.Key) (store.Row, error) // has a deadline of its own
	now  func() time.Time
	soft time.Duration // a row older than this is read again in the background; also the pause after a failure
	hard time.Duration // a row older than this is not shown: nobody has asked for long

	ctx     context.Context // of the reads
	stop    context.CancelFunc
	running sync.WaitGroup // the reads

	mu   sync.Mutex
	rows map[store.Key]*marketRow
}

type marketRow struct {
	row     store.Row
	at      time.Time     // when row was read; zero: never
	tried   time.Time     // when a read last ended
	err     error         // of the last read
	reading chan struct{} // closed when the read under way ends; nil: none is
}

var errClosed = errors.New("the API is closed")

func newMarkets(soft time.Duration, now func() time.Time, read func(context.Context, store.Key) (store.Row, error)) *markets {
	m := &markets{read: read, now: now, soft: soft, hard: 20 * soft, rows: map[store.Key]*marketRow{}}
	m.ctx, m.stop = context.WithCancel(context.Background())
	return m
}

// get is the market's row. Its error is the store's or ctx's.
func (m *markets) get(ctx context.Context, key store.Key) (store.Row, error) {
	now := m.now()
	m.mu.Lock()
	kept := m.rows[key]
	if kept == nil {
		kept = new(marketRow)
		m.rows[key] = kept
	}
	if now.Sub(kept.at) > m.soft && now.Sub(kept.tried) > m.soft && kept.reading == nil {
		if m.ctx.Err() != nil {
			m.mu.Unlock()
			return store.Row{}, errClosed
		}
		kept.reading = make(chan struct{})
		m.running.Go(func() { m.again(key, kept) })
	}
	row, usable, err, reading := kept.row, now.Sub(kept.at) <= m.hard, kept.err, kept.reading
	m.mu.Unlock()
	switch {
	case usable:
		return row, nil
	case reading == nil: // it failed a moment ago
		return store.Row{}, err
	}
	select {
	case <-reading:
	case <-ctx.Done():
		return store.Row{}, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if kept.err != nil {
		return store.Row{}, kept.err
	}
	return kept.row, nil
}

// again reads once. When that fails the older row stays until it is too old.
func (m *markets) again(key store.Key, kept *marketRow) {
	row, err := m.guarded(key)
	m.mu.Lock()
	defer m.mu.Unlock()
	kept.tried, kept.err = m.now(), err
	if err == nil {
		kept.row, kept.at = row, kept.tried
	}
	close(kept.reading)
	kept.reading = nil
}

func (m *markets) guarded(key store.Key) (row store.Row, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reading market row: panic: %v", p)
		}
	}()
	return m.read(m.ctx, key)
}

// close ends the reads and waits for them.
func (m *markets) close() {
	m.mu.Lock()
	m.stop()
	m.mu.Unlock()
	m.running.Wait()
}
