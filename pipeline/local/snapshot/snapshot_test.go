package snapshot

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func example() *Snapshot {
	return &Snapshot{
		Pos: 42, FloorBefore: 5, Watermark: 1_700_000_000_000, Trends: [][]byte{[]byte("tre"), nil, []byte("nds")},
		Listeners: [][]byte{
			AppendListener(AppendListener(nil, "ann", []byte("state 1")), "bob", nil),
			AppendListener(nil, "cy", []byte("state 3")),
		},
	}
}

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	if _, err := Read(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Read of nothing: error %v: want fs.ErrNotExist", err)
	}
	for range 2 { // the second replaces the first
		if err := Write(dir, example()); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	if err := s.EachListener(func(user string, state []byte) error {
		got[user] = string(state)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"ann": "state 1", "bob": "", "cy": "state 3"}, got); diff != "" {
		t.Errorf("listeners (-want +got):\n%s", diff)
	}
	want := example()
	want.Trends, want.Listeners, s.Listeners = [][]byte{[]byte("trends")}, nil, nil
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
}

// What a crash leaves half written is removed, and the file itself stays.
func TestPrepare(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if err := Prepare(dir); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, example()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, fileName+".123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Prepare(dir); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || files[0].Name() != fileName {
		t.Errorf("the directory has %v, %v: want %s only", files, err, fileName)
	}
}

// One bit that is another, or bytes that are missing, anywhere: refused.
func TestDamagedFileIsRefused(t *testing.T) {
	var b bytes.Buffer
	if err := encode(&b, example()); err != nil {
		t.Fatal(err)
	}
	for i := range b.Len() {
		damaged := bytes.Clone(b.Bytes())
		damaged[i] ^= 1 << (i % 8)
		if _, err := decode(damaged); err == nil {
			t.Fatalf("byte %d of %d is damaged: want an error", i, b.Len())
		}
		if _, err := decode(b.Bytes()[:i]); err == nil {
			t.Fatalf("cut to %d of %d bytes: want an error", i, b.Len())
		}
	}
}

// Whatever the bytes: no panic, and no more comes out than is in.
func FuzzDecode(f *testing.F) {
	var b bytes.Buffer
	if err := encode(&b, example()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(example().Listeners[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decode(b)
		if err != nil {
			s = &Snapshot{Listeners: [][]byte{b}}
		}
		n := 0
		for _, part := range s.Trends {
			n += len(part)
		}
		if err := s.EachListener(func(user string, state []byte) error {
			n += len(user) + len(state)
			return nil
		}); err == nil && n > len(b) {
			t.Fatalf("%d bytes of trends, users and states in %d bytes", n, len(b))
		}
	})
}
