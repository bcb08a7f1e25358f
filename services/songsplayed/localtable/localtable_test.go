package localtable_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"homefeed/services/songsplayed"
	"homefeed/services/songsplayed/localtable"
	"homefeed/services/songsplayed/tabletest"
)

func TestContract(t *testing.T) {
	tabletest.Run(t, func(t *testing.T) songsplayed.Table { return open(t, t.TempDir(), localtable.Options{}) })
}

func open(t testing.TB, dir string, o localtable.Options) *localtable.Table {
	t.Helper()
	table, err := localtable.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	return table
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, localtable.Options{})
	if second, err := localtable.Open(dir, localtable.Options{}); err == nil {
		second.Close()
		t.Error("the directory of an open table was opened again")
	}
}

// TestPowerFailure drops everything that was not synced, which is what a machine does that loses its power.
func TestPowerFailure(t *testing.T) {
	fs := vfs.NewCrashableMem()
	table := open(t, "table", localtable.Options{FS: fs})
	for batch := range 20 {
		if err := table.Put(t.Context(), batchOf(batch)); err != nil {
			t.Fatal(err)
		}
	}
	after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
	checkBatches(t, open(t, "table", localtable.Options{FS: after}), 20)
}

// The child of TestKill is this test binary again, told by the environment which directory to write to.
const childDir = "HOMEFEED_SONGSPLAYED_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// child puts batches until it is killed, and prints the number of each one that is acknowledged.
func child(dir string) int {
	table, err := localtable.Open(dir, localtable.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	first, err := countBatches(table)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for batch := first; ; batch++ {
		if err := table.Put(context.Background(), batchOf(batch)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(batch)
	}
}

const batchSize = 100

func batchOf(batch int) []songsplayed.Row {
	rows := make([]songsplayed.Row, batchSize)
	for i := range rows {
		rows[i].Key = fmt.Appendf(nil, "u#%06d#%03d", batch, i)
	}
	return rows
}

// countBatches fails if a batch is there in part.
func countBatches(table songsplayed.Table) (int, error) {
	rows := 0
	var wrong error
	err := table.Scan(context.Background(), []byte("u#"), []byte("u$"), 1<<30, func(key []byte) bool {
		if want := fmt.Sprintf("u#%06d#%03d", rows/batchSize, rows%batchSize); string(key) != want {
			wrong = fmt.Errorf("found %s where %s should be", key, want)
			return false
		}
		rows++
		return true
	})
	if err == nil {
		err = wrong
	}
	if err == nil && rows%batchSize != 0 {
		err = fmt.Errorf("%d rows: a batch is there in part", rows)
	}
	return rows / batchSize, err
}

func checkBatches(t *testing.T, table songsplayed.Table, atLeast int) {
	t.Helper()
	found, err := countBatches(table)
	if err != nil {
		t.Fatal(err)
	}
	if found < atLeast {
		t.Errorf("found %d batches; %d were acknowledged", found, atLeast)
	}
}

// TestKill kills a process that writes, again and again, after random numbers of acknowledged batches: all of them
// are there afterwards, and each whole.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(11, 7))
	for range 8 {
		last := killAfter(t, dir, 1+random.IntN(60))
		table, err := localtable.Open(dir, localtable.Options{})
		if err != nil {
			t.Fatal(err)
		}
		checkBatches(t, table, last+1)
		if err := table.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter runs the child until it has acknowledged n batches, kills it in the middle of whatever it does then, and
// returns the number of the last batch that it said is acknowledged.
func killAfter(t *testing.T, dir string, n int) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := -1
	lines := bufio.NewReader(out)
	for seen := 0; ; seen++ {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			break // a line without its end was cut off by the kill
		}
		if err != nil {
			t.Fatal(err)
		}
		if last, err = strconv.Atoi(line[:len(line)-1]); err != nil {
			t.Fatal(err)
		}
		if seen == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || ctx.Err() != nil {
		t.Fatalf("the child ended with %v, not by the kill", err)
	}
	if last < 0 {
		t.Fatal("the child acknowledged nothing")
	}
	return last
}
