// Package shelftest tests a shelf in a few lines, without a service, a store or a network:
//
//	func TestRecentlyPlayed(t *testing.T) {
//		w := shelftest.World{Plays: shelftest.Played("mozart.k525", "haydn.h104", "mozart.k525")}
//		got := shelftest.Check(t, shelves.RecentlyPlayed, w)
//		got.WantURIs(t, "track:mozart.k525", "track:haydn.h104")
//	}
package shelftest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/google/go-cmp/cmp"

	"homefeed/shelves/refresh/guardrail"
	"homefeed/shelves/shelf"
)

// Shown is what a listener would see of a shelf.
type Shown struct {
	Title string // with its values filled in
	Cards []shelf.Card
}

// Check runs the shelf on the World under the guardrails of production and reports as errors of t what Examine
// finds wrong.
func Check(t testing.TB, s *shelf.Shelf, w World) Shown {
	t.Helper()
	shown, problems := Examine(s, w)
	for _, p := range problems {
		t.Errorf("shelf %s: %v", s.Name, p)
	}
	return shown
}

// Examine runs the shelf on the World and says what is wrong with it, whatever it is meant to show:
//   - its declaration is refused, it panics, fails or hangs;
//   - a card lacks something, can't be shown, or is there twice;
//   - the same request again gives other cards;
//   - it does not listen to what it asks about, or asks for more than a client gives;
//   - it uses another context than its own, or goes on when a client's call has failed.
func Examine(s *shelf.Shelf, w World) (Shown, []error) {
	if err := s.Validate(); err != nil {
		return Shown{}, []error{err}
	}
	shown, watch, err := run(s, w, 0)
	problems := watch.problems
	if err != nil {
		return shown, append(problems, err)
	}
	problems = append(problems, watch.deaf(s)...)
	for i, c := range shown.Cards {
		if c.Subtitle == "" || c.Image.Template == "" || c.Image.Alt == "" || c.Reason == "" {
			problems = append(problems, fmt.Errorf("card %d (%s): want all of subtitle, image template, alt and reason: %+v", i, c.URI, c))
		}
	}
	if strings.ContainsAny(shown.Title, "{}") {
		problems = append(problems, fmt.Errorf("title %q: want a value for every name in braces, see Request.Title", shown.Title))
	}
	for range 5 { // enough for the order of a map to change
		again, _, err := run(s, w, 0)
		if diff := cmp.Diff(shown, again); err != nil || diff != "" {
			problems = append(problems, fmt.Errorf("the same request again gives something else (error %v):\n%s", err, diff))
			break
		}
	}
	for call := range watch.calls {
		if _, _, err := run(s, w, call+1); !errors.Is(err, errInjected) {
			problems = append(problems, fmt.Errorf("call %d of a client failed and Fill's error is %v: want the client's, or a good row is replaced by a worse", call+1, err))
		}
	}
	return shown, problems
}

// run fills the shelf once; failing says which client call fails, 0 for none.
func run(s *shelf.Shelf, w World, failing int) (Shown, *watch, error) {
	watch := &watch{failing: failing, asked: map[shelf.Kind]bool{}}
	ctx := context.WithValue(context.Background(), watched{}, true)
	r := &shelf.Request{
		User: "listener", AsOf: w.asOf(), Guard: s.Guard.WithDefaults(),
		Plays:   watchedPlays{watch, w.SongsPlayed(w.asOf())},
		Vectors: watchedVectors{watch, w.Word2Vec()},
		Catalog: watchedCatalog{watch, w.Catalog()},
	}
	if s.Scope == shelf.Market {
		r.User, r.Plays, r.Market, r.Top = "", guardrail.NoListener{}, w.Market, slices.Clone(w.Top)
	}
	var dropped []error
	fill := guardrail.Wrap(s, guardrail.Options{Dropped: func(err error) { dropped = append(dropped, err) }})
	cards, err := fill(ctx, r)
	watch.problems = append(watch.problems, dropped...)
	var panicked *guardrail.PanicError
	switch {
	case errors.Is(err, guardrail.ErrTooFew):
		return Shown{}, watch, nil
	case errors.As(err, &panicked):
		return Shown{}, watch, fmt.Errorf("%w\n%s", err, panicked.Stack)
	case err != nil:
		return Shown{}, watch, err
	}
	title := s.Title
	for name, value := range r.TitleArgs {
		title = strings.ReplaceAll(title, "{"+name+"}", value)
	}
	return Shown{Title: title, Cards: cards}, watch, nil
}

// URIs is the cards' URIs, in order.
func (s Shown) URIs() []string {
	uris := make([]string, len(s.Cards))
	for i, c := range s.Cards {
		uris[i] = c.URI
	}
	return uris
}

// WantURIs is an error of t unless the cards are exactly those, in order.
func (s Shown) WantURIs(t testing.TB, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), s.URIs()); diff != "" {
		t.Errorf("cards (-want +got):\n%s", diff)
	}
}

// String is the shelf as a table.
func (s Shown) String() string {
	var b strings.Builder
	fmt.Fprintln(&b, s.Title)
	if len(s.Cards) == 0 {
		fmt.Fprintln(&b, "  (no cards)")
	}
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for i, c := range s.Cards {
		fmt.Fprintf(tw, "  %d\t%s\t%s\t%s\t%s\n", i+1, c.URI, c.Title, c.Subtitle, c.Reason)
	}
	tw.Flush()
	return b.String()
}

// Golden compares the table with testdata/<name>.golden, or writes that file when update says so.
func (s Shown) Golden(t testing.TB, name string, update bool) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(s.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update to write it)", err)
	}
	if diff := cmp.Diff(string(want), s.String()); diff != "" {
		t.Errorf("%s (-want +got; run with -update to accept):\n%s", path, diff)
	}
}
