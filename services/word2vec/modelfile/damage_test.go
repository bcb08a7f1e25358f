package modelfile_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"homefeed/services/word2vec/ivf"
	"homefeed/services/word2vec/modelfile"
	"homefeed/services/word2vec/vectors"
)

// Where things are in the header; see format.go.
const (
	formatAt, dimAt, sectionsAt, sectionSize = 8, 12, 24, 24
	vectorsSection, scalesSection            = 2, 4
	orderSection                             = 7
	cellStartsSection                        = 14
	sections                                 = 15
	checksumAt                               = sectionsAt + sections*sectionSize + 24 + 8 + 24 + 16 + 64
)

func fileOf(t testing.TB, v *vectors.Vectors, o modelfile.Options) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := newModel(t, v, o).Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// resealed mends the checksums of a changed file, as only a wrong writer would.
func resealed(file []byte) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	for i := range sections {
		s := file[sectionsAt+i*sectionSize:]
		from, n := binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint64(s[8:])
		if from <= uint64(len(file)) && n <= uint64(len(file))-from {
			binary.LittleEndian.PutUint32(s[16:], crc32.Checksum(file[from:from+n], table))
		}
	}
	binary.LittleEndian.PutUint32(file[checksumAt:], crc32.Checksum(file[:checksumAt], table))
	return file
}

func refused(t *testing.T, file []byte) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.hfm")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := modelfile.Open(path)
	if err == nil {
		c.Close()
	}
	return err
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	v := random(t, 300, 10)
	good := fileOf(t, v, modelfile.Options{Labels: someLabels(v), Index: ivf.Options{Lists: 10}})
	section := func(file []byte, i int) []byte {
		at := binary.LittleEndian.Uint64(file[sectionsAt+i*sectionSize:])
		return file[at:]
	}
	put := binary.LittleEndian.PutUint32
	nan := math.Float32bits(float32(math.NaN()))
	for want, spoil := range map[string]func(f []byte) []byte{
		`it starts with "": want a model`:                        func(f []byte) []byte { return nil },
		`it starts with "\x1f\x8b": want a model`:                func(f []byte) []byte { return []byte("\x1f\x8b") },
		"the header is truncated, want":                          func(f []byte) []byte { return f[:100] },
		"format version 1: want 2: build the model again":        func(f []byte) []byte { put(f[formatAt:], 1); return f },
		"cell 0 starts at list 1: want 0":                        func(f []byte) []byte { put(section(f, cellStartsSection), 1); return resealed(f) },
		"header is damaged: checksum":                            func(f []byte) []byte { f[dimAt] ^= 1; return f },
		"the file is truncated, or has something behind":         func(f []byte) []byte { return f[:len(f)-1] },
		fmt.Sprintf("%d bytes: want %d", len(good)+1, len(good)): func(f []byte) []byte { return append(f, 0) },
		"section 2, bytes":                                       func(f []byte) []byte { section(f, vectorsSection)[77] ^= 8; return f },
		"is damaged: checksum":                                   func(f []byte) []byte { section(f, scalesSection)[1] ^= 1; return f },
		"dimension 0: want 1 to 4096":                            func(f []byte) []byte { put(f[dimAt:], 0); return resealed(f) },
		"dimension 5000: want 1 to 4096":                         func(f []byte) []byte { put(f[dimAt:], 5000); return resealed(f) },
		"4800 values: want 7200, for 300 rows of dimension 20":   func(f []byte) []byte { put(f[dimAt:], 20); return resealed(f) },
		"row 0: the square of its length is NaN: want 1":         func(f []byte) []byte { put(section(f, vectorsSection), nan); return resealed(f) },
		"scale 7 of codes is NaN":                                func(f []byte) []byte { put(section(f, scalesSection)[28:], nan); return resealed(f) },
		"recall NaN: want 0 to 1": func(f []byte) []byte {
			binary.LittleEndian.PutUint64(f[checksumAt-104:], math.Float64bits(math.NaN()))
			return resealed(f)
		},
		"want it within the file": func(f []byte) []byte { put(f[sectionsAt+8:], 1<<31); return resealed(f) },
		"slots: want a power of 2 from 600 on": func(f []byte) []byte {
			put(f[sectionsAt+(orderSection+3)*sectionSize+8:], 2048-4)
			return resealed(f)
		},
		"ids: slot":                  func(f []byte) []byte { put(section(f, orderSection+3), 301); return resealed(f) },
		"id of row 0: want 1–128 of": func(f []byte) []byte { section(f, orderSection+2)[0] = ' '; return resealed(f) },
		"order: row 1 is at": func(f []byte) []byte {
			copy(section(f, orderSection)[4:8], section(f, orderSection)[:4])
			return resealed(f)
		},
		"labels: 1 names, 299 words": func(f []byte) []byte {
			put(f[sectionsAt+(orderSection+4)*sectionSize+8:], 3)
			put(f[sectionsAt+(orderSection+5)*sectionSize+8:], 8*299)
			return resealed(f)
		},
	} {
		err := refused(t, spoil(slices.Clone(good)))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "m.hfm") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := refused(t, resealed(slices.Clone(good))); err != nil {
		t.Errorf("a sound file is refused: %v", err)
	}
	if _, err := modelfile.Open(filepath.Join(t.TempDir(), "gone.hfm")); !os.IsNotExist(unwrapped(err)) {
		t.Errorf("no file: %v", err)
	}
	if _, err := modelfile.Open(t.TempDir()); err == nil {
		t.Error("a directory was opened")
	}
}

