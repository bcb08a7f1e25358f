package erasures_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"homefeed/services/songsplayed/erasures"
)

// table is sorted keys in memory.
type table struct {
	mu      sync.Mutex
	keys    [][]byte
	visited int
	err     error
}

func (t *table) put(key []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, _ := slices.BinarySearchFunc(t.keys, key, bytes.Compare)
	t.keys = slices.Insert(t.keys, at, key)
}

func (t *table) Scan(_ context.Context, from, to []byte, limit int, visit func(key []byte) bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, k := range t.keys {
		if bytes.Compare(k, from) < 0 || bytes.Compare(k, to) >= 0 {
			continue
		}
		t.visited++
		if n++; n > limit || !visit(k) {
			break
		}
	}
	return t.err
}

// TestIndex holds that every erasure is known after Update, whatever server did it and whatever its clock says within
// reason, that hardly anybody else is, and that old ones are not read again and again.
func TestIndex(t *testing.T) {
	clock := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	rows := &table{}
	const many = 25_000
	for i := range many { // the newest first, which is their order
		rows.put(erasures.Key(fmt.Sprintf("user-%d", i), clock.Add(-time.Hour).UnixMilli()-int64(i)))
	}
	x := erasures.New(rows, func() time.Time { return clock })
	if x.MayHave("user-1") {
		t.Error("something is known before Update")
	}
	update := func() {
		t.Helper()
		if err := x.Update(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	update()
	for i := range many {
		if !x.MayHave(fmt.Sprintf("user-%d", i)) {
			t.Fatalf("user-%d is not known", i)
		}
	}
	wrong := 0
	for i := range many {
		if x.MayHave(fmt.Sprintf("other-%d", i)) {
			wrong++
		}
	}
	if wrong > many/1000 {
		t.Errorf("%d of %d others are taken for erased", wrong, many)
	}
	for i, apart := range []time.Duration{0, -9 * time.Minute, 9 * time.Minute} {
		rows.visited = 0
		user := fmt.Sprintf("late-%d", i)
		rows.put(erasures.Key(user, clock.Add(apart).UnixMilli()))
		update()
		if !x.MayHave(user) {
			t.Errorf("an erasure by a clock %v apart is not known", apart)
		}
		if rows.visited > i+2 {
			t.Errorf("%d rows were read for one that is new", rows.visited)
		}
	}
	clock = clock.Add(-time.Minute) // a clock that is set back
	rows.put(erasures.Key("back", clock.UnixMilli()))
	update()
	if !x.MayHave("back") {
		t.Error("after the clock was set back")
	}
}

func TestUpdateFails(t *testing.T) {
	away := errors.New("away")
	rows := &table{err: away}
	x := erasures.New(rows, time.Now)
	if err := x.Update(t.Context()); !errors.Is(err, away) {
		t.Errorf("%v, want the table's error", err)
	}
	for _, key := range []string{"e#", "e#123", "e#0000000000000-ann", "e#0000000000000#"} {
		x := erasures.New(&table{keys: [][]byte{[]byte(key)}}, time.Now)
		if err := x.Update(t.Context()); err == nil {
			t.Errorf("%q was taken", key)
		}
	}
}
