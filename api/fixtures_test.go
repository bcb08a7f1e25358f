package api_test

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/api"
	"homefeed/api/identity"
	"homefeed/pipeline/bus"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func noCards(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil }

func testShelves() []*shelf.Shelf {
	return []*shelf.Shelf{
		{Name: "recently_played", Doc: "D.", Title: "Recently played", Fill: noCards},
		{Name: "more_like", Doc: "D.", Title: "More like {artist}", Fill: noCards, Guard: shelf.Guard{GoodFor: time.Hour}},
		{Name: "trending", Doc: "D.", Title: "Trending", Scope: shelf.Market, Fill: noCards},
		{Name: "discover", Doc: "D.", Fill: noCards},
	}
}

// rows is a row store in memory that can fail, wait or panic.
type rows struct {
	mu     sync.Mutex
	rows   map[store.Key]store.Row
	reads  map[store.Key]int
	before func(ctx context.Context, key store.Key) error
}

func (s *rows) Read(ctx context.Context, key store.Key, versions int) (store.Row, error) {
	s.mu.Lock()
	if s.reads == nil {
		s.reads = map[store.Key]int{}
	}
	s.reads[key]++
	row, before := s.rows[key], s.before
	s.mu.Unlock()
	newest := store.Row{DeletedAt: row.DeletedAt}
	of, n := "", 0
	for _, c := range row.Cells {
		if c.Shelf != of {
			of, n = c.Shelf, 0
		}
		if n++; n <= versions {
			newest.Cells = append(newest.Cells, c)
		}
	}
	row = newest
	if before != nil {
		if err := before(ctx, key); err != nil {
			return store.Row{}, err
		}
	}
	return row, nil
}

// set makes before what happens before a read or a write from now on.
func (s *rows) set(before func(context.Context, store.Key) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

func (s *rows) Write(ctx context.Context, key store.Key, cells ...store.Cell) error {
	if s.before != nil {
		if err := s.before(ctx, key); err != nil {
			return err
		}
	}
	for _, c := range cells {
		s.putBytes(key, c)
	}
	return nil
}

func (s *rows) Delete(_ context.Context, key store.Key, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows == nil {
		s.rows = map[store.Key]store.Row{}
	}
	s.rows[key] = store.Row{DeletedAt: at}
	return nil
}

// put adds a cell with the cards.
func (s *rows) put(t testing.TB, key store.Key, name string, asOf time.Time, args map[string]string, cards ...string) *shelfpb.Shelf {
	t.Helper()
	m := &shelfpb.Shelf{TitleArgs: args, AsOf: timestamppb.New(asOf), Trigger: "trigger-1"}
	for _, c := range cards {
		m.Cards = append(m.Cards, &shelfpb.Card{Uri: "track:" + c, Title: "Title " + c, Reason: "Because"})
	}
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	s.putBytes(key, store.Cell{Shelf: name, AsOf: asOf, Data: data})
	return m
}

func (s *rows) putBytes(key store.Key, c store.Cell) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows == nil {
		s.rows = map[store.Key]store.Row{}
	}
	row := s.rows[key]
	row.Cells = slices.DeleteFunc(slices.Clone(row.Cells), func(old store.Cell) bool {
		return old.Shelf == c.Shelf && old.AsOf.Equal(c.AsOf)
	})
	row.Cells = append(row.Cells, c)
	slices.SortStableFunc(row.Cells, func(a, b store.Cell) int {
		return cmp.Or(strings.Compare(a.Shelf, b.Shelf), b.AsOf.Compare(a.AsOf))
	})
	s.rows[key] = row
}

// publisher keeps what is published, by topic.
type publisher struct {
	mu        sync.Mutex
	published map[string][]bus.Message
	err       error
	fail      string // the topic that fails with err; empty: all
	wait      chan struct{}
}

func (p *publisher) Publish(ctx context.Context, topic string, msgs ...bus.Message) error {
	if p.wait != nil {
		select {
		case <-p.wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil && (p.fail == "" || p.fail == topic) {
		return p.err
	}
	if p.published == nil {
		p.published = map[string][]bus.Message{}
	}
	p.published[topic] = append(p.published[topic], msgs...)
	return nil
}

// tokens is a Verifier: "listener:<id>", "service:<role>", and for the errors "expired", "bad" and "away".
type tokens struct{}

func (tokens) Verify(_ context.Context, r *http.Request) (identity.Identity, error) {
	token, err := identity.Bearer(r)
	if err != nil {
		return identity.Identity{}, err
	}
	if user, ok := strings.CutPrefix(token, "listener:"); ok {
		return identity.Identity{User: user}, nil
	}
	if role, ok := strings.CutPrefix(token, "service:"); ok {
		return identity.Identity{Service: true, Roles: []identity.Role{identity.Role(role)}}, nil
	}
	switch token {
	case "expired":
		return identity.Identity{}, identity.ErrExpired
	case "away":
		return identity.Identity{}, io.ErrUnexpectedEOF
	}
	return identity.Identity{}, identity.ErrInvalid
}

// newAPI fills in what a test leaves out.
func newAPI(t testing.TB, c api.Config) *api.API {
	t.Helper()
	if c.Rows == nil {
		c.Rows = &rows{}
	}
	if c.Bus == nil {
		c.Bus = &publisher{}
	}
	if c.Shelves == nil {
		c.Shelves = testShelves()
	}
	if c.Verifier == nil {
		c.Verifier = tokens{}
	}
	if c.Now == nil {
		c.Now = func() time.Time { return now }
	}
	a, err := api.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// call makes one request; headers come in pairs.
func call(h http.Handler, method, path, token, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, bytes.NewReader([]byte(body)))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func userKey(t testing.TB, user string) store.Key {
	t.Helper()
	k, err := store.UserKey(user)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func marketKey(t testing.TB, market string) store.Key {
	t.Helper()
	k, err := store.MarketKey(market)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// dropAll is a bus that costs nothing.
type dropAll struct{}

func (dropAll) Publish(context.Context, string, ...bus.Message) error { return nil }
