//go:build unix

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"homefeed/services/rpc"
	"homefeed/services/word2vec"
	"homefeed/services/word2vec/modelfile"
	"homefeed/services/word2vec/vectors"
	"homefeed/services/word2vec/word2vecpb"
)

// What is asked: the 20 nearest to 5 tracks of one artist or of artists next to each other.
const (
	seeds, nearest = 5, 20
	questions      = 10_000                 // different ones
	workers        = 8                      // calls at once when the most is looked for
	share          = .6                     // of the most, for the latencies
	copies         = 2                      // of the model, which take turns
	pause          = 400 * time.Millisecond // between two swaps
	settleSwaps    = 1                      // swaps before the memory is first looked at
	mostRSS        = .02                    // growth over the swaps that is put up with
)

type serveConfig struct {
	Model string
	Swaps int
	For   time.Duration
	out   io.Writer
}

// run serves the model on loopback from this very process, and asks it.
func (c *serveConfig) run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp(filepath.Dir(c.Model), "vectorbench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "model"+modelfile.Extension)
	for i := range copies {
		if err := errors.Join(c.copied(path+fmt.Sprint(i)), renew(path+fmt.Sprint(i), path)); err != nil {
			return err
		}
	}
	server, err := word2vec.OpenServer(path, word2vec.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	conn, stop, err := loopback(server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()

	some, tracks, err := c.some()
	if err != nil {
		return err
	}
	l := &load{client: word2vecpb.NewWord2VecClient(conn), some: some}
	most := l.flatOut(ctx, c.For)
	fmt.Fprintf(c.out, "%d nearest to %d of %d tracks: at most %.0f a second from %d callers\n", nearest, seeds, tracks, most, workers)
	host := newHost()
	l.steady(ctx, c.For, share*most)
	fmt.Fprintf(c.out, "at %.0f%% of that: %s; %s\n", 100*share, l.told(), host.took())
	err = c.swaps(ctx, l, share*most, path)
	// On a machine that has become slower meanwhile, that was more than the share.
	fmt.Fprintf(c.out, "afterwards: at most %.0f a second\n", l.flatOut(ctx, c.For/4))
	return err
}

// some are tracks to ask for, each one with those behind it: rows of one list lie together. The service can't list
// its tracks, so the file is asked. They are few, as this process' garbage collector, which the service shares here,
// follows every one of them again and again.
func (c *serveConfig) some() (all [][]string, tracks int, err error) {
	m, err := modelfile.Open(c.Model)
	if err != nil {
		return nil, 0, err
	}
	defer m.Close()
	all = make([][]string, questions)
	for i := range all {
		at := rand.IntN(m.Len())
		for n := range seeds {
			all[i] = append(all[i], m.ID((at+n)%m.Len()))
		}
	}
	return all, m.Len(), nil
}

// copied puts a copy of the model, another file, under the path.
func (c *serveConfig) copied(path string) error {
	from, err := os.Open(c.Model)
	if err != nil {
		return err
	}
	defer from.Close()
	return vectors.Replace(path, func(w io.Writer) error {
		_, err := io.Copy(w, from)
		return err
	})
}

// renew puts the file from under the path to, as a new model comes.
func renew(from, to string) error {
	if err := os.Link(from, to+".new"); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}

// swaps replaces the model again and again while calls go on.
func (c *serveConfig) swaps(ctx context.Context, l *load, perSecond float64, path string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	host := newHost()
	var loading sync.WaitGroup
	loading.Go(func() { l.steady(ctx, time.Hour, perSecond) })
	var first int64
	for i := range c.Swaps {
		select { // without a pause, looking through files takes a processor all the time, and calls pile up
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := renew(path+fmt.Sprint(i%copies), path); err != nil {
			return err
		}
		answer, err := l.client.Reload(ctx, &word2vecpb.ReloadRequest{})
		if err != nil || !answer.GetLoaded() {
			return fmt.Errorf("swap %d: %v, %w", i+1, answer, err)
		}
		if i+1 == settleSwaps {
			if first, err = resident(); err != nil {
				return err
			}
		}
	}
	last, err := resident()
	stop()
	loading.Wait()
	if err != nil {
		return err
	}
	grown := float64(last)/float64(first) - 1
	fmt.Fprintf(c.out, "%d swaps under that load: %s; %s; RSS %d MB after the first, %d MB after the last: %+.1f%%\n", c.Swaps,
		l.told(), host.took(), first>>10, last>>10, 100*grown)
	switch {
	case l.first != nil:
		return fmt.Errorf("%d calls failed, the first: %w", l.failed, l.first)
	case grown > mostRSS:
		return fmt.Errorf("memory grew by %.1f%%: want at most %.0f%%", 100*grown, 100*mostRSS)
	}
	return nil
}

// resident is the process's memory in KB, as Linux counts it, without garbage.
func resident() (kb int64, err error) {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("reading resident memory, which takes Linux: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kb); err == nil {
			return kb, nil
		}
	}
	return 0, errors.New("/proc/self/status has no VmRSS")
}

// host is what the machine's processors did so far, in ticks. One that shares its own takes them away for moments, in
// which calls pile up: without that said, their latencies can't be read.
type host struct{ stolen, all int }

// newHost is all zero where the system doesn't tell.
func newHost() host {
	text, _ := os.ReadFile("/proc/stat")
	var user, nice, system, idle, wait, hard, soft, stolen int
	fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &hard, &soft, &stolen)
	return host{stolen, user + nice + system + idle + wait + hard + soft + stolen}
}

// took is the part of all processors' time that the host took since.
func (h host) took() string {
	now := newHost()
	return fmt.Sprintf("the host took %.0f%% of the processors' time", 100*float64(now.stolen-h.stolen)/float64(max(now.all-h.all, 1)))
}

// load asks, and keeps how long each answer took.
type load struct {
	client word2vecpb.Word2VecClient
	some   [][]string
	mu     sync.Mutex
	took   []time.Duration
	failed int
	first  error // of those that failed
}

func (l *load) ask(ctx context.Context, since time.Time) {
	r := &word2vecpb.NearestRequest{K: nearest}
	for _, track := range l.some[rand.IntN(len(l.some))] {
		r.Seeds = append(r.Seeds, &word2vecpb.Seed{Track: track})
	}
	answer, err := l.client.Nearest(ctx, r)
	if ctx.Err() != nil {
		return
	}
	took := time.Since(since)
	if n := len(answer.GetNeighbours()); err == nil && n != nearest {
		err = fmt.Errorf("%d neighbours: want %d", n, nearest)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, took)
	if err != nil {
		l.failed++
		l.first = cmp.Or(l.first, err)
	}
}

// flatOut has workers ask without pause, and returns the answers per second.
func (l *load) flatOut(ctx context.Context, d time.Duration) float64 {
	l.took = nil
	start := time.Now()
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for ctx.Err() == nil && time.Since(start) < d {
				l.ask(ctx, time.Now())
			}
		})
	}
	all.Wait()
	n := len(l.took)
	l.took = nil
	return float64(n) / time.Since(start).Seconds()
}

