package local_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/bus/local"
	"homefeed/pipeline/trigger"
)

// childDir, when it is set, makes the test program the process that gets killed, with its bus in that directory.
const childDir = "HOMEFEED_BUS_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := victim(dir, os.Getenv(childDir+"_ROUND")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// victim publishes and consumes until it is killed. On standard output it tells "published <id>" after Publish
// returned, and "acking <id>" before Ack is called.
func victim(dir, round string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // should nobody kill it
	defer cancel()
	b, err := local.Open(ctx, local.Options{Dir: dir})
	if err != nil {
		return err
	}
	s, err := b.Subscribe(ctx, "s", []string{trigger.Topic}, local.SubscriptionOptions{Lease: time.Hour})
	if err != nil {
		return err
	}
	consumed := make(chan error, 1)
	go func() { consumed <- consume(ctx, s) }()
	for n := 0; ; n++ {
		msgs := make([]bus.Message, 1+n%40)
		for i := range msgs {
			id := fmt.Sprintf("%s-%d-%d", round, n, i)
			msgs[i] = bus.Message{ID: id, Data: []byte(id)}
		}
		if err := b.Publish(ctx, trigger.Topic, msgs...); err != nil {
			return errors.Join(err, <-consumed)
		}
		var said strings.Builder
		for i := range msgs {
			fmt.Fprintln(&said, "published", msgs[i].ID, ".")
		}
		if _, err := os.Stdout.WriteString(said.String()); err != nil {
			return err
		}
	}
}

// consume acknowledges two of three messages and keeps the rest leased for an hour.
func consume(ctx context.Context, s bus.Subscription) error {
	for {
		ds, err := s.Pull(ctx, 10)
		if err != nil {
			return err
		}
		ds = ds[:len(ds)*2/3]
		var said strings.Builder
		for i := range ds {
			fmt.Fprintln(&said, "acking", ds[i].ID, ".")
		}
		if _, err := os.Stdout.WriteString(said.String()); err != nil {
			return err
		}
		if err := s.Ack(ctx, ds...); err != nil {
			return err
		}
	}
}

// said is what the killed processes said.
type said struct{ published, acking map[string]bool }

// TestKill kills a process at seeded moments while it publishes and consumes. Nothing whose Publish returned may be
// missing, and everything that it did not acknowledge has to come at once, not after the lease of an hour.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts and kills processes, which -short leaves out")
	}
	random := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	heard := said{published: map[string]bool{}, acking: map[string]bool{}}
	for round := range 4 {
		killVictim(t, dir, round, random.IntN(5000), heard)
	}

	b := openBus(t, local.Options{Dir: dir})
	l, err := b.OpenLog(t.Context(), "all", []string{trigger.Topic})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stored := map[string]int{}
	for _, line := range readIDs(t, l) {
		stored[strings.TrimPrefix(line, trigger.Topic+" ")]++
	}
	for id := range heard.published {
		if stored[id] == 0 {
			t.Errorf("%s was published and is gone", id)
		}
	}
	open := map[string]bool{}
	for id, n := range stored {
		if n > 1 {
			t.Errorf("%s is stored %d times", id, n)
		}
		if !heard.acking[id] {
			open[id] = true
		}
	}
	t.Logf("%d published, %d stored, %d not acknowledged", len(heard.published), len(stored), len(open))
	if len(open) == 0 || len(heard.acking) == 0 {
		t.Error("the test needs messages that were acknowledged and others")
	}
	drain(t, b, open)
}

// killVictim lets a process work until it has said so many lines, kills it, and notes what it has said.
func killVictim(t *testing.T, dir string, round, after int, heard said) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprintf("%s_ROUND=%d", childDir, round))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	n := 0
	for ; lines.Scan(); n++ {
		if n == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
		words := strings.Fields(lines.Text())
		switch { // the last line may be torn, and then lacks the full stop
		case len(words) == 3 && words[0] == "published":
			heard.published[words[1]] = true
		case len(words) == 3 && words[0] == "acking":
			heard.acking[words[1]] = true
		}
	}
	if n <= after {
		t.Errorf("round %d: the process ended by itself after %d lines", round, n)
	}
	_ = cmd.Wait() // "signal: killed"
}

// drain consumes the subscription of the killed process until all of open have come.
func drain(t *testing.T, b *local.Bus, open map[string]bool) {
	t.Helper()
	s, err := b.Subscribe(t.Context(), "s", []string{trigger.Topic}, local.SubscriptionOptions{Lease: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := patient(t)
	again := 0
	for len(open) > 0 {
		ds, err := s.Pull(ctx, 1000)
		if err != nil {
			t.Fatalf("Pull with %d messages missing: %v", len(open), err)
		}
		for _, d := range ds {
			delete(open, d.ID)
			if d.Attempt > 1 {
				again++
			}
		}
		if err := s.Ack(ctx, ds...); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of the deliveries were the second or later", again)
}
