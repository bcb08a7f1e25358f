//go:build unix

// Command vectorbench measures searches for the nearest: against another program on the same vectors, and through the
// service under load. It makes the vectors itself.
//
//	vectorbench make -dir DIR                  makes base.f32, queries.f32 and base.bin, or takes them of -model
//	vectorbench search -dir DIR -against CMD   has ours and CMD search them, and prints one table
//	vectorbench serve -model m.hfm             measures the service: latency at 60% load, swaps, memory
//
// The other program is run as CMD BASE QUERIES DIM K DIR: two files of float32 as they are in memory, the dimension
// and how many neighbours to find for each query. It uses one thread to search, and prints lines of
//
//	build CPU-SECONDS MEGABYTES
//	run NAME SECONDS FILE
//
// the latter for each of its settings; FILE, which it writes below DIR, has K int32 for each query: the neighbours'
// places in BASE. Whether they are right is found out here.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"

	"homefeed/services/word2vec/modelfile"
	"homefeed/services/word2vec/vectors"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "vectorbench: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("want a command: make, search or serve")
	}
	fs := flag.NewFlagSet("vectorbench "+args[0], flag.ContinueOnError)
	fs.SetOutput(out)
	var do func() error
	switch args[0] {
	case "make":
		c := makeConfig{}
		fs.StringVar(&c.Dir, "dir", ".", "`directory` to write to")
		fs.StringVar(&c.Model, "model", "", "vectors or model `file` to take instead: some at random become queries, the others the base")
		fs.IntVar(&c.Tracks, "n", 1_000_000, "vectors")
		fs.IntVar(&c.Dim, "dim", 64, "values of each")
		fs.IntVar(&c.Clusters, "clusters", 1_000, "that the vectors are drawn from; 0: artists within genres, of many sizes")
		fs.Float64Var(&c.Noise, "noise", 1, "of a cluster's vectors, against 1 of the clusters' centres")
		fs.IntVar(&c.Queries, "queries", 2_000, "vectors to search the neighbours of; they are not among the others")
		fs.Uint64Var(&c.Seed, "seed", 1, "of everything random")
		do = c.run
	case "search":
		c := searchConfig{out: out}
		fs.StringVar(&c.Dir, "dir", ".", "`directory` of what make wrote")
		fs.IntVar(&c.Dim, "dim", 64, "values of each vector")
		fs.IntVar(&c.K, "k", 10, "neighbours to find")
		fs.StringVar(&c.Recalls, "recalls", "0.95,0.98,0.995", "recalls to build ours for, by commas")
		fs.StringVar(&c.Against, "against", "", "`command` of another program; empty: ours alone")
		fs.IntVar(&c.Rounds, "rounds", 3, "times that the other program is run, with ours before and after each; of all of them the fastest counts")
		fs.DurationVar(&c.For, "for", 2e9, "how long each of ours is searched again and again in a round")
		do = func() error { return c.run(ctx) }
	case "serve":
		c := serveConfig{out: out}
		fs.StringVar(&c.Model, "model", "", "model `file`, of make's base.bin")
		fs.IntVar(&c.Swaps, "swaps", 50, "times that the model is replaced under load")
		fs.DurationVar(&c.For, "for", 15e9, "how long the load without swaps lasts")
		do = func() error { return c.run(ctx) }
	default:
		return fmt.Errorf("%q: want make, search or serve", args[0])
	}
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	return do()
}

type makeConfig struct {
	Dir, Model                     string
	Tracks, Dim, Clusters, Queries int
	Noise                          float64
	Seed                           uint64
}

func (c *makeConfig) run() error {
	if c.Tracks < 1 || c.Dim < 1 || c.Clusters < 0 || c.Queries < 1 {
		return fmt.Errorf("-n %d, -dim %d, -clusters %d, -queries %d: want at least 1 of each, clusters aside", c.Tracks, c.Dim, c.Clusters, c.Queries)
	}
	base, queries, err := c.draw(rand.New(rand.NewPCG(c.Seed, 1)))
	if err != nil {
		return err
	}
	if err := writeFloats(filepath.Join(c.Dir, "base.f32"), base); err != nil {
		return err
	}
	if err := writeFloats(filepath.Join(c.Dir, "queries.f32"), queries); err != nil {
		return err
	}
	ids := make([]string, len(base)/c.Dim)
	for i := range ids {
		ids[i] = fmt.Sprint("track", i)
	}
	v, err := vectors.New(ids, c.Dim, base)
	if err != nil {
		return err
	}
	return vectors.Save(filepath.Join(c.Dir, "base.bin"), v)
}

// draw is the vectors to search among, and those to search the neighbours of.
func (c *makeConfig) draw(r *rand.Rand) (base, queries []float32, err error) {
	if c.Model == "" {
		w := music(c.Tracks, c.Dim, r)
		if c.Clusters > 0 {
			w = flat(c.Clusters, c.Dim, c.Noise, r)
		}
		return w.draw(c.Tracks, c.Dim, r), w.draw(c.Queries, c.Dim, r), nil
	}
	m, err := modelfile.Load(c.Model)
	if err != nil {
		return nil, nil, err
	}
	defer m.Close()
	v, err := m.Vectors()
	if err != nil {
		return nil, nil, err
	}
	if c.Queries >= v.Len() {
		return nil, nil, fmt.Errorf("-queries %d: want fewer than the %d vectors of %s", c.Queries, v.Len(), c.Model)
	}
	c.Dim = v.Dim()
	for n, i := range r.Perm(v.Len()) {
		if n < c.Queries {
			queries = append(queries, v.At(i)...)
		} else {
			base = append(base, v.At(i)...)
		}
	}
	return base, queries, nil
}

func writeFloats(path string, x []float32) error {
	return vectors.Replace(path, func(w io.Writer) error {
		buffered := bufio.NewWriter(w)
		return errors.Join(binary.Write(buffered, binary.LittleEndian, x), buffered.Flush())
	})
}

func readNumbers[T float32 | int32](path string) ([]T, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	x := make([]T, len(raw)/4)
	if _, err := binary.Decode(raw, binary.LittleEndian, x); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return x, nil
}
