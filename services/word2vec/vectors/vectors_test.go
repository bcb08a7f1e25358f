package vectors_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"homefeed/services/word2vec/dot"
	"homefeed/services/word2vec/vectors"
)

func three(t testing.TB) *vectors.Vectors {
	t.Helper()
	v, err := vectors.New([]string{"a", "b:1", "c"}, 2, []float32{3, 4, 0, -2, 1e-30, 0})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNewScalesToLengthOne(t *testing.T) {
	v := three(t)
	if v.Len() != 3 || v.Dim() != 2 || v.ID(1) != "b:1" {
		t.Fatalf("%d vectors of %d, second %q", v.Len(), v.Dim(), v.ID(1))
	}
	for i, want := range [][]float32{{.6, .8}, {0, -1}, {1, 0}} {
		if diff := cmp.Diff(want, v.At(i)); diff != "" {
			t.Errorf("vector %d (-want +got)\n%s", i, diff)
		}
	}
	if i, ok := v.Find("c"); i != 2 || !ok {
		t.Errorf("Find(c) = %d, %v", i, ok)
	}
	if _, ok := v.Find("d"); ok {
		t.Error("an unknown id is found")
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for name, test := range map[string]struct {
		ids  []string
		dim  int
		data []float32
		want string
	}{
		"no dimension":    {[]string{"a"}, 0, nil, "dimension 0: want 1 to 4096"},
		"large dimension": {[]string{"a"}, 5000, nil, "dimension 5000"},
		"none":            {nil, 2, nil, "no vectors"},
		"too few":         {[]string{"a", "b"}, 2, []float32{1, 2, 3}, "3 values: want 4"},
		"id":              {[]string{"a b"}, 1, []float32{1}, `vector 1: id "a b": want 1–128 of`},
		"twice":           {[]string{"a", "a"}, 1, []float32{1, 2}, `vector 2: id "a" is also that of vector 1`},
		"NaN":             {[]string{"a"}, 2, []float32{1, nan}, `vector 1: id "a": value 2 is NaN`},
		"infinite":        {[]string{"a"}, 2, []float32{inf, 1}, `value 1 is -Inf`},
		"zero":            {[]string{"a"}, 2, []float32{0, 0}, "all values are 0"},
	} {
		if _, err := vectors.New(test.ids, test.dim, test.data); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, test.want)
		}
	}
}

func TestDigestTellsContentsApart(t *testing.T) {
	digests := map[string]string{}
	for name, v := range map[string]struct {
		ids  []string
		dim  int
		data []float32
	}{
		"one":         {[]string{"a", "b"}, 2, []float32{1, 0, 0, 1}},
		"other id":    {[]string{"a", "c"}, 2, []float32{1, 0, 0, 1}},
		"other order": {[]string{"b", "a"}, 2, []float32{1, 0, 0, 1}},
		"other value": {[]string{"a", "b"}, 2, []float32{1, 0, 1, 1}},
		"other shape": {[]string{"a", "b", "c", "d"}, 1, []float32{1, -1, 1, 1}},
	} {
		made, err := vectors.New(v.ids, v.dim, v.data)
		if err != nil {
			t.Fatal(err)
		}
		digest := made.Digest()
		if same, taken := digests[digest]; taken || len(digest) != 16 {
			t.Errorf("%s has the digest %q, as %s", name, digest, same)
		}
		digests[digest] = name
	}
	if a, b := three(t).Digest(), three(t).Digest(); a != b {
		t.Errorf("digests of one content: %s and %s", a, b)
	}
}

// everything is what can be read out of vectors.
func everything(v *vectors.Vectors) map[string][]float32 {
	all := map[string][]float32{}
	for i := range v.Len() {
		all[fmt.Sprint(i, " ", v.ID(i))] = v.At(i)
	}
	return all
}

