package local_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"homefeed/shelves/store"
	"homefeed/shelves/store/local"
)

// The test binary starts itself again as a process that may be killed; childEnv says what it then is.
const childEnv = "HOMEFEED_LOCAL_STORE_CHILD"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "write":
		err = writeForEver(os.Args[1], os.Args[2])
	case "fail":
		err = writeToFailingDisk(os.Args[1])
	case "load":
		err = loadForBenchmark(os.Args[1], os.Args[2])
	}
	fmt.Fprintln(os.Stderr, "child:", err)
	os.Exit(1)
}

// child starts the test binary as a process of another kind. kill ends it without a warning and waits until it
// is gone, its lock on the directory with it; what it has said can still be read then.
func child(t testing.TB, kind string, args ...string) (out *bufio.Reader, kill func()) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	here, there, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), childEnv+"="+kind)
	cmd.Stdout, cmd.Stderr = there, os.Stderr
	if err := errors.Join(cmd.Start(), there.Close()); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // fails when it has ended by itself
		_ = cmd.Wait()         // says that it was killed
	})
	t.Cleanup(func() {
		kill()
		here.Close()
	})
	return bufio.NewReader(here), kill
}

const (
	killWriters  = 4
	killUsers    = 5 // of each writer: nobody else writes their rows, so what is in them is known exactly
	killShelves  = 8
	killRounds   = 20
	mostAckedFor = 300 // a child is killed after 0 to so many acknowledgements
)

// writeForEver writes and deletes, and says so on stdout, only after the store has.
func writeForEver(dir, seed string) error {
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return err
	}
	s, err := local.Open(local.Config{Dir: dir, BufferBytes: 1 << 20})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for w := range killWriters {
		go func() { failed <- writeOwn(s, w, rand.New(rand.NewPCG(n, uint64(w)))) }()
	}
	return <-failed
}

func writeOwn(s *local.Store, writer int, rnd *rand.Rand) error {
	ctx := context.Background()
	for {
		user := fmt.Sprintf("user-%d-%d", writer, rnd.IntN(killUsers))
		key, err := store.UserKey(user)
		if err != nil {
			return err
		}
		row, err := s.Read(ctx, key, 1)
		if err != nil {
			return err
		}
		newest := int64(0)
		if len(row.Cells) > 0 {
			newest = row.Cells[0].AsOf.UnixMilli()
		}
		if newest > 1 && rnd.IntN(8) == 0 {
			if err := s.Delete(ctx, key, time.UnixMilli(newest-1)); err != nil {
				return err
			}
			fmt.Printf("%s deleted %d\n", user, newest-1)
			continue
		}
		if err := s.Write(ctx, key, killCells(user, newest+1)...); err != nil {
			return err
		}
		fmt.Printf("%s wrote %d\n", user, newest+1)
	}
}

func killCells(user string, generation int64) []store.Cell {
	cells := make([]store.Cell, killShelves)
	for i := range cells {
		shelf := fmt.Sprintf("shelf_%d", i)
		data := bytes.Repeat(fmt.Appendf(nil, "%s %s %d.", user, shelf, generation), 100)
		cells[i] = store.Cell{Shelf: shelf, AsOf: time.UnixMilli(generation).UTC(), Data: data}
	}
	return cells
}

// acknowledged is the newest generation that a user's writer was told is written, and is deleted.
type acknowledged struct{ wrote, deleted int64 }

// TestKill kills a writing process at random moments, again and again on the same rows, and wants everything
// that it had been told was written.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(7, 7))
	acks := map[string]acknowledged{}
	total := 0
	for round := range killRounds {
		out, kill := child(t, "write", dir, strconv.Itoa(round))
		after := rnd.IntN(mostAckedFor)
		for n := 0; ; n++ {
			if n == after {
				kill()
			}
			line, err := out.ReadString('\n')
			if err != nil {
				break // everything it has said is read
			}
			total++
			var user, did string
			var generation int64
			if _, err := fmt.Sscan(line, &user, &did, &generation); err != nil {
				t.Fatalf("the child said %q: %v", line, err)
			}
			a := acks[user]
			if did == "wrote" {
				a.wrote = generation
			} else {
				a.deleted = generation
			}
			acks[user] = a
		}
		verify(t, dir, round, acks)
	}
	if total < killRounds*mostAckedFor/4 || len(acks) != killWriters*killUsers {
		t.Errorf("%d acknowledgements for %d users: too few to show anything", total, len(acks))
	}
}

func verify(t *testing.T, dir string, round int, acks map[string]acknowledged) {
	t.Helper()
	s, err := local.Open(local.Config{Dir: dir, BufferBytes: 1 << 20})
	if err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	defer s.Close()
	for user, a := range acks {
		key, err := store.UserKey(user)
		if err != nil {
			t.Fatal(err)
		}
		row, err := s.Read(t.Context(), key, store.Versions)
		if err != nil || len(row.Cells) == 0 {
			t.Fatalf("round %d: %s: %d cells, %v, want generation %d", round, user, len(row.Cells), err, a.wrote)
		}
		// What was under way when the process was killed is there or not, but whole.
		newest := row.Cells[0].AsOf.UnixMilli()
		if newest != a.wrote && newest != a.wrote+1 {
			t.Errorf("round %d: %s: newest generation %d, acknowledged %d", round, user, newest, a.wrote)
		}
		deleted := int64(0)
		if !row.DeletedAt.IsZero() {
			deleted = row.DeletedAt.UnixMilli()
		}
		if deleted < a.deleted || deleted >= newest {
			t.Errorf("round %d: %s: deleted at %d, acknowledged %d, newest %d", round, user, deleted, a.deleted, newest)
		}
		wholeRow(t, user, row, newest, max(deleted, newest-store.Versions))
		acks[user] = acknowledged{newest, deleted}
	}
}

// wholeRow wants the generations from newest down to oldest, without oldest itself, of every shelf.
func wholeRow(t *testing.T, user string, row store.Row, newest, oldest int64) {
	t.Helper()
	var want []store.Cell
	for shelf := range killShelves {
		for generation := newest; generation > oldest; generation-- {
			want = append(want, killCells(user, generation)[shelf])
		}
	}
	if len(row.Cells) != len(want) {
		t.Errorf("%s: %d cells, want %d: generations %d down to %d", user, len(row.Cells), len(want), newest, oldest+1)
		return
	}
	for i, c := range row.Cells {
		if c.Shelf != want[i].Shelf || !c.AsOf.Equal(want[i].AsOf) || !bytes.Equal(c.Data, want[i].Data) {
			t.Errorf("%s: cell %d is %s of %v, want %s of %v with its data", user, i, c.Shelf, c.AsOf, want[i].Shelf, want[i].AsOf)
		}
	}
}

// loadForBenchmark fills an engine's directory, says so, and waits to be killed.
func loadForBenchmark(engineName, dir string) error {
	for _, e := range engines {
		if e.name == engineName {
			eng, err := e.open(dir, 32)
			if err != nil {
				return err
			}
			if err := load(eng); err != nil {
				return err
			}
			fmt.Println("loaded")
			var forEver sync.WaitGroup
			forEver.Add(1)
			forEver.Wait()
		}
	}
	return fmt.Errorf("no engine %q", engineName)
}
