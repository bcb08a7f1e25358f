package train

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"homefeed/services/word2vec/evaluate"
	"homefeed/services/word2vec/sgns"
)

func small() sgns.Config {
	cfg := sgns.Default()
	cfg.Dim, cfg.Epochs, cfg.Sample = 8, 40, 0
	return cfg
}

// mixed writes a file of playlists in two groups of 12 tracks, in which any track of its group may come next.
func mixed(t *testing.T) string {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	var b strings.Builder
	for i := range 500 {
		for range 8 {
			fmt.Fprintf(&b, "%c%d ", "ab"[i%2], r.IntN(12))
		}
		b.WriteString("\n")
	}
	path := filepath.Join(t.TempDir(), "mixed.txt")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// scores are the HR@10 in a table by the name of the row.
func scores(t *testing.T, table string) map[string]float64 {
	t.Helper()
	found := map[string]float64{}
	for _, row := range regexp.MustCompile(`(?m)^ *(\S.*?)  +(0\.\d{4})(?: ± 0\.\d{4}| {9})  0\.\d{4}(?: ± 0\.\d{4}| {9})$`).FindAllStringSubmatch(table, -1) {
		hr, err := strconv.ParseFloat(row[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		found[row[1]] = hr
	}
	return found
}

func TestEvalTellsHowGoodItIs(t *testing.T) {
	var out bytes.Buffer
	cfg := EvalConfig{Source: Source{In: mixed(t)}, Test: Test{Seeds: 2}, Config: small()}
	if err := Eval(t.Context(), cfg, &out); err != nil {
		t.Fatal(err)
	}
	got := scores(t, out.String())
	// Ten of a group's 12 tracks are answered, and one in twelve playlists asks for the track that it asks with.
	// Popularity knows no groups.
	if len(got) != 3 || got["word2vec"] < .7 || got["Markov"] < .7 || got["popularity"] > .5 {
		t.Errorf("scores %v in\n%s", got, out.String())
	}
	if regexp.MustCompile(`(popularity|Markov).*±`).MatchString(out.String()) {
		t.Errorf("a spread of what is always the same in\n%s", out.String())
	}
	for _, want := range []string{"seed 1 of 2, epoch 40 of 40, 100%", "seed 2 of 2, epoch", "The next track in 500 playlists"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestSweepTriesEverySetting(t *testing.T) {
	var out bytes.Buffer
	cfg := SweepConfig{Source: Source{In: mixed(t)}, Test: Test{Seeds: 1, Queries: 100}, Config: small()}
	cfg.Chart = filepath.Join(t.TempDir(), "sweep.svg")
	cfg.Windows, cfg.Exponents = []int{1, 3}, []float64{-.5, .75}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(t.Context(), cfg, &out); err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(cfg.Chart)
	if err != nil {
		t.Fatal(err)
	}
	got := scores(t, out.String())
	if len(got) != 6 {
		t.Errorf("rows %v in\n%s", got, out.String())
	}
	for name, hr := range got {
		if !bytes.Contains(svg, []byte(name)) || !bytes.Contains(svg, fmt.Appendf(nil, "%.4f</text>", hr)) {
			t.Errorf("%s, %.4f, is not in\n%s", name, hr, svg)
		}
	}
	for _, want := range []string{"window 1 exponent -0.5", "window 3 exponent 0.75", "setting 4 of 4, window 3 exponent 0.75, seed 1 of 1, epoch"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// A simple way is a dashed line from above the first setting to below the last.
func TestChartDrawsSimpleWays(t *testing.T) {
	one := result{"one", evaluate.Summary{Mean: evaluate.Score{HitRate: .1, NDCG: .05}}}
	drawn := chart("", []result{one, one}, []result{one})
	dashed := regexp.MustCompile(`<line x1="(.*?)" y1="(\d+)" x2="(.*?)" y2="(\d+)" stroke="#777" stroke-dasharray`).FindSubmatch(drawn)
	if dashed == nil {
		t.Fatalf("no dashed line in\n%s", drawn)
	}
	top, _ := strconv.Atoi(string(dashed[2]))
	bottom, _ := strconv.Atoi(string(dashed[4]))
	if !bytes.Equal(dashed[1], dashed[3]) || top >= headHeight || bottom < headHeight+2*rowHeight {
		t.Errorf("dashed line %s: want one upright past %d to %d", dashed[0], headHeight, headHeight+2*rowHeight)
	}
}

func TestChartIsXML(t *testing.T) {
	odd := []result{{name: `<&">`, Summary: evaluate.Summary{Mean: evaluate.Score{HitRate: .1, NDCG: .05}}}}
	for name, drawn := range map[string][]byte{"odd names": chart(`<&">`, odd, odd), "nothing": chart("", nil, nil), "zeros": chart("", []result{{}}, nil)} {
		decoder := xml.NewDecoder(bytes.NewReader(drawn))
		for {
			_, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v in\n%s", name, err, drawn)
			}
		}
		if bytes.Contains(drawn, []byte("NaN")) {
			t.Errorf("%s: NaN in\n%s", name, drawn)
		}
	}
}
