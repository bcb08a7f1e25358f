package api_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/api"
	"homefeed/api/identity"
	"homefeed/api/identity/oidc"
	"homefeed/api/identity/oidctest"
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
	s, now := &rows{}, time.Now().Truncate(time.Millisecond)
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

// homeTarget is what a phone asks for.
const homeTarget = "/v1/home?market=SE&locale=sv-SE&platform=ios"

// signedIn is what production checks tokens with, and a token of ann's.
func signedIn(b *testing.B) (identity.Verifier, string) {
	b.Helper()
	issuer := oidctest.New(b, time.Now())
	verifier, err := oidc.New(b.Context(), oidc.Config{Issuer: issuer.URL, Audience: "homefeed"})
	if err != nil {
		b.Fatal(err)
	}
	remembering, err := identity.Remember(verifier, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(remembering.Close)
	claims := issuer.Claims(map[string]any{"email": "ann@example.com", "scope": "openid profile email"})
	return remembering, oidctest.Sign(b, jose.ES256, issuer.Keys[0], claims)
}

// contender is a way to answer, and what to ask it.
type contender struct {
	name    string
	handler http.Handler
	headers []string // in pairs
	status  int
	floor   string // the contender that it is compared with

	phones []*phone
	turns  []time.Duration
	took   time.Duration // the median of turns
	cpu    time.Duration
}

// phone is a connection to a contender, and what it asks. It is as little as it can be, so that what is measured is the
// server.
type phone struct {
	request []byte
	conn    net.Conn
	answers *bufio.Reader
	body    int // bytes of the last answer
}

// cpu is the time that this process has had of the processors so far.
func cpu(tb testing.TB) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkHome compares Home with servers that have the same bytes ready made. All take turns within one run, a few
// requests at a time, and the median of the turns counts, so that what else the machine does hits all of them alike.
// With 8 connections the cores are busy, so that it is the requests/s that are compared; with one much of the time is an
// idle core's waking up, twice a request. Metrics are requests/s in percent of the floor's, the same of the
// processors' time, and the bytes of a body: "cached" with rows and answers in memory, "made" from rows in memory and
// nothing kept, "store" from the local store on disk and nothing kept, "json" and "304" from memory, "503" for want of a
// place. Token, limiter and metrics are on for all but the floors.
func BenchmarkHome(b *testing.B) {
	for _, phones := range []int{8, 1} {
		b.Run(fmt.Sprint("connections=", phones), func(b *testing.B) { compareHomes(b, phones) })
	}
}

func compareHomes(b *testing.B, phones int) {
	contenders := homeContenders(b)
	for _, c := range contenders {
		c.dial(b, phones)
		c.turn(b, 200) // caches, buffers and the scheduler
	}
	const turn = 25
	floors := map[string]*contender{}
	for b.Loop() {
		for _, c := range contenders {
			began, used := time.Now(), cpu(b)
			c.turn(b, turn)
			c.turns, c.cpu = append(c.turns, time.Since(began)), c.cpu+cpu(b)-used
		}
	}
	for _, c := range contenders {
		slices.Sort(c.turns)
		c.took = c.turns[len(c.turns)/2]
		b.ReportMetric(c.took.Seconds()*1e6/turn/float64(phones), c.name+"-µs")
		floors[c.name] = c
		if floor := floors[c.floor]; floor != nil {
			b.ReportMetric(100*floor.took.Seconds()/c.took.Seconds(), c.name+"-%")
			b.ReportMetric(100*floor.cpu.Seconds()/c.cpu.Seconds(), c.name+"-cpu-%")
			b.ReportMetric(float64(c.phones[0].body), c.name+"-bytes")
		}
	}
}

// turn is so many requests of each phone, all phones at once.
func (c *contender) turn(b *testing.B, requests int) {
	var all sync.WaitGroup
	for _, p := range c.phones {
		all.Go(func() {
			for range requests {
				if status, err := p.send(); err != nil || status != c.status {
					b.Errorf("%s: status %d, %v", c.name, status, err)
					return
				}
			}
		})
	}
	all.Wait()
}

func homeContenders(b *testing.B) []*contender {
	const protobuf = "application/x-protobuf"
	s, shelves := wideHome(b)
	verifier, token := signedIn(b)
	limits := api.Limits{ListenerRate: 1e9}
	cached, err := rowcache.New(s, rowcache.Options{Age: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(cached.Close)
	withRows := func(rows api.Rows, answerBytes int64) *api.API {
		l := limits
		l.AnswerBytes = answerBytes
		return newAPI(b, api.Config{Rows: rows, Shelves: shelves, Verifier: verifier, Registerer: prometheus.NewRegistry(), Limits: l, Now: time.Now})
	}
	const none = -1 // answer is kept
	all, made, disk := withRows(cached, 0), withRows(cached, none), withRows(onDisk(b, s), none)
	ready := call(all, "GET", homeTarget, token, "", "Accept", protobuf)
	readyJSON := call(all, "GET", homeTarget, token, "")
	etag := ready.Header().Get("ETag")
	same := call(all, "GET", homeTarget, token, "", "Accept", protobuf, "If-None-Match", etag)
	full := overloaded(b, shelves, verifier, limits, token)
	refusal := call(full, "GET", homeTarget, token, "", "Accept", protobuf)
	contenders := []*contender{
		{name: "floor", handler: constant(ready), headers: []string{"Accept", protobuf}, status: 200},
		{name: "cached", handler: all, headers: []string{"Accept", protobuf}, status: 200, floor: "floor"},
		{name: "made", handler: made, headers: []string{"Accept", protobuf}, status: 200, floor: "floor"},
		{name: "store", handler: disk, headers: []string{"Accept", protobuf}, status: 200, floor: "floor"},
		{name: "floor-json", handler: constant(readyJSON), status: 200},
		{name: "json", handler: all, status: 200, floor: "floor-json"},
		{name: "floor-304", handler: constant(same), headers: []string{"Accept", protobuf, "If-None-Match", etag}, status: 304},
		{name: "304", handler: all, headers: []string{"Accept", protobuf, "If-None-Match", etag}, status: 304, floor: "floor-304"},
		{name: "floor-503", handler: constant(refusal), headers: []string{"Accept", protobuf}, status: 503},
		{name: "503", handler: full, headers: []string{"Accept", protobuf}, status: 503, floor: "floor-503"},
	}
	for _, c := range contenders {
		c.headers = append(c.headers, "Authorization", "Bearer "+token)
	}
	return contenders
}

// constant answers what was answered once, headers and all, without looking at the request.
func constant(ready *httptest.ResponseRecorder) http.Handler {
	status, headers, body := ready.Code, ready.Header(), ready.Body.Bytes()
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), headers)
		w.WriteHeader(status)
		if len(body) > 0 {
			_, _ = w.Write(body)
		}
	})
}

