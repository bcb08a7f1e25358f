package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/api"
	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

// wideHome is a listener's row of 12 shelves of 20 cards.
func wideHome(b *testing.B) (*rows, []*shelf.Shelf) {
	s := &rows{}
	var shelves []*shelf.Shelf
	for i := range 12 {
		name := fmt.Sprint("shelf_", i)
		shelves = append(shelves, &shelf.Shelf{Name: name, Doc: "D.", Title: "More like {artist}", Fill: noCards})
		m := &shelfpb.Shelf{TitleArgs: map[string]string{"artist": "Mozart"}, AsOf: timestamppb.New(now), Trigger: "0123456789abcdef01234567"}
		for j := range 20 {
			m.Cards = append(m.Cards, &shelfpb.Card{
				Uri: fmt.Sprintf("track:%08d", i*20+j), Title: "A title of common length", Subtitle: "The Artist Name",
				Reason: "Because you played another song",
				Image: &shelfpb.Image{Template: fmt.Sprintf("/art/track/%08d.svg?size={size}", j),
					Colors: []string{"#123456", "#fedcba"}, Alt: "Cover of A title of common length"},
			})
		}
		data, err := proto.Marshal(m)
		if err != nil {
			b.Fatal(err)
		}
		s.putBytes(userKey(b, "ann"), store.Cell{Shelf: name, AsOf: now, Data: data})
	}
	return s, shelves
}

// BenchmarkHome compares Home with a server that has its bytes ready made, over the same kind of connection:
// "constant" is the floor of net/http, "protobuf" is made from the row's bytes, "json" decodes and encodes.
// "µs/request" is the elapsed time of client and server on one connection.
func BenchmarkHome(b *testing.B) {
	s, shelves := wideHome(b)
	a := newAPI(b, api.Config{Rows: s, Shelves: shelves, Registerer: prometheus.NewRegistry()})
	ready := call(a, "GET", "/v1/home", "listener:ann", "", "Accept", "application/x-protobuf").Body.Bytes()
	constant := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		w.Header().Set("Content-Length", strconv.Itoa(len(ready)))
		_, _ = w.Write(ready)
	})
	for _, c := range []struct {
		name, accept string
		handler      http.Handler
	}{
		{"constant", "application/x-protobuf", constant},
		{"protobuf", "application/x-protobuf", a},
		{"json", "application/json", a},
	} {
		b.Run(c.name, func(b *testing.B) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			client := server.Client()
			request, err := http.NewRequestWithContext(b.Context(), "GET", server.URL+"/v1/home", nil)
			if err != nil {
				b.Fatal(err)
			}
			request.Header.Set("Accept", c.accept)
			request.Header.Set("Authorization", "Bearer listener:ann")
			b.ReportAllocs()
			for b.Loop() {
				response, err := client.Do(request)
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if err != nil || response.StatusCode != 200 || n == 0 {
					b.Fatal(response.StatusCode, n, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "µs/request")
		})
	}
	b.Run("handler", func(b *testing.B) { // without a connection: what homefeed's own code costs
		r := httptest.NewRequest("GET", "/v1/home", nil)
		r.Header.Set("Accept", "application/x-protobuf")
		r.Header.Set("Authorization", "Bearer listener:ann")
		b.ReportAllocs()
		for b.Loop() {
			w := discard{header: http.Header{}}
			a.ServeHTTP(w, r)
		}
	})
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkIntake takes batches of 1,000 events of one listener, from the request to the bus.
func BenchmarkIntake(b *testing.B) {
	request := &eventpb.WriteEventsRequest{}
	for i := range 1000 {
		request.Events = append(request.Events, event.ToProto(event.Event{
			ID: fmt.Sprint("bench-", i), Kind: event.Kinds[i%3], Object: fmt.Sprint("t", i), Time: now.Add(-time.Second),
		}))
	}
	body, err := proto.Marshal(request)
	if err != nil {
		b.Fatal(err)
	}
	a := newAPI(b, api.Config{Bus: dropAll{}})
	b.ReportAllocs()
	for b.Loop() {
		w := call(a, "POST", "/v1/events", "listener:ann", string(body),
			"Content-Type", "application/x-protobuf", "Accept", "application/x-protobuf")
		if w.Code != 200 {
			b.Fatal(w.Code, w.Body)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/event")
}
