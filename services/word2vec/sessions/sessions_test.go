package sessions

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/services/songsplayed"
	"homefeed/shelves/shelf"
)

// plays reads "track@minute" for each listener, newest first.
func plays(listeners ...string) iter.Seq2[songsplayed.Played, error] {
	return func(yield func(songsplayed.Played, error) bool) {
		for _, l := range listeners {
			for i, field := range strings.Fields(l) {
				var minute int
				track, at, _ := strings.Cut(field, "@")
				fmt.Sscan(at, &minute)
				p := shelf.Play{Track: track, Time: time.Unix(0, 0).Add(time.Duration(minute) * time.Minute)}
				if !yield(songsplayed.Played{Play: p, First: i == 0}, nil) {
					return
				}
			}
		}
	}
}

func collect(t *testing.T, seq iter.Seq2[[]string, error]) [][]string {
	t.Helper()
	var all [][]string
	for p, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func TestSessionsEndAtPausesAndListeners(t *testing.T) {
	for name, c := range map[string]struct {
		listeners []string
		want      [][]string
	}{
		"nothing":              {nil, nil},
		"in the order of time": {[]string{"c@9 b@5 a@1"}, [][]string{{"a", "b", "c"}}},
		"a pause":              {[]string{"d@104 c@103 b@31 a@1"}, [][]string{{"c", "d"}, {"a", "b"}}},
		"just no pause":        {[]string{"b@31 a@1"}, [][]string{{"a", "b"}}},
		"just a pause":         {[]string{"b@32 a@1"}, nil},
		"one track":            {[]string{"a@1"}, nil},
		"on repeat":            {[]string{"b@6 b@5 a@4 b@3 b@2", "a@2 a@1"}, [][]string{{"b", "a", "b"}}},
		"listeners":            {[]string{"b@2 a@1", "d@2 c@1"}, [][]string{{"a", "b"}, {"c", "d"}}},
	} {
		if diff := cmp.Diff(c.want, collect(t, Playlists(plays(c.listeners...), Pause))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

func TestSessionsAreBounded(t *testing.T) {
	var all []string
	for i := range 2*longest + 5 {
		all = append(all, fmt.Sprintf("t%d@%d", i, -i))
	}
	var lengths []int
	for _, s := range collect(t, Playlists(plays(strings.Join(all, " ")), Pause)) {
		lengths = append(lengths, len(s))
	}
	if diff := cmp.Diff([]int{longest, longest, 5}, lengths); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSessionsEndWithAnError(t *testing.T) {
	broken := errors.New("broken")
	seq := func(yield func(songsplayed.Played, error) bool) {
		for p, err := range plays("b@2 a@1") {
			if !yield(p, err) {
				return
			}
		}
		yield(songsplayed.Played{}, broken)
	}
	var got []error
	for _, err := range Playlists(seq, Pause) {
		got = append(got, err)
	}
	if !slices.Equal(got, []error{broken}) {
		t.Errorf("errors %v", got)
	}
	for range Playlists(plays("b@2 a@1", "b@2 a@1"), Pause) {
		break // must not be called again
	}
}
