package local_test

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"homefeed/shelves/store"
)

var benchContext = context.Background()

// The workload: a refresh makes 8 of a listener's 12 shelves again, some 2.5 KB each; Home reads all 12.
const (
	homeShelves    = 12
	refreshShelves = 8
	cellBytes      = 2500
	loaded         = 2000 // listeners, with store.Versions generations of every shelf
)

// BenchmarkEngines is the measurement that chose the engine; README.md has its figures and the command.
func BenchmarkEngines(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			for _, writers := range []int{1, 32} {
				b.Run(fmt.Sprintf("write/writers=%d", writers), func(b *testing.B) {
					eng := open(b, e.open, b.TempDir(), writers)
					defer shut(b, eng)
					run(b, writers, func(rnd *rand.Rand, i int64) error {
						return eng.write(benchKey(rnd.IntN(10*loaded)), benchCells(rnd, refreshShelves, i))
					})
				})
			}
			dir := b.TempDir()
			out, kill := child(b, "load", e.name, dir)
			if line, err := out.ReadString('\n'); err != nil {
				b.Fatalf("loading: %q, %v", line, err)
			}
			kill()
			b.Run("reopen", func(b *testing.B) { reopen(b, e.open, dir) })
			eng := open(b, e.open, dir, 32)
			defer shut(b, eng)
			for _, readers := range []int{1, 8} {
				for _, of := range []int{loaded / 5, loaded} {
					b.Run(fmt.Sprintf("read/listeners=%d/readers=%d", of, readers), func(b *testing.B) {
						run(b, readers, func(rnd *rand.Rand, _ int64) error { return readHome(eng, rnd, of) })
					})
				}
			}
			b.Run("read-while-writing/readers=8", func(b *testing.B) { readWhileWriting(b, eng) })
		})
	}
}

func open(b *testing.B, open func(string, int) (engine, error), dir string, writers int) engine {
	b.Helper()
	eng, err := open(dir, writers)
	if err != nil {
		b.Fatal(err)
	}
	return eng
}

func shut(b *testing.B, eng engine) {
	b.Helper()
	if err := eng.close(); err != nil {
		b.Error(err)
	}
}

// run does b.N operations from n goroutines and reports their latency.
func run(b *testing.B, n int, op func(rnd *rand.Rand, i int64) error) {
	b.ReportAllocs()
	var next atomic.Int64
	took := make([]time.Duration, b.N)
	var wg sync.WaitGroup
	b.ResetTimer()
	for g := range n {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(g)))
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				start := time.Now()
				if err := op(rnd, i); err != nil {
					b.Error(err)
					return
				}
				took[i-1] = time.Since(start)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

func benchKey(n int) store.Key {
	key, err := store.UserKey(fmt.Sprintf("listener-%06d", n))
	if err != nil {
		panic(err) // the test's own mistake
	}
	return key
}

// noise is what cells are cut from; it can't be compressed, as encoded cards hardly can.
var noise = func() []byte {
	data := make([]byte, 1<<20)
	src := rand.NewChaCha8([32]byte{1})
	_, _ = src.Read(data) // never fails
	return data
}()

func benchCells(rnd *rand.Rand, shelves int, generation int64) []store.Cell {
	out := make([]store.Cell, shelves)
	for i := range out {
		at := rnd.IntN(len(noise) - cellBytes)
		out[i] = store.Cell{
			Shelf: fmt.Sprintf("shelf_number_%02d", i),
			AsOf:  time.UnixMilli(1_700_000_000_000 + generation),
			Data:  noise[at : at+cellBytes],
		}
	}
	return out
}

// load fills an engine as a running system would: many writers, generation after generation.
func load(eng engine) error {
	for generation := range int64(store.Versions) {
		var writers errgroup.Group
		for g := range 32 {
			writers.Go(func() error {
				rnd := rand.New(rand.NewPCG(uint64(generation), uint64(g)))
				for n := g; n < loaded; n += 32 {
					if err := eng.write(benchKey(n), benchCells(rnd, homeShelves, generation)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := writers.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func readHome(eng engine, rnd *rand.Rand, listeners int) error {
	shelves, size, err := eng.read(benchKey(rnd.IntN(listeners)))
	if err == nil && (shelves != homeShelves || size != homeShelves*cellBytes) {
		return fmt.Errorf("read %d shelves of %d bytes, want %d of %d", shelves, size, homeShelves, homeShelves*cellBytes)
	}
	return err
}

// readWhileWriting reads while two writers refresh the same listeners as fast as they can.
func readWhileWriting(b *testing.B, eng engine) {
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	var writes atomic.Int64
	for g := range 2 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(2, uint64(g)))
			for i := int64(100); ctx.Err() == nil; i++ {
				if err := eng.write(benchKey(rnd.IntN(loaded)), benchCells(rnd, refreshShelves, i)); err != nil {
					b.Error(err)
					return
				}
				writes.Add(1)
			}
		})
	}
	run(b, 8, func(rnd *rand.Rand, _ int64) error { return readHome(eng, rnd, loaded) })
	b.ReportMetric(float64(writes.Load())/b.Elapsed().Seconds(), "writes/s")
	cancel()
	wg.Wait()
}

// reopen opens, again and again, what a killed process left behind. Only the first opening repairs, so each is
// of a copy.
func reopen(b *testing.B, open func(string, int) (engine, error), killed string) {
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		if err := os.CopyFS(dir, os.DirFS(killed)); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		eng, err := open(dir, 1)
		b.StopTimer()
		if err != nil {
			b.Fatal(err)
		}
		shut(b, eng)
		b.StartTimer()
	}
	b.ReportMetric(float64(size(b, killed))/(loaded*homeShelves*store.Versions*cellBytes), "disk/data")
}

func size(t testing.TB, dir string) (total int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		total += info.Size()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}
