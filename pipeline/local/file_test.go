package local

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testCheckpoint() *checkpoint {
	c := newCheckpoint(42, 1_700_000_000_000, true, 1)
	c.addTrends([]byte("trends"), nil)
	c.addListeners(listenersPart{states: appendBytes(appendBytes(nil, []byte("ann")), []byte("state 1")), oldest: 7})
	c.addListeners(listenersPart{states: appendBytes(appendBytes(nil, []byte("bob")), nil), oldest: 9})
	return c
}

func TestFileRoundTrip(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // the second replaces the first
		if err := writeFile(dir, testCheckpoint(), 5); err != nil {
			t.Fatal(err)
		}
	}
	k, err := readFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	if k.pos != 42 || k.floorBefore != 5 || k.watermark != 1_700_000_000_000 || string(k.trends) != "trends" {
		t.Errorf("read back %+v: want what was written", k)
	}
	got := map[string]string{}
	if err := eachListener(k.listeners, func(user string, state []byte) error {
		got[user] = string(state)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"ann": "state 1", "bob": ""}, got); diff != "" {
		t.Errorf("listeners (-want +got):\n%s", diff)
	}
	if got := testCheckpoint().floor(); got != 6 {
		t.Errorf("floor %d: want 6, before the oldest event with a refresh to come", got)
	}
}

// What a crash leaves half written is removed, and the file itself stays.
func TestPrepareDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if err := prepareDir(dir); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(dir, testCheckpoint(), 5); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, fileName+".123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := prepareDir(dir); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || files[0].Name() != fileName {
		t.Errorf("the directory has %v, %v: want %s only", files, err, fileName)
	}
}

// One byte that is another, or missing, anywhere: refused.
func TestDamagedFileIsRefused(t *testing.T) {
	var b bytes.Buffer
	if err := encodeFile(&b, testCheckpoint(), 5); err != nil {
		t.Fatal(err)
	}
	for i := range b.Len() {
		damaged := bytes.Clone(b.Bytes())
		damaged[i] ^= 1 << (i % 8)
		if _, err := decodeFile(damaged); err == nil {
			t.Fatalf("byte %d of %d is damaged: want an error", i, b.Len())
		}
		if _, err := decodeFile(b.Bytes()[:i]); err == nil {
			t.Fatalf("cut to %d of %d bytes: want an error", i, b.Len())
		}
	}
}

// Whatever the bytes: no panic.
func FuzzFile(f *testing.F) {
	var b bytes.Buffer
	if err := encodeFile(&b, testCheckpoint(), 5); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(testCheckpoint().listeners[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		visit := func(string, []byte) error { return nil }
		if k, err := decodeFile(b); err == nil {
			if err := eachListener(k.listeners, visit); err == nil && len(k.trends)+len(k.listeners) > len(b) {
				t.Fatalf("%d bytes of trends and %d of listeners in a file of %d", len(k.trends), len(k.listeners), len(b))
			}
		}
		if err := eachListener(b, visit); err == nil && len(b) == 1 {
			t.Fatal("half a pair was accepted")
		}
	})
}
