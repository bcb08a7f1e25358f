package songsplayed_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/event"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed"
	"homefeed/services/songsplayed/songsplayedpb"
)

// TestActions holds that all of a listener is listed, each action once whatever the pages, and nothing of anybody else.
func TestActions(t *testing.T) {
	conn := connect(t, songsplayed.Options{Table: memoryTable(t)})
	c := songsplayed.NewClient(conn)
	var want []event.Event
	for _, k := range []event.Kind{event.Followed, event.Hearted, event.Played} { // as they are stored
		for i := range 3 {
			want = append(want, event.Event{Kind: k, User: "ann", Object: "x", Time: at(int64(3000 - 1000*i))})
		}
	}
	for _, e := range want {
		record(t, conn, e, happened(e.Kind, "an", "y", 2000), happened(e.Kind, "ann2", "y", 2000))
	}
	list := func() (got []event.Event) {
		t.Helper()
		for e, err := range c.Actions(t.Context(), "ann") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e)
		}
		return got
	}
	if diff := cmp.Diff(want, list()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, _, _, err := c.Erase(t.Context(), "ann", at(1000), 0); err != nil {
		t.Fatal(err)
	}
	service := songsplayedpb.NewSongsPlayedClient(conn)
	for _, page := range []int32{1, 2, 5, 6, 7} {
		n, token := 0, ""
		for {
			resp, err := service.ListActions(t.Context(), &songsplayedpb.ListActionsRequest{User: "ann", PageSize: page, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			n += len(resp.GetActions())
			if token = resp.GetNextPageToken(); token == "" {
				break
			}
		}
		if n != 6 {
			t.Errorf("%d actions in pages of %d, want the 6 that were not erased", n, page)
		}
	}
	for range c.Actions(t.Context(), "ann") { // whoever stops early is not asked again
		break
	}
}

func TestActionsSaysWhatIsWrong(t *testing.T) {
	table := memoryTable(t)
	client := songsplayedpb.NewSongsPlayedClient(connect(t, songsplayed.Options{Table: table}))
	for _, c := range []struct {
		field string
		req   *songsplayedpb.ListActionsRequest
	}{
		{"user", &songsplayedpb.ListActionsRequest{User: "a#b"}},
		{"page_size", &songsplayedpb.ListActionsRequest{User: "ann", PageSize: -1}},
		{"page_token", &songsplayedpb.ListActionsRequest{User: "ann", PageToken: "x"}},
		{"page_token", &songsplayedpb.ListActionsRequest{User: "ann", PageToken: "z#9999999999999#a"}},
	} {
		_, err := client.ListActions(t.Context(), c.req)
		var wrong *rpc.FieldError
		if !errors.As(err, &wrong) || wrong.Field != c.field {
			t.Errorf("%v: %v", c.req, err)
		}
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ListActions(t.Context(), &songsplayedpb.ListActionsRequest{User: "ann"}); !errors.Is(err, rpc.ErrUnavailable) {
		t.Errorf("the table closed: %v", err)
	}
}
