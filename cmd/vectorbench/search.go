//go:build unix

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix" // the Go project's own, for CPU time

	"homefeed/services/word2vec/ivf"
	"homefeed/services/word2vec/modelfile"
	"homefeed/services/word2vec/vectors"
)

type searchConfig struct {
	Dir     string
	Dim, K  int
	Recalls string
	Against string
	Rounds  int
	For     time.Duration
	out     io.Writer
}

// result is how one program did with one setting.
type result struct {
	name     string
	recall   float64
	perSec   float64
	cpu, mem float64 // CPU seconds and MB of the build
}

func (c *searchConfig) run(ctx context.Context) error {
	base, err := readNumbers[float32](filepath.Join(c.Dir, "base.f32"))
	if err != nil {
		return err
	}
	queries, err := readNumbers[float32](filepath.Join(c.Dir, "queries.f32"))
	if err != nil {
		return err
	}
	b := &bench{c, base, queries, nil}
	exact := ivf.Scan(c.Dim, base)
	if b.truth, err = b.answers(ctx, exact.Index, exact.Order); err != nil {
		return err
	}
	ours, err := b.allOurs(ctx)
	if err != nil {
		return err
	}
	var theirs []result
	if c.Against != "" {
		for range max(c.Rounds, 1) { // what else the machine does changes within seconds
			if theirs, err = fastest(theirs, func() ([]result, error) { return b.theirs(ctx) }); err != nil {
				return err
			}
			if ours, err = fastest(ours, func() ([]result, error) { return b.allOurs(ctx) }); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(c.out, "%d vectors of dimension %d, %d queries for %d each, one thread\n\n", len(base)/c.Dim, c.Dim, len(queries)/c.Dim, c.K)
	fmt.Fprintln(c.out, "| program | recall | queries/s | build CPU-s | MB | ours ÷ theirs at equal recall |\n|---|---|---|---|---|---|")
	for _, r := range theirs {
		fmt.Fprintf(c.out, "| %s | %.4f | %.0f | %.0f | %.0f | |\n", r.name, r.recall, r.perSec, r.cpu, r.mem)
	}
	for _, r := range ours {
		ratio := "" // theirs may not reach it, or start above it
		if at, ok := between(theirs, r.recall); ok {
			ratio = fmt.Sprintf("%.1f", r.perSec/at)
		}
		build := "" // it was there
		if r.cpu > 0 {
			build = fmt.Sprintf("%.0f", r.cpu)
		}
		fmt.Fprintf(c.out, "| %s | %.4f | %.0f | %s | %.0f | %s |\n", r.name, r.recall, r.perSec, build, r.mem, ratio)
	}
	return nil
}

// fastest searches all once more, and has of each what was faster.
func fastest(before []result, again func() ([]result, error)) ([]result, error) {
	all, err := again()
	if err != nil || len(all) != len(before) {
		return all, err
	}
	for i := range all {
		all[i].perSec, all[i].cpu = max(all[i].perSec, before[i].perSec), max(all[i].cpu, before[i].cpu)
	}
	return all, nil
}

type bench struct {
	*searchConfig
	base, queries []float32
	truth         [][]int32
}

// allOurs searches ours for each recall.
func (b *bench) allOurs(ctx context.Context) (all []result, err error) {
	for word := range strings.SplitSeq(b.Recalls, ",") {
		recall, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return nil, fmt.Errorf("-recalls: %q: want shares by commas", word)
		}
		both, err := b.ours(ctx, recall)
		if err != nil {
			return nil, err
		}
		all = append(all, both...)
	}
	return all, nil
}

// ours searches the model that was built for a recall by an earlier run, or builds it and keeps it for the next; and
// searches it again without the codes.
func (b *bench) ours(ctx context.Context, recall float64) ([]result, error) {
	path := filepath.Join(b.Dir, fmt.Sprintf("ours-%v%s", recall, modelfile.Extension))
	cpu, err := b.build(ctx, path, recall)
	if err != nil {
		return nil, err
	}
	start := cpuSeconds()
	m, err := modelfile.Open(path)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	opened := cpuSeconds() - start
	order := make([]int, m.Len())
	for row := range order {
		if order[row], err = strconv.Atoi(strings.TrimPrefix(m.ID(row), "track")); err != nil {
			return nil, err
		}
	}
	name := fmt.Sprintf("ours, asked for %v: %d lists, %d probes by %d of %d cells, opened in %.2f CPU-s", recall, m.Lists(), m.Probes[0],
		m.CellProbes[0], len(m.CellStarts)-1, opened)
	coded, err := b.search(ctx, name, m.Index, order)
	if err != nil {
		return nil, err
	}
	plain := &ivf.Index{
		Dim: m.Dim, Vectors: m.Index.Vectors, Centroids: m.Centroids, Starts: m.Starts, Probes: m.Probes,
		Cells: m.Cells, CellStarts: m.CellStarts, CellProbes: m.CellProbes,
	}
	uncoded, err := b.search(ctx, "the same without codes", plain, order)
	coded.cpu = cpu
	return []result{coded, uncoded}, err
}

// build makes the model unless it is there, and returns the CPU seconds of that.
func (b *bench) build(ctx context.Context, path string, recall float64) (cpu float64, err error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	v, err := vectors.Load(filepath.Join(b.Dir, "base.bin"))
	if err != nil {
		return 0, err
	}
	start := cpuSeconds()
	err = modelfile.Save(ctx, path, v, modelfile.Options{Index: ivf.Options{Recall: recall}})
	return cpuSeconds() - start, err
}

// search times the best of some rounds, at least three, on one thread: one that others took the processor from says
// nothing.
func (b *bench) search(ctx context.Context, name string, x *ivf.Index, order []int) (result, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	r := result{name: name, mem: float64(4*(len(x.Vectors)+len(x.Scales)+len(x.Centroids)+len(x.Cells)+len(x.Starts)+len(x.CellStarts))+len(x.Codes)+len(x.CentroidCodes)) / 1e6}
	began := time.Now()
	for n := 0; n < 3 || time.Since(began) < b.For; n++ {
		start := time.Now()
		found, err := b.answers(ctx, x, order)
		if err != nil {
			return r, err
		}
		r.perSec = max(r.perSec, float64(len(found))/time.Since(start).Seconds())
		r.recall = b.recall(found) // the same in each round
	}
	return r, nil
}

// answers is the neighbours of each query, one after the other.
func (b *bench) answers(ctx context.Context, x *ivf.Index, order []int) ([][]int32, error) {
	all := make([][]int32, len(b.queries)/b.Dim)
	for i := range all {
		hits, err := x.Search(ctx, ivf.Query{Vector: b.queries[i*b.Dim : (i+1)*b.Dim], K: b.K})
		if err != nil {
			return nil, err
		}
		all[i] = make([]int32, len(hits))
		for j, hit := range hits {
			all[i][j] = int32(order[hit.Row])
		}
	}
	return all, nil
}

func (b *bench) recall(found [][]int32) float64 {
	hits := 0
	for i, want := range b.truth {
		for _, at := range want {
			if slices.Contains(found[i], at) {
				hits++
			}
		}
	}
	return float64(hits) / float64(len(b.truth)*b.K)
}

// theirs runs the other program and checks what it found.
func (b *bench) theirs(ctx context.Context) ([]result, error) {
	words := strings.Fields(b.Against)
	dir, err := os.MkdirTemp("", "vectorbench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	c := exec.CommandContext(ctx, words[0], append(words[1:], filepath.Join(b.Dir, "base.f32"), filepath.Join(b.Dir, "queries.f32"),
		strconv.Itoa(b.Dim), strconv.Itoa(b.K), dir)...)
	c.Stderr = os.Stderr
	printed, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Against, err)
	}
	var all []result
	var cpu, mem float64
	lines := bufio.NewScanner(bytes.NewReader(printed))
	for lines.Scan() {
		var name, file string
		var seconds float64
		if _, err := fmt.Sscanf(lines.Text(), "build %f %f", &cpu, &mem); err == nil {
			continue
		}
		if _, err := fmt.Sscanf(lines.Text(), "run %s %f %s", &name, &seconds, &file); err != nil {
			return nil, fmt.Errorf("%s printed %q: want build or run", b.Against, lines.Text())
		}
		flat, err := readNumbers[int32](file)
		if err != nil {
			return nil, err
		}
		if len(flat) != len(b.truth)*b.K || !(seconds > 0) {
			return nil, fmt.Errorf("%s: %d neighbours in %v s: want %d", file, len(flat), seconds, len(b.truth)*b.K)
		}
		all = append(all, result{name, b.recall(slices.Collect(slices.Chunk(flat, b.K))), float64(len(b.truth)) / seconds, cpu, mem})
	}
	return all, lines.Err()
}

// between is the queries per second of a recall between two settings: on a straight line over the logarithm of what
// is missed.
func between(all []result, recall float64) (perSec float64, ok bool) {
	all = slices.SortedFunc(slices.Values(all), func(a, b result) int { return cmp.Compare(a.recall, b.recall) })
	for i := range max(len(all)-1, 0) {
		a, b := all[i], all[i+1]
		if a.recall <= recall && recall <= b.recall && a.recall < b.recall && b.recall < 1 {
			x := (missed(recall) - missed(a.recall)) / (missed(b.recall) - missed(a.recall))
			return math.Exp(math.Log(a.perSec) + x*(math.Log(b.perSec)-math.Log(a.perSec))), true
		}
	}
	return 0, false
}

func missed(recall float64) float64 { return math.Log(1 - recall) }

// cpuSeconds is what this process has used so far.
func cpuSeconds() float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return math.NaN()
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
