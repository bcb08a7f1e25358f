package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"homefeed/cmd/dev/madeup"
	"homefeed/pipeline/event"
	"homefeed/services/songsplayed/localtable"
)

// TestErase erases a listener while events of theirs are on the way and a refresh is due, then sends late events of
// before and new ones of after: Home, the export and the files of songs-played have the new ones alone.
func TestErase(t *testing.T) {
	i := newInstance(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	const user = "ann"
	var tracks []string
	for e := range madeup.New(1, madeup.Sizes{Listeners: 10}).History(time.Now().AddDate(0, 0, -20), time.Now()) {
		if e.Kind == event.Played && !slices.Contains(tracks, e.Object) {
			tracks = append(tracks, e.Object)
		}
	}
	began := time.Now().UTC().Truncate(time.Millisecond)
	// play sends plays of the tracks, a millisecond apart.
	play := func(first time.Time, tracks ...string) {
		t.Helper()
		var events []event.Event
		for n, track := range tracks {
			at := first.Add(time.Duration(n) * time.Millisecond)
			events = append(events, event.Event{ID: fmt.Sprint("play-", at.UnixMilli()), Kind: event.Played, User: user, Object: track, Time: at})
		}
		if err := i.send(ctx, events); err != nil {
			t.Fatal(err)
		}
	}
	recent := func(want []string) func() error {
		return func() error {
			home, err := i.home(ctx, user)
			if err != nil {
				return err
			}
			got := uris(home["recently_played"])
			slices.Reverse(got)
			if !slices.Equal(got, want) {
				return fmt.Errorf("recently played: %v, want %v", got, want)
			}
			return nil
		}
	}
	play(began.Add(-time.Minute), tracks[:6]...)
	eventually(t, time.Minute, recent(tracks[:6]))

	play(began.Add(-time.Second), tracks[6:9]...) // on their way when the erasure comes
	var receipt struct {
		At           time.Time
		Rows, Events struct{ Deleted, Left int }
	}
	if err := json.Unmarshal(i.get(ctx, t, "DELETE", "/v1/users/"+user), &receipt); err != nil {
		t.Fatal(err)
	}
	if receipt.Rows.Deleted == 0 || receipt.Events.Deleted < 6 || receipt.Rows.Left+receipt.Events.Left != 0 || receipt.At.After(time.Now()) {
		t.Errorf("receipt %+v", receipt)
	}
	play(receipt.At.Add(-time.Hour), tracks[9:12]...) // a phone that was in a tunnel
	after := receipt.At.Add(time.Millisecond)
	play(after, tracks[12:18]...)
	eventually(t, time.Minute, recent(tracks[12:18]))

	var plays []string
	for line := range strings.Lines(string(i.get(ctx, t, "GET", "/v1/users/"+user+":export"))) {
		var l struct{ Type, Track string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.Type == "play" {
			plays = append(plays, l.Track)
		}
	}
	slices.Reverse(plays)
	if !slices.Equal(plays, tracks[12:18]) {
		t.Errorf("the export has plays of %v, want %v", plays, tracks[12:18])
	}
	i.stop()
	table, err := localtable.Open(filepath.Join(i.data, "songsplayed"), localtable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	stored := 0
	err = table.Scan(ctx, []byte("u#"), []byte("u$"), 1<<30, func(key []byte) bool {
		if strings.Contains(string(key), "#"+user+"#p#") {
			stored++
		}
		return true
	})
	if err != nil || stored != 6 {
		t.Errorf("%d plays are stored, %v; want the 6 of after the erasure", stored, err)
	}
}

// get is the body of an answer to the listener ann that is not protobuf.
func (i *instance) get(ctx context.Context, t *testing.T, method, path string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, i.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer dev-user:ann")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != 200 {
		t.Fatalf("%s %s: %d %s", method, path, answer.StatusCode, body)
	}
	return body
}