func TestSaveAndLoad(t *testing.T) {
	v := three(t)
	for _, name := range []string{"m.bin", "m.txt", "m.bin.gz", "m.txt.gz"} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("an older model"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := vectors.Save(path, v); err != nil {
			t.Fatal(err)
		}
		got, err := vectors.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(everything(v), everything(got)); diff != "" {
			t.Errorf("%s (-saved +loaded)\n%s", name, diff)
		}
		if files, _ := os.ReadDir(dir); len(files) != 1 {
			t.Errorf("%s: saving left %v", name, files)
		}
	}
	if err := vectors.Save(filepath.Join(t.TempDir(), "gone", "m.bin"), v); err == nil {
		t.Error("saved into a directory that isn't there")
	}
	for _, path := range []string{"m", "m.csv", "m.gz"} {
		_, loadErr := vectors.Load(path)
		for _, err := range []error{vectors.Save(path, v), loadErr, vectors.CheckPath(path)} {
			if err == nil || !strings.Contains(err.Error(), "want a name that ends in .bin") {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

func TestBinaryIsAsWord2vecWritesIt(t *testing.T) {
	var b bytes.Buffer
	if err := vectors.WriteBinary(&b, three(t)); err != nil {
		t.Fatal(err)
	}
	want := append([]byte("3 2\na "), raw(.6, .8)...)
	want = append(append(want, "\nb:1 "...), raw(0, -1)...)
	want = append(append(append(want, "\nc "...), raw(1, 0)...), '\n')
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("%q, want %q", b.Bytes(), want)
	}
	var text bytes.Buffer
	if err := vectors.WriteText(&text, three(t)); err != nil || text.String() != "3 2\na 0.6 0.8\nb:1 0 -1\nc 1 0\n" {
		t.Errorf("%q, %v", text.String(), err)
	}
}

func raw(values ...float32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// Files of other makers: gensim writes no line feed between vectors; word2vec.c starts with </s>; a value may
// look like a blank or a line feed.
func TestReadsFilesOfOthers(t *testing.T) {
	blank := math.Float32frombits(binary.LittleEndian.Uint32([]byte("\n \n ")))
	file := append([]byte("3 2\n</s> "), raw(1, 2)...)
	file = append(append(file, "a "...), raw(blank, 0)...)
	file = append(append(file, "\nb "...), raw(0, 2)...)
	v, err := vectors.ReadBinary(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]float32{"0 a": {1, 0}, "1 b": {0, 1}}
	if diff := cmp.Diff(want, everything(v)); diff != "" {
		t.Errorf("binary (-want +got)\n%s", diff)
	}
	v, err = vectors.ReadText(strings.NewReader("3 2\n</s> 0 0\n\na  1e-3 0 \r\nb 0.0 +5\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, everything(v)); diff != "" {
		t.Errorf("text (-want +got)\n%s", diff)
	}
}

func TestReadSaysWhereItIsWrong(t *testing.T) {
	good := append(append([]byte("2 2\na "), raw(1, 2)...), append([]byte("\nb "), raw(3, 4)...)...)
	binaries := map[string]struct {
		file []byte
		want string
	}{
		"empty":            {nil, "header: the file is truncated"},
		"no header":        {bytes.Repeat([]byte("x"), 100), "header: no line feed in 64 bytes"},
		"one number":       {[]byte("2\n"), `header "2": want the number of vectors and their dimension`},
		"negative":         {[]byte("-2 2\n"), `header "-2 2": number of vectors: want 1 to`},
		"huge number":      {[]byte("99999999999999999999 2\n"), "number of vectors"},
		"huge dimension":   {[]byte("2 4097\n"), `dimension: want 1 to 4096`},
		"truncated vector": {good[:len(good)-1], "vector 2 of 2, byte 24: the file is truncated"},
		"truncated id":     {good[:15], "vector 2 of 2, byte 15: the file is truncated"},
		"truncated count":  {append([]byte("3"), good[1:]...), "vector 3 of 3, byte 25: the file is truncated"},
		"smaller count":    {append([]byte("1"), good[1:]...), "byte 17: more after the 1 vectors of dimension 2"},
		"other dimension":  {append([]byte("2 9"), good[3:]...), "vector 1 of 2, byte 25: the file is truncated"},
		"NaN":              {append([]byte("1 1\na "), raw(float32(math.NaN()))...), `vector 1 of 1, byte 6: id "a": value 1 is NaN`},
		"zero":             {append([]byte("1 1\na "), raw(0)...), `id "a": all values are 0`},
		"sentence ends":    {append([]byte("1 1\n</s> "), raw(1)...), "no vectors of tracks"},
		"long id":          {append([]byte("1 1\n"), bytes.Repeat([]byte("x"), 200)...), "no blank behind the id"},
		"empty id":         {append([]byte("1 1\n "), raw(1)...), `id "": want`},
	}
	for name, test := range binaries {
		_, err := vectors.ReadBinary(bytes.NewReader(test.file))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("binary, %s: error %v, want one with %q", name, err, test.want)
		}
	}
	texts := map[string]struct{ file, want string }{
		"empty":         {"", "header: the file is truncated"},
		"few values":    {"2 2\na 1 2\nb 1\n", `line 3: id "b": 1 values: want 2, as the header says`},
		"many values":   {"1 2\na 1 2 3\n", `line 2: id "a": 3 values: want 2`},
		"no number":     {"1 2\na 1 x\n", `line 2: id "a": value 2 is "x": want a number`},
		"too large":     {"1 2\na 1 1e39\n", `value 2 is "1e39": want a number within a float32`},
		"NaN":           {"1 2\na 1 NaN\n", `line 2: id "a": value 2 is NaN: want a finite number`},
		"truncated":     {"2 1\na 1\n", "line 2: the file is truncated: 1 of 2 vectors"},
		"more":          {"1 1\na 1\nb 1\n", "line 3: more than the 1 vectors"},
		"twice":         {"2 1\na 1\na 1\n", `line 3: id "a" is also that of vector 1`},
		"a long line":   {"1 1\na " + strings.Repeat("0", 9999) + "\n", "line 2: bufio.Scanner: token too long"},
		"sentence ends": {"1 1\n</s> 1\n", "no vectors of tracks"},
	}
	for name, test := range texts {
		_, err := vectors.ReadText(strings.NewReader(test.file))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("text, %s: error %v, want one with %q", name, err, test.want)
		}
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	fmt.Fprint(w, "2 1\na 1\nb 2\n")
	w.Close()
	path := filepath.Join(t.TempDir(), "m.txt.gz")
	for name, test := range map[string]struct {
		file []byte
		want string
	}{
		"cut":  {zipped.Bytes()[:zipped.Len()-4], "unexpected EOF"},
		"none": {[]byte("2 1\na 1\nb 2\n"), "gzip: invalid header"},
	} {
		if err := os.WriteFile(path, test.file, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := vectors.Load(path)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFormatsKeepEveryVector(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dim := rapid.IntRange(1, 9).Draw(t, "dim")
		ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Za-z0-9._:-]{1,128}`), 1, 9, rapid.ID).Draw(t, "ids")
		data := rapid.SliceOfN(rapid.OneOf(rapid.Float32Range(-1e30, 1e30), rapid.Float32Range(-1e-30, 1e-30), rapid.Float32Range(-.5, .5)), len(ids)*dim, len(ids)*dim).Draw(t, "data")
		for i := range ids {
			data[i*dim] = max(data[i*dim], 1e-30) // no vector of zeros
		}
		v, err := vectors.New(ids, dim, data)
		if err != nil {
			t.Fatal(err)
		}
		var bin, text bytes.Buffer
		if err := vectors.WriteBinary(&bin, v); err != nil {
			t.Fatal(err)
		}
		if err := vectors.WriteText(&text, v); err != nil {
			t.Fatal(err)
		}
		fromBin, err := vectors.ReadBinary(&bin)
		if err != nil {
			t.Fatal(err)
		}
		fromText, err := vectors.ReadText(&text)
		if err != nil {
			t.Fatal(err)
		}
		if a, b, c := v.Digest(), fromBin.Digest(), fromText.Digest(); a != b || a != c {
			t.Fatalf("digest %s, %s from binary, %s from text", a, b, c)
		}
	})
}

func FuzzReadBinary(f *testing.F) {
	var b bytes.Buffer
	if err := vectors.WriteBinary(&b, three(f)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("50000000 4096\na "))
	f.Fuzz(func(t *testing.T, file []byte) {
		v, err := vectors.ReadBinary(bytes.NewReader(file))
		check(t, v, err, len(file))
	})
}

func FuzzReadText(f *testing.F) {
	f.Add([]byte("2 2\na 1 2\nb 3 4\n"))
	f.Add([]byte("50000000 4096\na 1"))
	f.Fuzz(func(t *testing.T, file []byte) {
		v, err := vectors.ReadText(bytes.NewReader(file))
		check(t, v, err, len(file))
	})
}

// check holds whatever was read to what Vectors promises.
func check(t *testing.T, v *vectors.Vectors, err error, size int) {
	t.Helper()
	if err != nil {
		return
	}
	if v.Len() == 0 || v.Len()*v.Dim() > size {
		t.Fatalf("%d vectors of dimension %d from %d bytes", v.Len(), v.Dim(), size)
	}
	for i := range v.Len() {
		if found, ok := v.Find(v.ID(i)); !ok || found != i {
			t.Fatalf("vector %d, %q, is found at %d, %v", i, v.ID(i), found, ok)
		}
		if length := dot.One(v.At(i), v.At(i)); math.Abs(float64(length)-1) > 1e-3 {
			t.Fatalf("vector %d has length² %v", i, length)
		}
	}
}
