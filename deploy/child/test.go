package child

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// Start runs program for the length of a test, with env ("KEY=value") added to the environment. It fails the test
// if the program can't be run, and kills it with its group at the end. If the test has failed by then, it has the
// program Dump first, and shows the end of its output under name.
func Start(t testing.TB, name string, env []string, program string, args ...string) *Process {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	p, err := Run(cmd)
	if err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			p.Kill()
		} else {
			p.Dump()
			t.Logf("%s (process %d) wrote:\n%s", name, cmd.Process.Pid, p.Output())
		}
	})
	return p
}

// pollEvery is the time between two looks at something that is waited for.
const pollEvery = 50 * time.Millisecond

// Ready waits until GET url answers 200 OK. The error says what it answered last, or that the program has ended.
func (p *Process) Ready(ctx context.Context, url string) error {
	var last error
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if last = get(ctx, url); last == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("waiting for %s: the program has ended: %s", url, p.end())
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w; last: %w", url, ctx.Err(), last)
		}
	}
}

func get(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return nil
}

// FreeAddrs are n different loopback addresses that nobody listens on. Their ports are below those that systems give
// to outgoing connections, so they stay free while a program that is to have one is started, or killed and started
// again.
func FreeAddrs(n int) ([]string, error) {
	const lowest, highest, attempts = 15000, 32000, 100
	var addrs []string
	var failed error
	for range n + attempts {
		if len(addrs) == n {
			return addrs, nil
		}
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(lowest+rand.IntN(highest-lowest))))
		if err != nil {
			failed = err
			continue
		}
		defer l.Close() // at the end: else it could be found twice
		addrs = append(addrs, l.Addr().String())
	}
	return nil, fmt.Errorf("finding a free port: %w", failed)
}
