package refresh_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"homefeed/pipeline/bus"
	buslocal "homefeed/pipeline/bus/local"
	"homefeed/pipeline/trigger"
	"homefeed/shelves"
	"homefeed/shelves/refresh"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelftest"
	storelocal "homefeed/shelves/store/local"
)

// counted closes done once n deliveries are acked.
type counted struct {
	bus.Subscription
	left atomic.Int64
	done chan struct{}
}

func (c *counted) Ack(ctx context.Context, ds ...bus.Delivery) error {
	err := c.Subscription.Ack(ctx, ds...)
	if err == nil && c.left.Add(-int64(len(ds))) <= 0 {
		select {
		case <-c.done:
		default:
			close(c.done)
		}
	}
	return err
}

// TestRunOnTheRealBusAndStore stops the process half way and has the next one do the rest.
func TestRunOnTheRealBusAndStore(t *testing.T) {
	const listeners, triggers = 20, 10
	dir := t.TempDir()
	world := &shelftest.World{Plays: shelftest.Played("mozart.k525", "haydn.h104", "mozart.k525")}
	config := func(rows refresh.Rows, letters bus.Publisher) refresh.Config {
		return refresh.Config{
			Shelves: shelves.All(), Store: rows, DeadLetters: letters,
			Plays:   func(_ string, asOf time.Time) shelf.SongsPlayed { return world.SongsPlayed(asOf) },
			Vectors: world.Word2Vec(), Catalog: world.Catalog(), Concurrency: 4, MaxHeld: 16,
		}
	}
	// process works until at least so many deliveries are acked, stops, and says how many were.
	process := func(least int, prepare func(*buslocal.Bus)) int {
		b, err := buslocal.Open(t.Context(), buslocal.Options{Dir: dir + "/bus"})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		rows, err := storelocal.Open(storelocal.Config{Dir: dir + "/rows"})
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		prepare(b)
		sub, err := b.Subscribe(t.Context(), "refresh", []string{trigger.Topic}, buslocal.SubscriptionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Close()
		c := &counted{Subscription: sub, done: make(chan struct{})}
		c.left.Store(int64(least))
		r, err := refresh.New(config(rows, b))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx, c) }()
		select {
		case <-c.done:
		case <-time.After(time.Minute):
			t.Errorf("%d triggers are not acked after a minute", c.left.Load())
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		return least - int(c.left.Load())
	}
	done := process(listeners*triggers/2, func(b *buslocal.Bus) {
		for i := range listeners * triggers {
			tr := due(fmt.Sprintf("user%d", i%listeners), time.Duration(i%3)*time.Minute, "recently_played", "heavy_rotation")
			tr.Due[0].Count = int64(i) // no two are the same
			tr = tr.WithID()
			data, err := trigger.Encode(tr)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Publish(t.Context(), trigger.Topic, bus.Message{ID: tr.ID, Key: tr.Key(), Data: data}); err != nil {
				t.Fatal(err)
			}
		}
	})
	if left := listeners*triggers - done; left > 0 {
		done += process(left, func(*buslocal.Bus) {})
	}
	if done != listeners*triggers {
		t.Errorf("%d deliveries acked, want each of the %d triggers once", done, listeners*triggers)
	}
	rows, err := storelocal.Open(storelocal.Config{Dir: dir + "/rows"})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for i := range listeners {
		row, err := rows.Read(t.Context(), userKey(t, fmt.Sprintf("user%d", i)), 1)
		if err != nil || len(row.Cells) != 2 {
			t.Fatalf("user%d: %v, %d cells; want 2", i, err, len(row.Cells))
		}
		for _, c := range row.Cells {
			if !c.AsOf.Equal(shelftest.Noon) || len(decode(t, c).URIs) != 2 {
				t.Errorf("user%d: %s as of %v with %v", i, c.Shelf, c.AsOf, decode(t, c).URIs)
			}
		}
	}
}

// BenchmarkRefresh is a trigger of two shelves into the local store, four at a time; clients answer from memory.
func BenchmarkRefresh(b *testing.B) {
	rows, err := storelocal.Open(storelocal.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	f := newFixture()
	f.cfg.Store = rows
	r, err := refresh.New(f.cfg)
	if err != nil {
		b.Fatal(err)
	}
	var user atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Refresh(b.Context(), due(fmt.Sprintf("user%d", user.Add(1)%1000), 0, "recently_played", "heavy_rotation")); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
