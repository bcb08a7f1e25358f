package api_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/api"
	"homefeed/api/rowcache"
	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
	localstore "homefeed/shelves/store/local"
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

// contender is a way to answer, and what to ask it.
type contender struct {
	name    string
	handler http.Handler
	headers []string // in pairs
	status  int
	floor   string // the contender that it is compared with

	request []byte
	conn    net.Conn
	answers *bufio.Reader
	took    time.Duration
}

// BenchmarkHome compares Home with servers that have the same bytes ready made. All take turns within one run, a few
// requests at a time over one connection each, so that what else the machine does hits all of them alike. Metrics are
// requests/s in percent of the floor's: "cached" with rows and answers in memory, "made" from rows in memory and
// nothing kept, "store" from the local store on disk and nothing kept, "json" and "304" from memory. Token, limiter and
// metrics are on for all but the floors.
func BenchmarkHome(b *testing.B) {
	contenders := homeContenders(b)
	for _, c := range contenders {
		c.dial(b)
		for range 200 { // caches, buffers and the scheduler
			c.ask(b)
		}
		c.took = 0
	}
	const turn = 25
	for b.Loop() {
		for _, c := range contenders {
			for range turn {
				c.ask(b)
			}
		}
	}
	took := map[string]time.Duration{}
	for _, c := range contenders {
		took[c.name] = c.took
	}
	for _, c := range contenders {
		per := c.took.Seconds() * 1e6 / float64(b.N*turn)
		b.ReportMetric(per, c.name+"-µs")
		if c.floor != "" {
			b.ReportMetric(100*took[c.floor].Seconds()/c.took.Seconds(), c.name+"-%")
		}
	}
}

func homeContenders(b *testing.B) []*contender {
	const protobuf = "application/x-protobuf"
	s, shelves := wideHome(b)
	limits := api.Limits{ListenerRate: 1e9}
	cached, err := rowcache.New(s, rowcache.Options{Age: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(cached.Close)
	withRows := func(rows api.Rows, answerBytes int64) *api.API {
		l := limits
		l.AnswerBytes = answerBytes
		return newAPI(b, api.Config{Rows: rows, Shelves: shelves, Registerer: prometheus.NewRegistry(), Limits: l})
	}
	const none = -1 // answer is kept
	all, made, disk := withRows(cached, 0), withRows(cached, none), withRows(onDisk(b, s), none)
	ready := call(all, "GET", "/v1/home", "listener:ann", "", "Accept", protobuf)
	readyJSON := call(all, "GET", "/v1/home", "listener:ann", "")
	etag := ready.Header().Get("ETag")
	constant := func(w *httptest.ResponseRecorder, status int) http.Handler {
		body, kind := w.Body.Bytes(), w.Header().Get("Content-Type")
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if status == 304 {
				w.WriteHeader(304)
				return
			}
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = w.Write(body)
		})
	}
	return []*contender{
		{name: "floor", handler: constant(ready, 200), headers: []string{"Accept", protobuf}, status: 200},
		{name: "cached", handler: all, headers: []string{"Accept", protobuf}, status: 200, floor: "floor"},
		{name: "made", handler: made, headers: []string{"Accept", protobuf}, status: 200, floor: "floor"},
		{name: "store", handler: disk, headers: []string{"Accept", protobuf}, status: 200, floor: "floor"},
		{name: "floor-json", handler: constant(readyJSON, 200), status: 200},
		{name: "json", handler: all, status: 200, floor: "floor-json"},
		{name: "floor-304", handler: constant(ready, 304), headers: []string{"Accept", protobuf, "If-None-Match", etag}, status: 304},
		{name: "304", handler: all, headers: []string{"Accept", protobuf, "If-None-Match", etag}, status: 304, floor: "floor-304"},
	}
}

// onDisk is the same rows in the local store.
func onDisk(b *testing.B, s *rows) api.Rows {
	b.Helper()
	disk, err := localstore.Open(localstore.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = disk.Close() })
	for key, row := range s.rows {
		if err := disk.Write(b.Context(), key, row.Cells...); err != nil {
			b.Fatal(err)
		}
	}
	return disk
}

// dial starts the contender's server and connects. The client is as little as it can be, so that what is measured is
// the server.
func (c *contender) dial(b *testing.B) {
	server := httptest.NewServer(c.handler)
	b.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	c.conn, c.answers = conn, bufio.NewReaderSize(conn, 128<<10)
	c.request = []byte("GET /v1/home HTTP/1.1\r\nHost: homefeed\r\nAuthorization: Bearer listener:ann\r\n")
	for i := 0; i+1 < len(c.headers); i += 2 {
		c.request = fmt.Appendf(c.request, "%s: %s\r\n", c.headers[i], c.headers[i+1])
	}
	c.request = append(c.request, "\r\n"...)
}

func (c *contender) ask(b *testing.B) {
	began := time.Now()
	if _, err := c.conn.Write(c.request); err != nil {
		b.Fatal(err)
	}
	length, status := 0, 0
	for {
		line, err := c.answers.ReadSlice('\n')
		if err != nil {
			b.Fatal(err)
		}
		if len(line) == 2 {
			break
		}
		if status == 0 {
			status, _ = strconv.Atoi(string(line[9:12]))
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
	}
	if _, err := c.answers.Discard(length); err != nil {
		b.Fatal(err)
	}
	c.took += time.Since(began)
	if status != c.status || (length > 0) != (status == 200) {
		b.Fatalf("%s: status %d, %d bytes", c.name, status, length)
	}
}

// BenchmarkHandler is what homefeed's own code costs, without a connection.
func BenchmarkHandler(b *testing.B) {
	for _, c := range homeContenders(b) {
		if c.floor == "" {
			continue
		}
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/v1/home", http.NoBody)
			r.Header.Set("Authorization", "Bearer listener:ann")
			for i := 0; i+1 < len(c.headers); i += 2 {
				r.Header.Set(c.headers[i], c.headers[i+1])
			}
			b.ReportAllocs()
			for b.Loop() {
				c.handler.ServeHTTP(discard{header: http.Header{}}, r)
			}
		})
	}
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
