package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"homefeed/shelves/store"
	"homefeed/shelves/store/local"
	"homefeed/shelves/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Test(t, func(t *testing.T) storetest.Opener {
		dir := t.TempDir()
		return func(t *testing.T) store.Store { return openSmall(t, dir) }
	})
}

// openSmall opens with buffers that are full soon, so that tests reach what happens then.
func openSmall(t *testing.T, dir string) *local.Store {
	t.Helper()
	s, err := local.Open(local.Config{Dir: dir, CacheBytes: 4 << 20, BufferBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		cfg  local.Config
		want string
	}{
		{local.Config{}, "dir"},
		{local.Config{Dir: dir, CacheBytes: -1}, "cache bytes"},
		{local.Config{Dir: dir, BufferBytes: 1000}, "buffer bytes"},
	} {
		if _, err := local.Open(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Open(%+v): got %v, want an error about %s", tt.cfg, err, tt.want)
		}
	}

	s := openSmall(t, dir)
	if _, err := local.Open(local.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("opening what is open: got %v, want an error about %s", err, dir)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}

	other := filepath.Join(t.TempDir(), "other")
	db, err := pebble.Open(other, &pebble.Options{FS: vfs.Default, FormatMajorVersion: pebble.FormatNewest, Logger: quiet{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Open(local.Config{Dir: other}); err == nil {
		t.Error("a database of something else was opened")
	}
}

// TestCompaction writes the same rows until they have been through every level, then wants the newest
// generations, and no more on disk than a few times what they are.
func TestCompaction(t *testing.T) {
	const rows, generations, bytesEach = 20, 200, 20 << 10
	dir := t.TempDir()
	s := openSmall(t, dir)
	var wg sync.WaitGroup
	for r := range rows {
		key := user(t, fmt.Sprint(r))
		wg.Go(func() {
			for g := range generations {
				c := store.Cell{Shelf: "s", AsOf: time.UnixMilli(int64(g)), Data: bytes.Repeat([]byte{byte(r), byte(g)}, bytesEach/2)}
				if err := s.Write(t.Context(), key, c); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for r := range rows {
		row, err := s.Read(t.Context(), user(t, fmt.Sprint(r)), store.Versions)
		if err != nil || len(row.Cells) != store.Versions {
			t.Fatalf("row %d: %d cells, %v, want %d", r, len(row.Cells), err, store.Versions)
		}
		for i, c := range row.Cells {
			g := generations - 1 - i
			if c.AsOf.UnixMilli() != int64(g) || !bytes.Equal(c.Data, bytes.Repeat([]byte{byte(r), byte(g)}, bytesEach/2)) {
				t.Errorf("row %d: cell %d is of %v, want generation %d and its data", r, i, c.AsOf, g)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	kept := int64(rows * store.Versions * bytesEach)
	if got := size(t, dir); got > 20*kept {
		t.Errorf("%d bytes on disk for %d that are kept, of %d written", got, kept, rows*generations*bytesEach)
	}
}

// TestLargestWrite writes as much at once as the contract allows: many times a buffer.
func TestLargestWrite(t *testing.T) {
	dir := t.TempDir()
	s := openSmall(t, dir)
	cells := make([]store.Cell, store.MaxCells)
	for i := range cells {
		cells[i] = store.Cell{Shelf: fmt.Sprintf("s%03d", i), AsOf: time.UnixMilli(1), Data: bytes.Repeat([]byte{byte(i)}, store.MaxCell)}
	}
	if err := s.Write(t.Context(), user(t, "large"), cells...); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSmall(t, dir)
	defer s.Close()
	row, err := s.Read(t.Context(), user(t, "large"), 1)
	if err != nil || len(row.Cells) != len(cells) {
		t.Fatalf("%d cells, %v, want %d", len(row.Cells), err, len(cells))
	}
	for i, c := range row.Cells {
		if c.Shelf != cells[i].Shelf || !bytes.Equal(c.Data, cells[i].Data) {
			t.Errorf("cell %d is not what was written", i)
		}
	}
}

// TestDamagedBlock holds that a block that has gone bad costs its own rows, and neither the process nor the others.
func TestDamagedBlock(t *testing.T) {
	const rows, bytesEach = 40, 64 << 10
	dir := t.TempDir()
	s := openSmall(t, dir)
	for r := range rows {
		c := store.Cell{Shelf: "s", AsOf: time.UnixMilli(1), Data: bytes.Repeat([]byte{byte(r)}, bytesEach)}
		if err := s.Write(t.Context(), user(t, fmt.Sprint(r)), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openSmall(t, dir).Close() // writes what is in the log to tables
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables: %q, %v", tables, err)
	}
	data, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	data[bytesEach/2] ^= 1
	if err := os.WriteFile(tables[0], data, 0o600); err != nil {
		t.Fatal(err)
	}

	s = openSmall(t, dir)
	defer s.Close()
	bad := 0
	for r := range rows {
		row, err := s.Read(t.Context(), user(t, fmt.Sprint(r)), 1)
		switch {
		case err != nil:
			bad++
			if len(row.Cells) > 0 || !pebble.IsCorruptionError(err) {
				t.Errorf("row %d: %v, %v, want an error alone, about corruption", r, row, err)
			}
		case len(row.Cells) != 1 || !bytes.Equal(row.Cells[0].Data, bytes.Repeat([]byte{byte(r)}, bytesEach)):
			t.Errorf("row %d: not what was written, and no error", r)
		}
	}
	if bad == 0 || bad > 2 {
		t.Errorf("%d rows of %d can't be read, want the one or two of a block", bad, rows)
	}
}

// TestDiskThatHangs holds that a caller can leave while the disk hangs, that Close can't, and that the write
// is whole afterwards.
func TestDiskThatHangs(t *testing.T) {
	var once sync.Once
	armed, reached, release := make(chan struct{}), make(chan struct{}), make(chan struct{})
	mem := vfs.NewMem()
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		select {
		case <-armed:
			if strings.HasSuffix(op.Path, ".log") && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
				once.Do(func() { close(reached) })
				<-release
			}
		default:
		}
		return nil
	}))
	s, err := local.OpenOn(fs, local.Config{Dir: "rows"})
	if err != nil {
		t.Fatal(err)
	}
	close(armed)
	key := user(t, "bob")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reached
		cancel()
	}()
	cells := []store.Cell{
		{Shelf: "a", AsOf: time.UnixMilli(1).UTC(), Data: []byte("1")},
		{Shelf: "b", AsOf: time.UnixMilli(1).UTC(), Data: []byte("1")},
	}
	if err := s.Write(ctx, key, cells...); !errors.Is(err, context.Canceled) {
		t.Fatalf("Write: got %v, want %v", err, context.Canceled)
	}
	close(release)
	if err := s.Close(); err != nil { // waits for the commit
		t.Fatal(err)
	}
	s, err = local.OpenOn(mem, local.Config{Dir: "rows"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if row, err := s.Read(t.Context(), key, 1); err != nil || len(row.Cells) != len(cells) {
		t.Errorf("after reopening: %v, %v, want both cells", row, err)
	}
}

// TestDiskThatFails holds that a process whose log can't be written ends, and acknowledges nothing.
func TestDiskThatFails(t *testing.T) {
	out, _ := child(t, "fail", t.TempDir())
	said, err := out.ReadString(0)
	if said != "opened\n" {
		t.Errorf("the child said %q (%v), want that it opened the store and nothing more", said, err)
	}
}

// writeToFailingDisk is that child.
func writeToFailingDisk(dir string) error {
	failing := make(chan struct{})
	fs := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		select {
		case <-failing:
			if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData {
				return errors.New("the disk is gone")
			}
		default:
		}
		return nil
	}))
	s, err := local.OpenOn(fs, local.Config{Dir: dir})
	if err != nil {
		return err
	}
	fmt.Println("opened")
	close(failing)
	key, err := store.UserKey("bob")
	if err != nil {
		return err
	}
	err = s.Write(context.Background(), key, store.Cell{Shelf: "s", AsOf: time.UnixMilli(1)})
	fmt.Println("the write returned", err)
	return err
}

func user(t *testing.T, user string) store.Key {
	t.Helper()
	key, err := store.UserKey(user)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
