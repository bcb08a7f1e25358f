package catalog_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"homefeed/pipeline/event"
	"homefeed/services/catalog"
	"homefeed/shelves/shelf"
)

const small = "track\tartist\ttitle\tpopularity\timage\tyear\n" +
	"t1\tGuns N' Roses\tParadise City\t5\t\t1987\n" +
	"t2\tguns n'  roses\tPatience\t9\thttps://img.example/t2/{size}.jpg\t1988\n" +
	"t3\tBjörk\tJóga\t\t\t1997\r\n" +
	"\n" +
	"t4\tGuns N' Roses\tPATIENCE\t1\t\t2004\n"

func read(t *testing.T, text string, options ...catalog.Option) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Read(strings.NewReader(text), "test.tsv", options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLookUps(t *testing.T) {
	c := read(t, small, catalog.WithArtBase("https://art.example/"))
	if c.Len() != 4 {
		t.Errorf("Len = %d, want 4", c.Len())
	}
	got, ok := c.Track("t1")
	got.Image.Colors = nil // tested with the art
	want := shelf.Track{
		ID: "t1", Title: "Paradise City", Artist: "guns-n-roses", ArtistName: "Guns N' Roses",
		Image: shelf.Image{
			Template: "https://art.example/track/t1/{size}.svg", Alt: "Cover of Paradise City by Guns N' Roses",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("Track(t1): %v (-want +got)\n%s", ok, diff)
	}
	if t2, _ := c.Track("t2"); t2.Image.Template != "https://img.example/t2/{size}.jpg" {
		t.Errorf("the image column is not the template: %q", t2.Image.Template)
	}
	bjork, ok := c.Artist("bjork")
	if !ok || bjork.Name != "Björk" || bjork.Image.Template != "https://art.example/artist/bjork/{size}.svg" ||
		bjork.Image.Alt != "Picture of Björk" || len(bjork.Image.Colors) != 4 {
		t.Errorf("Artist(bjork) = %+v, %v", bjork, ok)
	}
	if _, ok := c.Track("t9"); ok {
		t.Error("an unknown track is known")
	}
	if _, ok := c.Artist("nobody"); ok {
		t.Error("an unknown artist is known")
	}
	for name, want := range map[string]string{"GUNS N' ROSES": "guns-n-roses", " björk ": "bjork", "Slash": ""} {
		if id, ok := c.ArtistID(name); id != want || ok != (want != "") {
			t.Errorf("ArtistID(%q) = %q, %v; want %q", name, id, ok, want)
		}
	}
	for _, look := range []struct{ artist, title, want string }{
		{"guns n' roses", "paradise  city", "t1"},
		{"Guns N' Roses", "Patience", "t2"}, // more popular than t4
		{"BJÖRK", "JÓGA", "t3"},
		{"Björk", "Patience", ""},
		{"Nobody", "Patience", ""},
	} {
		if id, ok := c.TrackID(look.artist, look.title); id != look.want || ok != (look.want != "") {
			t.Errorf("TrackID(%q, %q) = %q, %v; want %q", look.artist, look.title, id, ok, look.want)
		}
	}
}

func TestMaps(t *testing.T) {
	c := read(t, small)
	tracks, _ := c.Tracks(t.Context(), "t1", "gone", "t3")
	artists, _ := c.Artists(t.Context(), "bjork", "gone")
	of, _ := c.ArtistsOf(t.Context(), []string{"t4", "gone", "t3"})
	if len(tracks) != 2 || tracks["t3"].Title != "Jóga" || len(artists) != 1 || artists["bjork"].Name != "Björk" {
		t.Errorf("Tracks = %v, Artists = %v", tracks, artists)
	}
	if diff := cmp.Diff(map[string]string{"t4": "guns-n-roses", "t3": "bjork"}, of); diff != "" {
		t.Errorf("ArtistsOf (-want +got)\n%s", diff)
	}
}

func TestArtistTracksMostPopularFirst(t *testing.T) {
	ids := func(c *catalog.Catalog, artist string, n int) []string {
		tracks, err := c.ArtistTracks(t.Context(), artist, n)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, track := range tracks {
			ids = append(ids, track.ID)
		}
		return ids
	}
	c := read(t, small)
	if diff := cmp.Diff([]string{"t2", "t1", "t4"}, ids(c, "guns-n-roses", 10)); diff != "" {
		t.Errorf("by popularity (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"t2"}, ids(c, "guns-n-roses", 1)); diff != "" {
		t.Errorf("n = 1 (-want +got)\n%s", diff)
	}
	if got := append(ids(c, "nobody", 10), ids(c, "bjork", 0)...); got != nil {
		t.Errorf("an unknown artist or n = 0 has tracks %v", got)
	}
	plain := read(t, "track\tartist\ttitle\nz\tA\tone\nm\tA\ttwo\na\tA\tthree\n")
	if diff := cmp.Diff([]string{"z", "m", "a"}, ids(plain, "a", 10)); diff != "" {
		t.Errorf("by the file's order (-want +got)\n%s", diff)
	}
}

func TestReadSaysWhatIsWrong(t *testing.T) {
	const head = "track\tartist\ttitle\n"
	for name, test := range map[string]struct{ text, want string }{
		"empty":        {"", "bad.tsv: empty: want a header"},
		"no title":     {"track\tartist\n", `line 1: no column "title"`},
		"twice":        {"track\tartist\ttitle\ttrack\n", `line 1: column "track" stands twice`},
		"few columns":  {head + "t1\tA\n", "line 2: 2 columns: want 3"},
		"many columns": {head + "t1\tA\tB\tC\n", "line 2: 4 columns: want 3"},
		"id":           {head + "t1\tA\tB\nt 2\tA\tB\n", `line 3: column "track": "t 2": want 1–128 of`},
		"dots":         {head + "..\tA\tB\n", `line 2: column "track": "..": want`},
		"no id":        {head + "\tA\tB\n", `line 2: column "track": "": want`},
		"no artist":    {head + "t1\t \tB\n", `line 2: column "artist": want something`},
		"no title text": {head + "t1\tA\t\n",
			`line 2: column "title": want something`},
		"not UTF-8": {head + "t1\tA\t\xff\n", `line 2: column "title": "\xff": want UTF-8`},
		"long title": {head + "t1\tA\t" + strings.Repeat("x", 301) + "\n",
			`has 301 bytes: want at most 300`},
		"same track": {head + "t1\tA\tB\n\nt1\tA\tC\n", `line 4: column "track": "t1" is also on line 2`},
		"popularity": {"track\tartist\ttitle\tpopularity\nt1\tA\tB\tNaN\n",
			`line 2: column "popularity": "NaN": want a number`},
		"long line": {head + strings.Repeat("x", 70_000), "line 2: want at most 65536 bytes"},
		"bad gzip":  {"\x1f\x8b" + strings.Repeat("?", 20), "bad.tsv: gzip: invalid header"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := catalog.Read(strings.NewReader(test.text), "bad.tsv")
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	fmt.Fprint(w, "\ufeff"+small)
	w.Close()
	path := filepath.Join(t.TempDir(), "tracks.tsv.gz")
	if err := os.WriteFile(path, zipped.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Load(path)
	if err != nil || c.Len() != 4 {
		t.Fatalf("Load: %v, %v", c, err)
	}
	if _, err := catalog.Load(path + ".gone"); err == nil || !strings.Contains(err.Error(), "opening catalogue") {
		t.Errorf("loading a missing file: %v", err)
	}
	cut := zipped.Bytes()[:zipped.Len()-12]
	if _, err := catalog.Read(bytes.NewReader(cut), "cut.gz"); err == nil || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("reading a truncated file: %v", err)
	}
}

// catalogueOf is a catalogue with one track an artist.
func catalogueOf(names []string) string {
	var b strings.Builder
	b.WriteString("track\tartist\ttitle\n")
	for i, name := range names {
		fmt.Fprintf(&b, "%d\t%s\tSong\n", i, name)
	}
	return b.String()
}

func idsOf(t *testing.T, names []string) map[string]string {
	t.Helper()
	c := read(t, catalogueOf(names))
	ids := map[string]string{}
	for _, name := range names {
		id, ok := c.ArtistID(name)
		if !ok {
			t.Fatalf("artist %q has no id", name)
		}
		ids[name] = id
	}
	return ids
}

func TestArtistIDs(t *testing.T) {
	names := []string{
		"AC/DC", "Sigur Rós", "Mötley Crüe", "Ænima", "Destiny's Child", "Simon & Garfunkel", "!!!", "東京事変", "Straße",
		"P!nk", "P.nk", strings.Repeat("long ", 60), strings.Repeat("long ", 59) + "x",
	}
	got := idsOf(t, names)
	for name, want := range map[string]string{
		"AC/DC": "ac-dc", "Sigur Rós": "sigur-ros", "Mötley Crüe": "motley-crue", "Ænima": "aenima",
		"Destiny's Child": "destinys-child", "Simon & Garfunkel": "simon-garfunkel", "Straße": "strasse",
	} {
		if got[name] != want {
			t.Errorf("the id of %q is %q, want %q", name, got[name], want)
		}
	}
	for name, want := range map[string]string{
		"!!!": "^artist-[0-9a-f]{12}$", "東京事変": "^artist-[0-9a-f]{12}$", "P!nk": "^p-nk-[0-9a-f]{12}$",
		"P.nk": "^p-nk-[0-9a-f]{12}$", names[11]: "^long-.*-l-[0-9a-f]{12}$",
	} {
		if !regexp.MustCompile(want).MatchString(got[name]) {
			t.Errorf("the id of %q is %q, want %s", name, got[name], want)
		}
	}
	// An artist may call itself as another's id.
	taken := idsOf(t, append(names, got["P!nk"]))
	if taken["P!nk"] != got["P!nk"] || taken[got["P!nk"]] == got["P!nk"] {
		t.Errorf("an artist called %q has the id of P!nk", got["P!nk"])
	}
}

func TestArtistIDsDependOnTheNamesAlone(t *testing.T) {
	name := rapid.OneOf(
		rapid.StringMatching(`[a-cA-C!\. é'ßx-]{1,4}`),
		rapid.StringMatching(`[a-b]{1,2}-[0-9a-f]{12}`),
		rapid.StringN(1, 40, 300),
	).Filter(func(s string) bool { return !strings.ContainsAny(s, "\t\r\n") && strings.TrimSpace(s) != "" })
	rapid.Check(t, func(rt *rapid.T) {
		names := rapid.SliceOfN(name, 1, 30).Draw(rt, "names")
		one := idsOf(t, names)
		rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "order"), 0)).Shuffle(len(names), func(i, j int) {
			names[i], names[j] = names[j], names[i]
		})
		if diff := cmp.Diff(one, idsOf(t, names)); diff != "" {
			rt.Fatalf("another order, other ids (-one +other)\n%s", diff)
		}
		artists := read(t, catalogueOf(names))
		for name, id := range one {
			a, ok := artists.Artist(id)
			if again, _ := artists.ArtistID(a.Name); !ok || again != id {
				rt.Fatalf("the id %q of %q leads to %q, %v", id, name, a.Name, ok)
			}
			e := event.Event{ID: "e", Kind: event.Followed, User: "ada", Object: id, Time: time.Unix(1, 0)}
			if err := e.Validate(time.Unix(2, 0)); err != nil {
				rt.Fatalf("the id of %q can't be followed: %v", name, err)
			}
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("track\tartist\ttitle\nt1\tA\tB\n"))
	f.Add([]byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := catalog.Read(bytes.NewReader(data), "fuzz")
		if err != nil {
			return
		}
		lines := slices.DeleteFunc(bytes.Split(data, []byte("\n")), func(l []byte) bool { return len(l) == 0 })
		if c.Len() > len(lines) && !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
			t.Errorf("%d tracks of %d lines", c.Len(), len(lines))
		}
	})
}
