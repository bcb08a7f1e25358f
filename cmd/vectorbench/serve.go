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
	"sync/atomic"
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
	looking        = time.Second            // how long the most is looked for, before each stretch of load
	stretch        = 2 * time.Second        // of load
	swapsAtOnce    = 5                      // swaps in a stretch of theirs
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
	addr, stop, err := loopback(server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	// The operator's calls have a connection of their own, as they come from elsewhere.
	var conns [2]*grpc.ClientConn
	for i := range conns {
		if conns[i], err = rpc.Dial(addr, rpc.DialOptions{}); err != nil {
			return err
		}
		defer conns[i].Close()
	}

	some, tracks, err := c.some()
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "%d nearest to %d of %d tracks\n", nearest, seeds, tracks)
	l := &load{client: word2vecpb.NewWord2VecClient(conns[0]), some: some}
	if err := c.steady(ctx, l); err != nil {
		return err
	}
	return c.swaps(ctx, l, word2vecpb.NewWord2VecClient(conns[1]), path)
}

// steady asks at the share of the most, stretch by stretch.
func (c *serveConfig) steady(ctx context.Context, l *load) error {
	host := newHost()
	for range max(1, int(c.For/stretch)) {
		perSecond := share * l.flatOut(ctx)
		l.steady(ctx, stretch, perSecond)
	}
	fmt.Fprintf(c.out, "at %.0f%% of the most: %s; %s\n", 100*share, l.told(), host.took())
	return l.failure()
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

// swaps replaces the model again and again while calls go on, stretch by stretch.
func (c *serveConfig) swaps(ctx context.Context, l *load, operator word2vecpb.Word2VecClient, path string) error {
	host := newHost()
	l.again()
	var first, last int64
	for i := 0; i < c.Swaps; {
		perSecond := share * l.flatOut(ctx)
		stop := l.begin(ctx, perSecond)
		for range min(swapsAtOnce, c.Swaps-i) {
			err := swap(ctx, operator, path+fmt.Sprint(i%copies), path)
			i++
			if err == nil && i == settleSwaps {
				first, err = resident()
			}
			if err == nil && i == c.Swaps {
				last, err = resident()
			}
			if err != nil {
				stop()
				return fmt.Errorf("swap %d: %w", i, err)
			}
		}
		stop()
	}
	grown := float64(last)/float64(first) - 1
	fmt.Fprintf(c.out, "%d swaps under that load: %s; %s; RSS %d MB after the first, %d MB after the last: %+.1f%%\n", c.Swaps,
		l.told(), host.took(), first>>10, last>>10, 100*grown)
	if grown > mostRSS {
		return fmt.Errorf("memory grew by %.1f%%: want at most %.0f%%", 100*grown, 100*mostRSS)
	}
	return l.failure()
}

// swap puts another file under the path, and has it served.
func swap(ctx context.Context, operator word2vecpb.Word2VecClient, from, path string) error {
	select { // without a pause, looking through files takes a processor all the time, and calls pile up
	case <-time.After(pause):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := renew(from, path); err != nil {
		return err
	}
	answer, err := operator.Reload(ctx, &word2vecpb.ReloadRequest{})
	if err == nil && !answer.GetLoaded() {
		err = fmt.Errorf("%s is still served", answer.GetVersion())
	}
	return err
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
	most   []float64 // answers a second, by stretch
	mu     sync.Mutex
	took   []time.Duration
	failed int
	first  error // of those that failed
}

// again forgets the latencies.
func (l *load) again() { l.took, l.most = nil, nil }

// ask is nil if the answer was right, and how long it took from since.
func (l *load) ask(ctx context.Context, since time.Time) (time.Duration, error) {
	r := &word2vecpb.NearestRequest{K: nearest}
	for _, track := range l.some[rand.IntN(len(l.some))] {
		r.Seeds = append(r.Seeds, &word2vecpb.Seed{Track: track})
	}
	answer, err := l.client.Nearest(ctx, r)
	took := time.Since(since)
	if n := len(answer.GetNeighbours()); err == nil && n != nearest {
		err = fmt.Errorf("%d neighbours: want %d", n, nearest)
	}
	return took, err
}

// count keeps what ask returned, unless ctx has ended.
func (l *load) count(ctx context.Context, took time.Duration, err error) {
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, took)
	if err != nil {
		l.failed++
		l.first = cmp.Or(l.first, err)
	}
}

// failure is that of the calls.
func (l *load) failure() error {
	if l.first == nil {
		return nil
	}
	return fmt.Errorf("%d calls failed, the first: %w", l.failed, l.first)
}

// flatOut has workers ask without pause, and returns the answers per second. A machine that shares its processors has
// more of them in one moment than in the next: what a share is of has to be found out right before.
func (l *load) flatOut(ctx context.Context) float64 {
	start := time.Now()
	var answered atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for ctx.Err() == nil && time.Since(start) < looking {
				if _, err := l.ask(ctx, start); err != nil {
					l.count(ctx, 0, err)
				}
				answered.Add(1)
			}
		})
	}
	all.Wait()
	most := float64(answered.Load()) / time.Since(start).Seconds()
	l.most = append(l.most, most)
	return most
}

// begin asks until stop, which waits for the calls in progress.
func (l *load) begin(ctx context.Context, perSecond float64) (stop func()) {
	until, cancel := context.WithCancel(ctx)
	var loading sync.WaitGroup
	loading.Go(func() { l.asking(ctx, until, perSecond) })
	return func() {
		cancel()
		loading.Wait()
	}
}

// steady asks for so long.
func (l *load) steady(ctx context.Context, d time.Duration, perSecond float64) {
	until, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	l.asking(ctx, until, perSecond)
}

// asking asks at random times, so many a second, whether or not the answers keep up, until the second context ends.
// Go's timers are late by up to a millisecond when little goes on, and what was due meanwhile is then asked at once.
func (l *load) asking(ctx, until context.Context, perSecond float64) {
	var all sync.WaitGroup
	defer all.Wait()
	for due := time.Now(); ; due = due.Add(time.Duration(rand.ExpFloat64() / perSecond * 1e9)) {
		if wait := time.Until(due); wait > 0 {
			select {
			case <-time.After(wait):
			case <-until.Done():
			}
		}
		if until.Err() != nil {
			return
		}
		now := time.Now()
		all.Go(func() {
			took, err := l.ask(ctx, now)
			l.count(ctx, took, err)
		})
	}
}

// told is the latencies since again.
func (l *load) told() string {
	slices.Sort(l.took)
	at := func(share float64) time.Duration {
		if len(l.took) == 0 {
			return 0
		}
		return l.took[int(share*float64(len(l.took)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("%d answers, p50 %v, p99 %v, %d failed; the most was %.0f to %.0f a second", len(l.took), at(.5), at(.99), l.failed,
		slices.Min(l.most), slices.Max(l.most))
}

// loopback serves on a port of this machine, addr.
func loopback(s *word2vec.Server) (addr string, stop func() error, err error) {
	server, err := rpc.NewServer(rpc.ServerOptions{Operators: []string{word2vecpb.Word2Vec_Reload_FullMethodName}})
	if err != nil {
		return "", nil, err
	}
	word2vec.Register(server, s)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, ln) }()
	return ln.Addr().String(), func() error {
		cancel()
		return <-ended
	}, nil
}
