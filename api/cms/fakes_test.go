package cms_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"homefeed/api/apierror"
	"homefeed/api/cms"
	"homefeed/api/cms/logtest"
	"homefeed/api/placement"
)

// memory is a cms.Log that a test can make fail.
type memory struct {
	mu      sync.Mutex
	entries [][]byte
	state   []byte
	closed  bool
	down    error // what every call fails with
	reads   int   // entries that were read
}

func (m *memory) call(ctx context.Context, do func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return cms.ErrClosed
	case m.down != nil:
		return m.down
	case ctx.Err() != nil:
		return ctx.Err()
	}
	do()
	return nil
}

func (m *memory) Append(ctx context.Context, seq int64, data []byte) error {
	var err error
	called := m.call(ctx, func() {
		switch {
		case len(data) > cms.MaxEntry:
			err = errors.New("too large")
		case seq <= int64(len(m.entries)):
			err = cms.ErrTaken
		default:
			m.entries = append(m.entries, append([]byte{}, data...))
		}
	})
	return errors.Join(called, err)
}

func (m *memory) Read(ctx context.Context, from int64, limit int) ([][]byte, error) {
	var found [][]byte
	err := m.call(ctx, func() {
		for i := from - 1; i < int64(len(m.entries)) && len(found) < limit; i++ {
			found = append(found, append([]byte{}, m.entries[i]...))
		}
		m.reads += len(found)
	})
	return found, err
}

func (m *memory) SaveState(ctx context.Context, data []byte) error {
	if len(data) > cms.MaxEntry {
		return errors.New("too large")
	}
	return m.call(ctx, func() { m.state = append([]byte{}, data...) })
}

func (m *memory) LoadState(ctx context.Context) (data []byte, err error) {
	err = m.call(ctx, func() { data = m.state })
	return data, err
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
}

func TestContract(t *testing.T) { logtest.Run(t, func(*testing.T) cms.Log { return &memory{} }) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func desk(t *testing.T, log cms.Log) *cms.Desk {
	t.Helper()
	d, err := cms.NewDesk(cms.Config{Log: log, Start: document("start"), Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// document places the shelves, in this order.
func document(shelves ...string) placement.Placements {
	var p placement.Placements
	for _, s := range shelves {
		p.Shelves = append(p.Shelves, placement.Placement{Shelf: s})
	}
	return p
}

// reason is the ErrorInfo's reason of an error, "" for none.
func reason(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var e *apierror.Error
	if !errors.As(err, &e) {
		t.Fatalf("an error without a reason: %v", err)
	}
	return e.Reason
}
