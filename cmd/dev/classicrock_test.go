package main

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"homefeed/cmd/homefeed/replay"
)

// classicrock is real listening beside the checkout; a checkout alone doesn't have it.
var classicrock = filepath.Join("..", "..", "..", "shared", "data", "classicrock")

// TestClassicRock replays six days of real plays and compares two shelves of every listener's Home with what a few
// lines count from the file, which share nothing with the way through.
func TestClassicRock(t *testing.T) {
	if _, err := os.Stat(classicrock); err != nil {
		t.Skipf("no real listening here: %v", err)
	}
	want := readPlays(t)
	dev := newInstance(t, "-catalog", filepath.Join(classicrock, "tracks.tsv.gz"))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	started := time.Now()
	if err := replay.Run(ctx, replay.Config{
		File: filepath.Join(classicrock, "events.tsv.gz"), Format: replay.TSV,
		Catalog: filepath.Join(classicrock, "tracks.tsv.gz"), Shift: true,
		To: dev.url, Token: "dev-service:importer",
	}, io.Discard); err != nil {
		t.Fatal(err)
	}
	t.Logf("replayed in %v", time.Since(started).Round(time.Millisecond))
	for user, plays := range want {
		recent, heavy := plays.recent(30), plays.heavy(20)
		eventually(t, 3*time.Minute, func() error {
			home, err := dev.home(ctx, user)
			if err != nil {
				return err
			}
			for name, tracks := range map[string][]string{"recently_played": recent, "heavy_rotation": heavy} {
				if diff := gocmp.Diff(tracks, uris(home[name])); diff != "" {
					return fmt.Errorf("%s of %s (-file +home):\n%s", name, user, diff)
				}
			}
			return nil
		})
	}
	t.Logf("all %d listeners right after %v", len(want), time.Since(started).Round(time.Millisecond))
	dev.stop()
}

// plays of one listener, in the order of the file, which is the order of time.
type plays []struct {
	at    int64
	track string
}

func readPlays(t *testing.T) map[string]plays {
	t.Helper()
	f, err := os.Open(filepath.Join(classicrock, "events.tsv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]plays{}
	for s := bufio.NewScanner(z); s.Scan(); {
		col := strings.Split(s.Text(), "\t")
		if col[2] != "play" {
			continue
		}
		at, err := strconv.ParseInt(col[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		by[col[1]] = append(by[col[1]], struct {
			at    int64
			track string
		}{at, col[3]})
	}
	if len(by) != 134 {
		t.Fatalf("%d listeners in the file, want 134", len(by))
	}
	return by
}

// recent is the n newest distinct tracks, newest first.
func (p plays) recent(n int) []string {
	var tracks []string
	for i := len(p) - 1; i >= 0 && len(tracks) < n; i-- {
		if !slices.Contains(tracks, p[i].track) {
			tracks = append(tracks, p[i].track)
		}
	}
	return tracks
}

// heavy is the n tracks played most; ties: played last, then by id.
func (p plays) heavy(n int) []string {
	count, last := map[string]int{}, map[string]int64{}
	for _, x := range p {
		count[x.track]++
		last[x.track] = x.at
	}
	var tracks []string
	for track := range count {
		tracks = append(tracks, track)
	}
	slices.SortFunc(tracks, func(a, b string) int {
		return cmp.Or(count[b]-count[a], cmp.Compare(last[b], last[a]), strings.Compare(a, b))
	})
	return tracks[:min(n, len(tracks))]
}