// steady asks at random times, so many a second, whether or not the answers keep up. Go's timers are late by up to a
// millisecond when little goes on, and what was due meanwhile is then asked at once.
func (l *load) steady(ctx context.Context, d time.Duration, perSecond float64) {
	l.took = nil
	var all sync.WaitGroup
	start := time.Now()
	for due := start; due.Sub(start) < d; due = due.Add(time.Duration(rand.ExpFloat64() / perSecond * 1e9)) {
		if wait := time.Until(due); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			break
		}
		now := time.Now()
		all.Go(func() { l.ask(ctx, now) })
	}
	all.Wait()
}

// told is the latencies of the last load.
func (l *load) told() string {
	slices.Sort(l.took)
	at := func(share float64) time.Duration {
		if len(l.took) == 0 {
			return 0
		}
		return l.took[int(share*float64(len(l.took)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("%d answers, p50 %v, p99 %v, %d failed", len(l.took), at(.5), at(.99), l.failed)
}

// loopback serves on a port of this machine, and returns a connection to it.
func loopback(s *word2vec.Server) (grpc.ClientConnInterface, func() error, error) {
	server, err := rpc.NewServer(rpc.ServerOptions{})
	if err != nil {
		return nil, nil, err
	}
	word2vec.Register(server, s)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, ln) }()
	conn, err := rpc.Dial(ln.Addr().String(), rpc.DialOptions{})
	if err != nil {
		cancel()
		return nil, nil, errors.Join(err, <-ended)
	}
	return conn, func() error {
		err := conn.Close()
		cancel()
		return errors.Join(err, <-ended)
	}, nil
}
