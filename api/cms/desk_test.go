package cms_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"homefeed/api/cms"
	"homefeed/api/placement"
)

func ptr[T any](v T) *T { return &v }

// TestWay goes from nothing to a published version, another one and back, and reads it all in the log.
func TestWay(t *testing.T) {
	ctx, log := t.Context(), &memory{}
	ann, bob := desk(t, log), desk(t, log) // as in two processes
	s, err := ann.State(ctx)
	if err != nil || s.Published.Number != 0 || s.Published.Placements.Shelves[0].Shelf != "start" {
		t.Fatalf("at first: %+v, %v", s.Published, err)
	}
	first, err := ann.CreateDraft(ctx, "ann", "Spring", 0, document("a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := bob.UpdateDraft(ctx, "bob", first.ID, first.Etag(), nil, ptr(document("b", "a", "c")))
	if err != nil {
		t.Fatal(err)
	}
	if second.Created.By != "ann" || second.Updated.By != "bob" || second.Etag() == first.Etag() || second.Title != "Spring" {
		t.Errorf("after an update: %+v", second)
	}
	v, err := ann.Publish(ctx, "ann", first.ID, second.Etag(), 0)
	if err != nil || v.Number != 1 {
		t.Fatalf("%+v, %v", v, err)
	}
	if _, err := bob.Draft(ctx, first.ID); reason(t, err) != "DRAFT_UNKNOWN" {
		t.Errorf("a published draft: %v", err)
	}
	back, err := bob.RollBack(ctx, "bob", 0, 1)
	if err != nil || back.Number != 2 || back.Of != 0 {
		t.Fatalf("%+v, %v", back, err)
	}
	again, err := bob.RollBack(ctx, "bob", 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	for number, want := range []placement.Placements{document("start"), document("b", "a", "c"), document("start"), document("b", "a", "c")} {
		got, err := ann.Version(ctx, int64(number))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Placements, protocmp.Transform()); diff != "" {
			t.Errorf("version %d (-want +got):\n%s", number, diff)
		}
	}
	if again.Of != 1 || again.Title != "Spring" {
		t.Errorf("the rollback: %+v", again)
	}
	if _, err := ann.Version(ctx, 4); reason(t, err) != "VERSION_UNKNOWN" {
		t.Errorf("a version that isn't: %v", err)
	}
	entries, err := ann.Entries(ctx, 1, 10)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range entries {
		line := fmt.Sprintf("%s %s", e.By, e.Action)
		for _, c := range e.Changes {
			line += fmt.Sprintf(" | %s: %s → %s", c.Path, c.From, c.To)
		}
		lines = append(lines, line)
	}
	want := `ann created
bob updated | shelves: ["a","b"] → ["b","a"] | shelves[c]:  → {"shelf":"c"}
ann published | shelves[start]: {"shelf":"start"} →  | shelves[b]:  → {"shelf":"b"} | shelves[a]:  → {"shelf":"a"} | shelves[c]:  → {"shelf":"c"}
bob rolled_back | shelves[b]: {"shelf":"b"} →  | shelves[a]: {"shelf":"a"} →  | shelves[c]: {"shelf":"c"} →  | shelves[start]:  → {"shelf":"start"}
bob rolled_back | shelves[start]: {"shelf":"start"} →  | shelves[b]:  → {"shelf":"b"} | shelves[a]:  → {"shelf":"a"} | shelves[c]:  → {"shelf":"c"}`
	if diff := cmp.Diff(want, strings.Join(lines, "\n")); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
}

// TestTold holds that nobody overwrites what they have not seen, and that nothing changes when they try.
func TestTold(t *testing.T) {
	ctx, log := t.Context(), &memory{}
	d := desk(t, log)
	draft, err := d.CreateDraft(ctx, "ann", "Spring", 0, document("a"))
	if err != nil {
		t.Fatal(err)
	}
	newer, err := d.UpdateDraft(ctx, "bob", draft.ID, draft.Etag(), ptr("Summer"), nil)
	if err != nil {
		t.Fatal(err)
	}
	update := func(etag, title string) error {
		_, err := d.UpdateDraft(ctx, "ann", draft.ID, etag, ptr(title), nil)
		return err
	}
	publish := func(etag string, expected int64) error {
		_, err := d.Publish(ctx, "ann", draft.ID, etag, expected)
		return err
	}
	rollBack := func(to, expected int64) error {
		_, err := d.RollBack(ctx, "ann", to, expected)
		return err
	}
	large := document("a")
	for range 1000 {
		large.Shelves[0].Blocks = append(large.Shelves[0].Blocks, "track:"+strings.Repeat("x", 300))
	}
	create := func(title string, p placement.Placements) error {
		_, err := d.CreateDraft(ctx, "ann", title, 0, p)
		return err
	}
	for name, c := range map[string]struct {
		do   func() error
		want string
	}{
		"an older etag":            {func() error { return update(draft.Etag(), "Autumn") }, "ETAG_MISMATCH"},
		"no etag":                  {func() error { return update("", "Autumn") }, "ETAG_MISSING"},
		"the same again":           {func() error { return update(draft.Etag(), "Summer") }, ""},
		"no title":                 {func() error { return update(newer.Etag(), "") }, "DRAFT_INVALID"},
		"deleting an older one":    {func() error { return d.DeleteDraft(ctx, "ann", draft.ID, draft.Etag()) }, "ETAG_MISMATCH"},
		"deleting what isn't":      {func() error { return d.DeleteDraft(ctx, "ann", "draft-9", "1") }, "DRAFT_UNKNOWN"},
		"publishing an older one":  {func() error { return publish(draft.Etag(), 0) }, "ETAG_MISMATCH"},
		"publishing over another":  {func() error { return publish(newer.Etag(), 1) }, "VERSION_MOVED"},
		"rolling back over it":     {func() error { return rollBack(0, 1) }, "VERSION_MOVED"},
		"rolling back to nowhere":  {func() error { return rollBack(7, 0) }, "VERSION_UNKNOWN"},
		"a document that is large": {func() error { return create("Large", large) }, "DRAFT_INVALID"},
		"too many placements":      {func() error { return create("Many", document(make([]string, cms.MaxPlacements+1)...)) }, "DRAFT_INVALID"},
	} {
		if got := reason(t, c.do()); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got, err := d.Draft(ctx, draft.ID); err != nil || got.Title != "Summer" || got.Etag() != newer.Etag() || len(log.entries) != 2 {
		t.Errorf("in the end: %+v, %v, %d entries", got, err, len(log.entries))
	}
	for i := 1; i < cms.MaxDrafts; i++ {
		if err := create("One more", document("a")); err != nil {
			t.Fatal(err)
		}
	}
	if got := reason(t, create("Too many", document("a"))); got != "DRAFTS_TOO_MANY" {
		t.Errorf("too many drafts: %q", got)
	}
}

// TestAtOnce lets many editors of many processes change one draft at once: of those who saw the same state one
// succeeds, everybody else is told, and the log has exactly what succeeded.
func TestAtOnce(t *testing.T) {
	const editors, rounds = 6, 8
	ctx, log := t.Context(), &memory{}
	draft, err := desk(t, log).CreateDraft(ctx, "ann", "Spring", 0, document("a"))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	won := 0
	var wg sync.WaitGroup
	for e := range editors {
		d := desk(t, log)
		wg.Go(func() {
			for r := range rounds {
				seen, err := d.Draft(ctx, draft.ID)
				if err != nil {
					t.Error(err)
					return
				}
				_, err = d.UpdateDraft(ctx, fmt.Sprint(e), draft.ID, seen.Etag(), ptr(fmt.Sprintf("%d of %d", r, e)), nil)
				switch {
				case err == nil:
					mu.Lock()
					won++
					mu.Unlock()
				case reason(t, err) != "ETAG_MISMATCH":
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if won < rounds || len(log.entries) != won+1 {
		t.Errorf("%d updates succeeded and the log has %d", won, len(log.entries)-1)
	}
}

// TestRestart holds that a new process knows everything, and reads no more of the log than it has to.
func TestRestart(t *testing.T) {
	ctx, log := t.Context(), &memory{}
	d := desk(t, log)
	for i := range 130 {
		draft, err := d.CreateDraft(ctx, "ann", fmt.Sprint("Draft ", i), 0, document("a"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Publish(ctx, "ann", draft.ID, draft.Etag(), int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := d.State(ctx)
	if err != nil {
		t.Fatal(err)
	}
	log.reads = 0
	got, err := desk(t, log).State(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if log.reads > 60 {
		t.Errorf("%d entries were read", log.reads)
	}
	log.state = []byte("{") // damaged: then all of them
	if again, err := desk(t, log).State(ctx); err != nil || again.Seq != want.Seq {
		t.Errorf("%v, %v", again.Seq, err)
	}
}

// TestLogAway holds that an outage is said to be one, and passes.
func TestLogAway(t *testing.T) {
	ctx, log := t.Context(), &memory{}
	d := desk(t, log)
	log.fail(errors.New("no route"))
	_, err := d.CreateDraft(ctx, "ann", "Spring", 0, document("a"))
	if reason(t, err) != "LOG_UNAVAILABLE" || !strings.Contains(err.Error(), "no route") {
		t.Errorf("%v", err)
	}
	log.fail(nil)
	if _, err := d.CreateDraft(ctx, "ann", "Spring", 0, document("a")); err != nil {
		t.Error(err)
	}
}

// TestDamagedLog holds that entries that can't be are found.
func TestDamagedLog(t *testing.T) {
	for name, entry := range map[string]string{
		"not JSON": `{`, "another number": `{"seq":7,"action":"deleted"}`,
		"unknown": `{"seq":1,"action":"moved","placements":{"shelves":[]}}`, "no document": `{"seq":1,"action":"published"}`,
	} {
		if _, err := desk(t, &memory{entries: [][]byte{[]byte(entry)}}).State(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
