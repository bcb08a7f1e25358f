package art_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"homefeed/services/catalog/art"
)

// luminance is WCAG's.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	var rgb [3]uint8
	if _, err := fmt.Sscanf(hex, "#%02x%02x%02x", &rgb[0], &rgb[1], &rgb[2]); err != nil || len(hex) != 7 {
		t.Fatalf("colour %q: %v", hex, err)
	}
	var l float64
	for i, weight := range []float64{.2126, .7152, .0722} {
		v := float64(rgb[i]) / 255
		if v <= .04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+.055)/1.055, 2.4)
		}
		l += weight * v
	}
	return l
}

func TestTextStandsOut(t *testing.T) {
	grounds := map[string]bool{}
	for i := range 2_000 {
		id := fmt.Sprint(i)
		c := art.ColorsOf(art.Track, id)
		grounds[c.Ground] = true
		a, b := luminance(t, c.Ground), luminance(t, c.Ink)
		if contrast := (max(a, b) + .05) / (min(a, b) + .05); contrast < 4.5 {
			t.Errorf("%s: ink %s on %s has contrast %.2f, want 4.5", id, c.Ink, c.Ground, contrast)
		}
		if again := art.ColorsOf(art.Track, id); again != c {
			t.Fatalf("%s: %v, then %v", id, c, again)
		}
		if list := c.List(); len(list) != 4 || list[0] != c.Ground {
			t.Fatalf("List = %v, want the ground first", list)
		}
	}
	if len(grounds) < 500 {
		t.Errorf("2,000 ids have %d grounds, want a variety", len(grounds))
	}
}

// parse fails the test unless the cover is one well-formed element, and returns its texts.
func parse(t *testing.T, svg []byte) (texts []string) {
	t.Helper()
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	inText := false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			inText = token.Name.Local == "text"
		case xml.CharData:
			if inText {
				texts = append(texts, string(token))
			}
		case xml.EndElement:
			inText = false
		}
	}
}

func TestEveryCoverIsWellFormed(t *testing.T) {
	titles := []string{
		"Learning to Fly", "O", "", "<&>\"'", "\x00\xff\u202e", strings.Repeat("Llanfairpwllgwyngyll", 9), "東京の夜",
		strings.Repeat("a b ", 70),
	}
	seen := map[string]bool{}
	for i := range 600 {
		kind := []art.Kind{art.Track, art.Artist}[i%2]
		title, size := titles[i%len(titles)], []int{16, 64, 300, 1024}[i%4]
		svg := art.Cover(kind, fmt.Sprint(i), title, titles[(i/3)%len(titles)], size)
		parse(t, svg)
		if len(svg) > 40_000 {
			t.Errorf("cover %d has %d bytes", i, len(svg))
		}
		if head := fmt.Sprintf(`width="%d" height="%d"`, size, size); !bytes.Contains(svg, []byte(head)) {
			t.Errorf("cover %d has no %s", i, head)
		}
		if bad := regexp.MustCompile(`NaN|Inf|%!`).Find(svg); bad != nil {
			t.Errorf("cover %d contains %s", i, bad)
		}
		seen[string(svg)] = true
	}
	if len(seen) != 600 {
		t.Errorf("600 ids have %d covers", len(seen))
	}
}

func TestCoverSaysWhatItIs(t *testing.T) {
	all := strings.Join(parse(t, art.Cover(art.Track, "t1", "Paradise City", "Guns & Co", 300)), "|")
	if !strings.EqualFold(all, "Paradise City|Guns & Co") {
		t.Errorf("the cover says %q", all)
	}
	small := strings.Join(parse(t, art.Cover(art.Track, "t1", "Paradise City", "Guns & Co", 48)), "|")
	if small != "PC" {
		t.Errorf("the small cover says %q", small)
	}
}

func TestInitials(t *testing.T) {
	for title, want := range map[string]string{
		"Paradise City": "PC", "one": "O", "a day in the life": "AL", "(Don't Fear) The Reaper": "DR", "!!!": "♪", "": "♪",
		"élan": "É", "99 Luftballons": "9L",
	} {
		if got := art.Initials(title); got != want {
			t.Errorf("Initials(%q) = %q, want %q", title, got, want)
		}
	}
}

func describe(kind art.Kind, id string) (title, subtitle string, ok bool) {
	if id != "t1" {
		return "", "", false
	}
	return "Title of " + string(kind), "By", true
}

func TestHandler(t *testing.T) {
	handler := art.NewHandler(describe)
	get := func(method, path, etag string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("If-None-Match", etag)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	for path, want := range map[string]int{
		"/track/t1/300.svg": 200, "/artist/t1/16.svg": 200, "/track/t1/1024.svg": 200,
		"/track/t2/300.svg": 404, "/label/t1/300.svg": 404, "/track/t1": 404,
		"/track/t1/15.svg": 400, "/track/t1/1025.svg": 400, "/track/t1/300.png": 400, "/track/t1/x.svg": 400,
		"/track/t1/99999999999999999999.svg": 400,
	} {
		if w := get("GET", path, ""); w.Code != want {
			t.Errorf("GET %s: %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
	w := get("GET", "/track/t1/300.svg", "")
	h := w.Header()
	if h.Get("Content-Type") != "image/svg+xml" || !strings.Contains(h.Get("Cache-Control"), "max-age") || h.Get("ETag") == "" {
		t.Errorf("headers %v", h)
	}
	if want := art.Cover(art.Track, "t1", "Title of track", "By", 300); !bytes.Equal(w.Body.Bytes(), want) {
		t.Error("the body is not the cover")
	}
	if again := get("GET", "/track/t1/300.svg", h.Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("with its ETag: %d, %d bytes", again.Code, again.Body.Len())
	}
	if post := get("POST", "/track/t1/300.svg", ""); post.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", post.Code)
	}
}

func FuzzCover(f *testing.F) {
	f.Add("t1", "Paradise City", "Guns N' Roses", 300)
	f.Add("", "\xff<", "]]>", 16)
	f.Fuzz(func(t *testing.T, id, title, subtitle string, size int) {
		for _, kind := range []art.Kind{art.Track, art.Artist} {
			parse(t, art.Cover(kind, id, title, subtitle, size))
		}
	})
}

func BenchmarkCover(b *testing.B) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		art.Cover(art.Track, fmt.Sprint(i), "Paradise City", "Guns N' Roses", 300)
	}
}
