package child_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"homefeed/deploy/child"
)

// generous is how long anything in these tests may take on a loaded machine.
const generous = time.Minute

// TestMain lets this very program be the child.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "be" {
		os.Exit(be(os.Args[2]))
	}
	os.Exit(m.Run())
}

// be is what the child does: it says that it is there, then behaves.
func be(how string) int {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	fmt.Println("started", os.Getenv("WHO"))
	switch how {
	case "orderly":
		<-term
		fmt.Println("drained")
		return 0
	case "failing":
		<-term
		return 3
	case "deaf":
		for range term {
		}
	case "short":
		return 4
	case "parent":
		grandchild := exec.Command(os.Args[0], "be", "server")
		grandchild.Stdout = os.Stdout
		if err := grandchild.Run(); err != nil {
			return 5
		}
	case "server":
		http.ListenAndServe(os.Getenv("ADDR"), http.NotFoundHandler())
	}
	return 1
}

func start(t *testing.T, how string, env ...string) *child.Process {
	t.Helper()
	return child.Start(t, how, append(env, "WHO="+t.Name()), os.Args[0], "be", how)
}

// await waits until happened says so.
func await(t *testing.T, what string, happened func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it never came that %s", what)
		}
	}
}

func TestTerminate(t *testing.T) {
	for how, c := range map[string]struct {
		within  time.Duration
		want    string // in the error; empty: no error
		written string // in the output
	}{
		"orderly": {generous, "", "drained"},
		"failing": {generous, "exit status 3", "started"},
		"deaf":    {10 * time.Millisecond, "still running", "goroutine"},
	} {
		t.Run(how, func(t *testing.T) {
			p := start(t, how)
			await(t, "it has started", func() bool { return strings.Contains(p.Output(), "started "+t.Name()) })
			err := p.Terminate(c.within)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("Terminate = %v, want %q", err, c.want)
			}
			if !strings.Contains(p.Output(), c.written) {
				t.Errorf("output %q, want %q in it", p.Output(), c.written)
			}
		})
	}
}

func TestWhatEndedByItself(t *testing.T) {
	p := start(t, "short")
	if err := p.Ready(t.Context(), "http://127.0.0.1:1/"); err == nil || !strings.Contains(err.Error(), "exit status 4") {
		t.Errorf("Ready = %v, want it to say how the program ended", err)
	}
	if err := p.Terminate(generous); err == nil || !strings.Contains(err.Error(), "exit status 4") {
		t.Errorf("Terminate = %v, want it to say that the program had ended", err)
	}
	p.Kill() // does nothing
}

// TestKillTakesTheGroup kills a program that has started another.
func TestKillTakesTheGroup(t *testing.T) {
	addrs, err := child.FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, "parent", "ADDR="+addrs[0])
	await(t, "the grandchild serves", func() bool {
		conn, err := net.Dial("tcp", addrs[0])
		return err == nil && conn.Close() == nil
	})
	p.Kill()
	await(t, "the grandchild is gone", func() bool {
		l, err := net.Listen("tcp", addrs[0])
		return err == nil && l.Close() == nil
	})
}

func TestReady(t *testing.T) {
	p := start(t, "deaf")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := asked.Add(1); {
		case r.URL.Path == "/soon" && n == 3:
			return
		case r.URL.Path == "/never" && n == 6:
			cancel()
		}
		http.Error(w, "not yet", http.StatusServiceUnavailable)
	}))
	defer server.Close()
	if err := p.Ready(ctx, server.URL+"/soon"); err != nil || asked.Load() != 3 {
		t.Errorf("Ready = %v after %d requests, want nil after 3", err, asked.Load())
	}
	if err := p.Ready(ctx, server.URL+"/never"); !errors.Is(err, context.Canceled) {
		t.Errorf("Ready = %v, want the context's error", err)
	}
}

func TestFreeAddrsDiffer(t *testing.T) {
	addrs, err := child.FreeAddrs(50)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, a := range addrs {
		if seen[a] {
			t.Errorf("%s twice", a)
		}
		seen[a] = true
		l, err := net.Listen("tcp", a)
		if err != nil {
			t.Errorf("%s is not free: %v", a, err)
			continue
		}
		l.Close()
	}
}