// overloaded is an API of whose places for Homes the only one is taken.
func overloaded(b *testing.B, shelves []*shelf.Shelf, verifier identity.Verifier, limits api.Limits, token string) *api.API {
	b.Helper()
	entered, leave := make(chan struct{}), make(chan struct{})
	stuck := &rows{before: func(context.Context, store.Key) error {
		close(entered)
		<-leave
		return nil
	}}
	limits.Homes, limits.StoreTimeout = 1, time.Hour
	a := newAPI(b, api.Config{Rows: stuck, Shelves: shelves, Verifier: verifier, Registerer: prometheus.NewRegistry(), Limits: limits, Now: time.Now})
	var inside sync.WaitGroup
	inside.Go(func() { call(a, "GET", homeTarget, token, "") })
	b.Cleanup(func() { close(leave); inside.Wait() })
	<-entered
	return a
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

// serve starts the contender's server, and returns where it is and what to send there.
func (c *contender) serve(b *testing.B) (addr string, request []byte) {
	server := httptest.NewServer(c.handler)
	b.Cleanup(server.Close)
	request = []byte("GET " + homeTarget + " HTTP/1.1\r\nHost: homefeed\r\n")
	for i := 0; i+1 < len(c.headers); i += 2 {
		request = fmt.Appendf(request, "%s: %s\r\n", c.headers[i], c.headers[i+1])
	}
	return server.Listener.Addr().String(), append(request, "\r\n"...)
}

// dial starts the contender's server and connects phones.
func (c *contender) dial(b *testing.B, phones int) {
	addr, request := c.serve(b)
	for range phones {
		p, err := newPhone(addr, request)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = p.conn.Close() })
		c.phones = append(c.phones, p)
	}
}

func newPhone(addr string, request []byte) (*phone, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &phone{request: request, conn: conn, answers: bufio.NewReaderSize(conn, 128<<10)}, nil
}

// send sends the request and reads the answer.
func (p *phone) send() (status int, err error) {
	if _, err := p.conn.Write(p.request); err != nil {
		return 0, err
	}
	length := 0
	for {
		line, err := p.answers.ReadSlice('\n')
		if err != nil {
			return 0, err
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
	if _, err := p.answers.Discard(length); err != nil {
		return 0, err
	}
	if (length > 0) != (status != http.StatusNotModified) {
		return 0, fmt.Errorf("status %d, %d bytes", status, length)
	}
	p.body = length
	return status, nil
}

// BenchmarkHandler is what homefeed's own code costs, without a connection.
func BenchmarkHandler(b *testing.B) {
	for _, c := range homeContenders(b) {
		if c.floor == "" {
			continue
		}
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", homeTarget, http.NoBody)
			for i := 0; i+1 < len(c.headers); i += 2 {
				r.Header.Set(c.headers[i], c.headers[i+1])
			}
			b.ReportAllocs()
			used := cpu(b)
			for b.Loop() {
				c.handler.ServeHTTP(discard{header: http.Header{}}, r)
			}
			b.ReportMetric(float64(cpu(b)-used)/float64(b.N), "cpu-ns/op")
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
