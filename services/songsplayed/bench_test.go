//go:build unix

package songsplayed_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"homefeed/pipeline/event"
	"homefeed/services/songsplayed"
	"homefeed/services/songsplayed/localtable"
	"homefeed/services/songsplayed/songsplayedpb"
)

// playsOf is n plays by 10,000 listeners, none twice.
func playsOf(first, n int) []event.Event {
	events := make([]event.Event, n)
	for i := range events {
		k := first + i
		events[i] = event.Event{
			ID: "e", Kind: event.Played, User: fmt.Sprintf("listener-%d", k*7919%10_000),
			Object: fmt.Sprintf("track-%d", k*104_729%50_000), Time: at(1_750_000_000_000 + int64(k)*20),
		}
	}
	return events
}

// cpu is what the process has used, with what Pebble does in the background.
func cpu(b *testing.B) time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func diskTable(b *testing.B) *localtable.Table {
	b.Helper()
	table, err := localtable.Open(b.TempDir(), localtable.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := table.Close(); err != nil {
			b.Error(err)
		}
	})
	return table
}

// BenchmarkRecord records batches on disk, durably, one after the other: "service" calls the server, and "client" is
// all there is between the pipeline and the disk. Run it with -cpu 1 for the rate of one core.
func BenchmarkRecord(b *testing.B) {
	for _, size := range []int{1000, 4000} {
		b.Run(fmt.Sprintf("service/batch=%d", size), func(b *testing.B) {
			server, err := songsplayed.NewServer(songsplayed.Options{Table: diskTable(b)})
			if err != nil {
				b.Fatal(err)
			}
			benchmarkRecord(b, size, func(events []event.Event) error {
				req := &songsplayedpb.RecordRequest{Actions: make([]*songsplayedpb.Action, len(events))}
				for i, e := range events {
					req.Actions[i] = &songsplayedpb.Action{
						Kind: songsplayedpb.Kind_KIND_PLAYED, User: e.User, Object: e.Object, TimeMs: e.Time.UnixMilli(),
					}
				}
				_, err := server.Record(context.Background(), req)
				return err
			})
		})
		b.Run(fmt.Sprintf("client/batch=%d", size), func(b *testing.B) {
			client := songsplayed.NewClient(connect(b, songsplayed.Options{Table: diskTable(b)}))
			benchmarkRecord(b, size, func(events []event.Event) error { return client.Record(context.Background(), events) })
		})
	}
}

func benchmarkRecord(b *testing.B, size int, record func([]event.Event) error) {
	b.ReportAllocs()
	actions := 0
	used := time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		events := playsOf(actions, size)
		before := cpu(b)
		b.StartTimer()
		if err := record(events); err != nil {
			b.Fatal(err)
		}
		used += cpu(b) - before
		actions += size
	}
	b.ReportMetric(float64(actions)/b.Elapsed().Seconds(), "actions/s")
	b.ReportMetric(float64(used.Nanoseconds())/float64(actions), "cpu-ns/action")
}

// BenchmarkRead asks what shelves ask, of a listener with 2,000 plays of 500 tracks among many others; "most" is of
// one with as many plays as a call reads, of 50,000 tracks.
func BenchmarkRead(b *testing.B) {
	conn := connect(b, songsplayed.Options{Table: diskTable(b), ArtistsOf: songsplayed.ArtistsFrom(catalogue{})})
	record(b, conn, playsOf(0, 200_000)...)
	mine := make([]event.Event, 2000)
	for i := range mine {
		mine[i] = happened(event.Played, "ann", fmt.Sprintf("t%d", i*i%500), 1_750_000_000_000+int64(i)*180_000)
	}
	record(b, conn, mine...)
	most := make([]event.Event, songsplayed.MaxScan)
	for i := range most {
		most[i] = happened(event.Played, "bob", fmt.Sprintf("t%d", i*7919%50_000), 1_750_000_000_000+int64(i)*180_000)
	}
	record(b, conn, most...)
	client := songsplayed.NewClient(conn)
	listener := client.For("ann", at(1_760_000_000_000))
	for name, ask := range map[string]func(context.Context) (int, error){
		"TopTracks/most": func(ctx context.Context) (int, error) {
			list, err := client.For("bob", at(1_800_000_000_000)).TopTracks(ctx, 0, 20)
			return len(list), err
		},
		"Recent": func(ctx context.Context) (int, error) {
			list, err := listener.Recent(ctx, 20)
			return len(list), err
		},
		"TopTracks": func(ctx context.Context) (int, error) {
			list, err := listener.TopTracks(ctx, 0, 20)
			return len(list), err
		},
		"TopArtists": func(ctx context.Context) (int, error) {
			list, err := listener.TopArtists(ctx, 0, 20)
			return len(list), err
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if n, err := ask(context.Background()); err != nil || n == 0 {
					b.Fatal(n, err)
				}
			}
		})
	}
}
