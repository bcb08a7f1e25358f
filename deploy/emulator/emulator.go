// Package emulator starts Google's own emulators of Pub/Sub and Bigtable, where the Cloud SDK is installed, so that
// contract tests and the test of the production shape run against code that is not ours. Nothing is downloaded:
// where the SDK lacks an emulator, starting it is ErrMissing and tests skip with the reason.
//
// Both keep everything in memory: stopping one forgets it all.
package emulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"

	"homefeed/deploy/child"
)

// ErrMissing says that an emulator, or what it needs, is not installed. The error that wraps it says what to install.
var ErrMissing = errors.New("emulator is not installed")

// readyWithin is how long an emulator may take to answer. Pub/Sub's starts a Java machine, which takes a second
// alone and many on a loaded small one.
const readyWithin = time.Minute

// startAttempts is how often another port is tried: between choosing a free one and the emulator's bind, another
// process can take it.
const startAttempts = 3

// Process is a running emulator.
type Process struct {
	// Addr is its gRPC address, host:port on loopback: the value for PUBSUB_EMULATOR_HOST or BIGTABLE_EMULATOR_HOST.
	Addr string

	child *child.Process
}

// Stop ends the emulator with all its processes and waits until it is gone. Stopping twice is harmless.
func (p *Process) Stop() { p.child.Kill() }

// StartPubSub starts the Pub/Sub emulator on a free loopback port and waits until it answers. The caller stops it.
// Errors: ErrMissing with the reason, ctx's, or that it did not start, with the end of its output.
func StartPubSub(ctx context.Context) (*Process, error) {
	p, err := start(ctx, filepath.Join("platform", "pubsub-emulator", "bin", "cloud-pubsub-emulator"),
		"pubsub-emulator", []string{"java"}, func(port string) []string {
			return []string{"--host=127.0.0.1", "--port=" + port}
		})
	if err != nil {
		return nil, fmt.Errorf("starting the Pub/Sub emulator: %w", err)
	}
	return p, nil
}

// StartBigtable starts the Bigtable emulator on a free loopback port and waits until it answers. The caller stops
// it. Errors as with StartPubSub.
func StartBigtable(ctx context.Context) (*Process, error) {
	p, err := start(ctx, filepath.Join("platform", "bigtable-emulator", "cbtemulator"),
		"bigtable", nil, func(port string) []string {
			return []string{"-host", "127.0.0.1", "-port", port}
		})
	if err != nil {
		return nil, fmt.Errorf("starting the Bigtable emulator: %w", err)
	}
	return p, nil
}

// PubSub starts the Pub/Sub emulator for the length of a test and returns its address. Where it is not installed
// the test is skipped, with the reason; where it does not start, the test fails.
func PubSub(t testing.TB) string {
	t.Helper()
	return forTest(t, StartPubSub)
}

// Bigtable is PubSub for the Bigtable emulator.
func Bigtable(t testing.TB) string {
	t.Helper()
	return forTest(t, StartBigtable)
}

func forTest(t testing.TB, start func(context.Context) (*Process, error)) string {
	t.Helper()
	p, err := start(t.Context())
	switch {
	case errors.Is(err, ErrMissing):
		t.Skip("skipped:", err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p.Addr
}

// start runs the program at path below the SDK's root; component is what gcloud calls it, needs are programs that
// it runs itself.
func start(ctx context.Context, path, component string, needs []string, args func(port string) []string) (*Process, error) {
	program, err := find(path, component, needs)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for attempt := 1; ; attempt++ {
		p, err := startOn(ctx, program, args)
		if err == nil || attempt == startAttempts || ctx.Err() != nil {
			return p, err
		}
	}
}

func startOn(ctx context.Context, program string, args func(port string) []string) (*Process, error) {
	addrs, err := child.FreeAddrs(1)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addrs[0])
	if err != nil {
		return nil, err
	}
	c, err := child.Run(exec.Command(program, args(port)...))
	if err != nil {
		return nil, err
	}
	if err := awaitReady(ctx, addrs[0], c.Done()); err != nil {
		c.Kill()
		return nil, fmt.Errorf("%w; its output ends with: %s", err, c.Output())
	}
	return &Process{Addr: addrs[0], child: c}, nil
}

// awaitReady waits until a gRPC connection to addr stands. An open port alone says little: the emulator's Java
// machine accepts before it serves.
func awaitReady(ctx context.Context, addr string, exited <-chan struct{}) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { // ends with ctx, which this function cancels
		select {
		case <-exited:
			cancel(errors.New("it exited before it answered"))
		case <-ctx.Done():
		}
	}()
	conn, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.3, MaxDelay: 500 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", addr, err)
	}
	defer conn.Close()
	for {
		conn.Connect()
		state := conn.GetState()
		if state == connectivity.Ready {
			return nil
		}
		if !conn.WaitForStateChange(ctx, state) {
			return fmt.Errorf("waiting until it answers on %s: %w", addr, context.Cause(ctx))
		}
	}
}

// find returns the program at path below the first SDK root that has it.
func find(path, component string, needs []string) (string, error) {
	roots := sdkRoots()
	for _, root := range roots {
		program := filepath.Join(root, path)
		if info, err := os.Stat(program); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			continue
		}
		for _, need := range needs {
			if _, err := exec.LookPath(need); err != nil {
				return "", fmt.Errorf("%w: %s needs %s, which is not on PATH", ErrMissing, program, need)
			}
		}
		return program, nil
	}
	if len(roots) == 0 {
		return "", fmt.Errorf("%w: no Google Cloud SDK found (gcloud is not on PATH)", ErrMissing)
	}
	return "", fmt.Errorf("%w: no %s below %v (gcloud components install %s)", ErrMissing, path, roots, component)
}

// sdkRoots lists the directories that are Cloud SDK roots, likeliest first: where gcloud on PATH leads to
// (packages install a symbolic link), then where installers put it.
func sdkRoots() []string {
	var candidates []string
	if gcloud, err := exec.LookPath("gcloud"); err == nil {
		if gcloud, err = filepath.EvalSymlinks(gcloud); err == nil {
			candidates = append(candidates, filepath.Dir(filepath.Dir(gcloud)))
		}
	}
	candidates = append(candidates, "/usr/lib/google-cloud-sdk", "/usr/share/google-cloud-sdk", "/snap/google-cloud-cli/current")
	if home, err := os.UserHomeDir(); err == nil {
		candidates = append(candidates, filepath.Join(home, "google-cloud-sdk"))
	}
	var roots []string
	seen := map[string]bool{}
	for _, dir := range candidates {
		if info, err := os.Stat(filepath.Join(dir, "bin", "gcloud")); err == nil && !info.IsDir() && !seen[dir] {
			seen[dir] = true
			roots = append(roots, dir)
		}
	}
	return roots
}
