package local_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/bus/local"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
)

func join(tb testing.TB, addr, dir string) *local.Bus {
	tb.Helper()
	b, err := local.Connect(tb.Context(), addr, local.ConnectOptions{TokenFile: filepath.Join(dir, local.TokenFile)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { closeBus(tb, b) })
	return b
}

// TestConnectNeedsToken: the token file is the owner's alone, and without its content nobody gets in.
func TestConnectNeedsToken(t *testing.T) {
	dir := t.TempDir()
	b := openBus(t, local.Options{Dir: dir, Listen: "127.0.0.1:0"})
	file := filepath.Join(dir, local.TokenFile)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("token file has mode %v, want 0600", info.Mode().Perm())
	}
	for name, token := range map[string]string{"wrong": "wrong", "empty": ""} {
		other := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(other, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := local.Connect(patient(t), b.Addr(), local.ConnectOptions{TokenFile: other}); err == nil {
			closeBus(t, c)
			t.Errorf("connected with the %s token", name)
		}
	}
	if c, err := local.Connect(patient(t), "192.0.2.1:4222", local.ConnectOptions{TokenFile: file}); err == nil {
		closeBus(t, c)
		t.Error("connected to an address that is not loopback")
	}
	join(t, b.Addr(), dir)
}

// TestHostRestarts: a connected process goes on with its log and its subscription when the host was started again.
func TestHostRestarts(t *testing.T) {
	dir := t.TempDir()
	host := openBus(t, local.Options{Dir: dir, Listen: "127.0.0.1:0"})
	addr := host.Addr()
	guest := join(t, addr, dir)
	l, err := guest.OpenLog(t.Context(), "l", event.Topics())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := guest.Subscribe(t.Context(), "s", []string{trigger.Topic}, local.SubscriptionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	publishTo(t, guest, "song-played", "before")
	publishTo(t, guest, trigger.Topic, "before")
	if diff := cmp.Diff([]string{"song-played before"}, readIDs(t, l)); diff != "" {
		t.Fatal(diff)
	}
	ds, err := s.Pull(patient(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ack(patient(t), ds...); err != nil {
		t.Fatal(err)
	}
	readID, pulledID := make(chan string, 1), make(chan string, 1)
	go retry(t, readID, func(ctx context.Context) (string, error) {
		entries, err := l.Read(ctx, 1)
		if err != nil {
			return "", err
		}
		return entries[0].ID, nil
	})
	go retry(t, pulledID, func(ctx context.Context) (string, error) {
		ds, err := s.Pull(ctx, 1)
		if err != nil {
			return "", err
		}
		return ds[0].ID, nil
	})

	closeBus(t, host)
	host = openBus(t, local.Options{Dir: dir, Listen: addr})
	publishTo(t, host, "song-played", "after")
	publishTo(t, host, trigger.Topic, "after")
	for what, c := range map[string]chan string{"Read": readID, "Pull": pulledID} {
		if id := <-c; id != "after" {
			t.Errorf("%s after the restart brought %q, want %q", what, id, "after")
		}
	}
}

// retry does what consumers do while the bus is away.
func retry(t *testing.T, result chan<- string, do func(context.Context) (string, error)) {
	ctx := patient(t)
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		id, err := do(ctx)
		if err == nil || ctx.Err() != nil {
			result <- id
			return
		}
		<-pause.C
	}
}