// The reason is one of few, whatever the error says.
func TestReasonOf(t *testing.T) {
	good := fileOf(t, random(t, 5, 2), modelfile.Options{})
	for name, test := range map[string]struct {
		want modelfile.Reason
		name string
		file []byte
	}{
		"text":           {modelfile.Unknown, "m.hfm", []byte("once upon a time")},
		"of tomorrow":    {modelfile.Unknown, "m.hfm", flipped(good, formatAt)},
		"a strange name": {modelfile.Unknown, "m.xls", good},
		"empty":          {modelfile.Unknown, "m.hfm", nil},
		"cut off early":  {modelfile.Truncated, "m.hfm", good[:99]},
		"cut off late":   {modelfile.Truncated, "m.hfm", good[:len(good)-1]},
		"flipped":        {modelfile.Damaged, "m.hfm", flipped(good, dimAt)},
		"flipped later":  {modelfile.Damaged, "m.hfm", flipped(good, len(good)-64)},
		"no such dim":    {modelfile.Invalid, "m.hfm", resealed(flipped(good, dimAt+3))},
		"cut vectors":    {modelfile.Truncated, "m.bin", []byte("2 1\na \x00\x00\x80\x3f")},
		"words":          {modelfile.Invalid, "m.txt", []byte("1 1\na b")},
		"none":           {modelfile.Unreadable, "../gone/m.hfm", nil},
	} {
		path := filepath.Join(t.TempDir(), test.name)
		if test.want != modelfile.Unreadable {
			if err := os.WriteFile(path, test.file, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := modelfile.Load(path)
		if got := modelfile.ReasonOf(err); err == nil || got != test.want {
			t.Errorf("%s: %q of %v, want %q", name, got, err, test.want)
		}
		if !slices.Contains(modelfile.Reasons[:], test.want) {
			t.Errorf("%q is not among the reasons", test.want)
		}
	}
}

// flipped is a copy with a bit of one byte changed.
func flipped(file []byte, at int) []byte {
	file = slices.Clone(file)
	file[at] ^= 1
	return file
}

func unwrapped(err error) error {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		if _, ok := err.(*os.PathError); ok {
			return err
		}
		err = inner.Unwrap()
	}
}

// Every single bit matters, or lies between the sections.
func TestEveryBitIsChecked(t *testing.T) {
	good := fileOf(t, random(t, 5, 2), modelfile.Options{Labels: map[string][]string{"artist0.track-0": {"SE"}}})
	within := make([]bool, len(good))
	for i := range checksumAt + 4 {
		within[i] = true
	}
	for i := range sections {
		s := good[sectionsAt+i*sectionSize:]
		from, n := binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint64(s[8:])
		for at := from; at < from+n; at++ {
			within[at] = true
		}
	}
	path := filepath.Join(t.TempDir(), "m.hfm")
	for at := range good {
		if !within[at] {
			continue
		}
		flipped := slices.Clone(good)
		flipped[at] ^= 1 << (at % 8)
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := modelfile.Open(path); err == nil {
			c.Close()
			t.Errorf("byte %d of %d changed, and nobody noticed", at, len(good))
		}
	}
}

// FuzzOpen feeds files with and without sound checksums: whatever is opened must be fit for use.
func FuzzOpen(f *testing.F) {
	v := random(f, 40, 3)
	f.Add(fileOf(f, v, modelfile.Options{Labels: someLabels(v), Index: ivf.Options{Lists: 4}}), false)
	f.Add(fileOf(f, random(f, 1, 1), modelfile.Options{}), true)
	f.Add([]byte("homefeed"), true)
	path := filepath.Join(f.TempDir(), "m.hfm")
	f.Fuzz(func(t *testing.T, file []byte, seal bool) {
		if seal && len(file) >= checksumAt+4 {
			file = resealed(slices.Clone(file))
		}
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := modelfile.Open(path)
		if err != nil {
			return
		}
		defer c.Close()
		for row := range c.Len() {
			c.Find(c.ID(row))
		}
		c.Find("gone")
		accept := c.Accept(c.Labels(), []string{"SE"})
		hits, err := c.Search(t.Context(), ivf.Query{Vector: c.Row(0), K: 3, Accept: accept})
		if err != nil || len(hits) > 3 {
			t.Fatalf("%d hits, %v", len(hits), err)
		}
		c.Vectors() // which may find an id twice
	})
}
