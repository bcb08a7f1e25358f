package api_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"homefeed/api"
	"homefeed/api/homegrpc"
	"homefeed/api/homepb"
	"homefeed/services/rpc"
	"homefeed/shelves/shelfpb"
)

func homes(t *testing.T, a *api.API) homepb.HomesClient {
	t.Helper()
	server, err := rpc.NewServer(rpc.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	homegrpc.Register(server, a)
	conn, stop, err := rpc.InProcess(server, rpc.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return homepb.NewHomesClient(conn)
}

// TestSameOverGRPC asks for everything twice, by HTTP and by gRPC: answers, pages and errors are the same.
func TestSameOverGRPC(t *testing.T) {
	s := &rows{}
	var cards []string
	for i := range 12 {
		cards = append(cards, fmt.Sprint("card-", i))
	}
	s.put(t, userKey(t, "ann"), "recently_played", now, nil, cards...)
	s.put(t, userKey(t, "ann"), "discover", now, nil, cards...)
	s.put(t, marketKey(t, "SE"), "trending", now, nil, "x")
	a := newAPI(t, api.Config{Rows: s})
	client := homes(t, a)
	for _, c := range []struct {
		name, token string
		req         proto.Message
		path        string
	}{
		{"Home", "listener:ann", &homepb.GetHomeRequest{}, "/v1/home"},
		{"somewhere", "listener:ann", &homepb.GetHomeRequest{Market: "SE", Locale: "sv", Platform: "ios"}, "/v1/home?market=SE&locale=sv&platform=ios"},
		{"less", "listener:ann", &homepb.GetHomeRequest{View: homepb.View_BASIC, PageSize: 2, CardSize: 3}, "/v1/home?view=BASIC&page_size=2&card_size=3"},
		{"all", "listener:ann", &homepb.GetHomeRequest{View: homepb.View_FULL}, "/v1/home?view=FULL"},
		{"a shelf", "listener:ann", &homepb.GetShelfRequest{Shelf: "discover", PageSize: 5}, "/v1/home/shelves/discover?page_size=5"},
		{"a market", "listener:ann", &homepb.GetHomeRequest{Market: "Sweden"}, "/v1/home?market=Sweden"},
		{"a locale", "listener:ann", &homepb.GetHomeRequest{Locale: "a&b=c"}, "/v1/home?locale=a%26b%3Dc"},
		{"a size", "listener:ann", &homepb.GetHomeRequest{CardSize: -1}, "/v1/home?card_size=-1"},
		{"a view", "listener:ann", &homepb.GetHomeRequest{View: 9}, "/v1/home?view=9"},
		{"a page", "listener:ann", &homepb.GetHomeRequest{PageToken: "x"}, "/v1/home?page_token=x"},
		{"an unknown shelf", "listener:ann", &homepb.GetShelfRequest{Shelf: "nothing"}, "/v1/home/shelves/nothing"},
		{"no shelf", "listener:ann", &homepb.GetShelfRequest{}, "/v1/home/shelves/-"},
		{"a way out", "listener:ann", &homepb.GetShelfRequest{Shelf: "../../users/bob"}, "/v1/home/shelves/-"},
		{"nobody", "", &homepb.GetHomeRequest{}, "/v1/home"},
		{"a bad token", "bad", &homepb.GetHomeRequest{}, "/v1/home"},
		{"an old token", "expired", &homepb.GetShelfRequest{Shelf: "discover"}, "/v1/home/shelves/discover"},
		{"the issuer away", "away", &homepb.GetHomeRequest{}, "/v1/home"},
		{"a service", "service:admin", &homepb.GetHomeRequest{}, "/v1/home"},
	} {
		ctx := t.Context()
		if c.token != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+c.token)
		}
		w := call(a, "GET", c.path, c.token, "", "Accept", "application/x-protobuf")
		var got, want proto.Message
		var err error
		var header metadata.MD
		if req, ok := c.req.(*homepb.GetHomeRequest); ok {
			want = new(homepb.Home)
			got, err = client.GetHome(ctx, req, grpc.Header(&header))
		} else {
			want = new(shelfpb.Shelf)
			got, err = client.GetShelf(ctx, c.req.(*homepb.GetShelfRequest), grpc.Header(&header))
		}
		if w.Code != 200 {
			want, got = new(statuspb.Status), status.Convert(err).Proto()
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err := proto.Unmarshal(w.Body.Bytes(), want); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		sealed := protocmp.FilterField(new(homepb.Home), "next_page_token", cmp.Comparer(bothOrNeither))
		ofShelf := protocmp.FilterField(new(shelfpb.Shelf), "next_page_token", cmp.Comparer(bothOrNeither))
		retried := protocmp.FilterField(new(statuspb.Status), "message", cmp.Comparer(sameEnd)) // the client says how often
		if diff := cmp.Diff(want, got, protocmp.Transform(), sealed, ofShelf, retried); diff != "" {
			t.Errorf("%s: HTTP and gRPC differ (-HTTP +gRPC):\n%s", c.name, diff)
		}
		if cc := header.Get("cache-control"); w.Code == 200 && (len(cc) != 1 || cc[0] != w.Header().Get("Cache-Control")) {
			t.Errorf("%s: cache-control is %q, over HTTP %q", c.name, cc, w.Header().Get("Cache-Control"))
		}
	}
}

// bothOrNeither compares page tokens, which are sealed anew each time.
func bothOrNeither(a, b string) bool { return (a == "") == (b == "") }

func sameEnd(a, b string) bool { return strings.HasSuffix(a, b) || strings.HasSuffix(b, a) }

// TestPagesOverGRPC goes on over gRPC where HTTP began: a token is good for both, and no card comes twice.
func TestPagesOverGRPC(t *testing.T) {
	s := &rows{}
	s.put(t, userKey(t, "ann"), "discover", now, nil, "a", "b", "c", "d", "e")
	a := newAPI(t, api.Config{Rows: s})
	client := homes(t, a)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer listener:ann")
	first := new(shelfpb.Shelf)
	get(t, a, "/v1/home/shelves/discover?page_size=2", first)
	seen := uris(first.Cards)
	for token := first.NextPageToken; token != ""; {
		shelf, err := client.GetShelf(ctx, &homepb.GetShelfRequest{Shelf: "discover", PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		seen += " " + uris(shelf.Cards)
		token = shelf.NextPageToken
	}
	if seen != "track:a track:b track:c track:d track:e" {
		t.Errorf("pages have %s", seen)
	}
	home, err := client.GetHome(ctx, &homepb.GetHomeRequest{PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	next := new(homepb.Home)
	get(t, a, "/v1/home?page_size=1&page_token="+url.QueryEscape(home.NextPageToken), next)
	if len(next.Shelves) != 1 || next.Shelves[0].Name == home.Shelves[0].Name {
		t.Errorf("the page behind %s is %v", home.Shelves[0].Name, next)
	}
}
