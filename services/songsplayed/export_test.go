package songsplayed_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homefeed/pipeline/event"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed"
	"homefeed/services/songsplayed/songsplayedpb"
)

// everybody is the listeners' plays by listener, read in pages of any size.
func everybody(t *testing.T, client songsplayedpb.SongsPlayedClient, page int32) [][]string {
	t.Helper()
	var all [][]string
	token := ""
	for pages := 0; pages < 1000; pages++ {
		resp, err := client.ExportPlays(t.Context(), &songsplayedpb.ExportPlaysRequest{PageSize: page, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, l := range resp.GetListeners() {
			if !l.GetContinues() {
				all = append(all, nil)
			}
			for _, p := range l.GetPlays() {
				n++
				all[len(all)-1] = append(all[len(all)-1], fmt.Sprintf("%s@%d", p.GetTrack(), p.GetTimeMs()))
			}
		}
		if n > int(page) {
			t.Fatalf("%d plays on a page of %d", n, page)
		}
		if token = resp.GetNextPageToken(); token == "" {
			return all
		}
	}
	t.Fatal("a thousand pages and no end")
	return nil
}

func TestExportPlaysHasEveryListenerOnce(t *testing.T) {
	conn := connect(t, songsplayed.Options{Table: memoryTable(t)})
	want := map[string][]string{}
	for u := range 7 {
		user := fmt.Sprintf("user-%d", u)
		for i := range 2 * u { // the first has hearts only
			record(t, conn, happened(event.Played, user, fmt.Sprintf("t%d-%d", u, i), int64(1000+i)))
			want[user] = append([]string{fmt.Sprintf("t%d-%d@%d", u, i, 1000+i)}, want[user]...)
		}
		record(t, conn, happened(event.Hearted, user, "loved", 5), happened(event.Followed, user, "band", 6))
	}
	client := songsplayedpb.NewSongsPlayedClient(conn)
	for _, page := range []int32{1, 2, 3, 5, 42, 10_000} {
		got := map[string][]string{}
		for _, plays := range everybody(t, client, page) {
			got["user-"+plays[0][1:2]] = plays
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got)\n%s", page, diff)
		}
	}

	listeners, plays := 0, 0
	for p, err := range songsplayed.NewClient(conn).Everybody(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		plays++
		if p.First {
			listeners++
		}
	}
	if listeners != 6 || plays != 42 {
		t.Errorf("the client has %d plays of %d listeners, want 42 of 6", plays, listeners)
	}
}

func TestExportPlaysSaysWhatIsWrong(t *testing.T) {
	table := memoryTable(t)
	conn := connect(t, songsplayed.Options{Table: table})
	client := songsplayedpb.NewSongsPlayedClient(conn)
	for field, req := range map[string]*songsplayedpb.ExportPlaysRequest{
		"page_size":  {PageSize: -1},
		"page_token": {PageToken: "u#nonsense"},
	} {
		_, err := client.ExportPlays(t.Context(), req)
		var wrong *rpc.FieldError
		if !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	for _, err := range songsplayed.NewClient(conn).Everybody(t.Context()) {
		if !errors.Is(err, rpc.ErrUnavailable) {
			t.Errorf("a closed table: %v", err)
		}
	}
}
