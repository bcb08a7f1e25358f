package api

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"homefeed/api/apierror"
	"homefeed/api/homepb"
	"homefeed/api/homewire"
	"homefeed/api/identity"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

// home answers GET /v1/home: one read of the store, and never an error because of it.
func (a *API) home(w http.ResponseWriter, r *http.Request, who identity.Identity) error {
	market, err := marketOf(r)
	if err != nil {
		return err
	}
	key, err := store.UserKey(who.User)
	if err != nil {
		return apierror.BadRequest("USER_INVALID", err.Error())
	}
	row, err := a.readRow(r.Context(), key)
	failed := err != nil
	if failed {
		a.degraded("row", err)
	} else {
		a.recovered("row")
	}
	cfg := a.config.Load()
	view := a.view(r.Context(), cfg, row, market, cfg.hasMarkets)

	w.Header().Set("Cache-Control", "private, no-cache")
	if failed || view.failed {
		w.Header().Set("Cache-Control", "no-store")
	}
	w.Header().Set("Vary", "Accept, Authorization")
	if wantsProtobuf(r) {
		return a.homeProtobuf(w, view)
	}
	home := &homepb.Home{Shelves: make([]*shelfpb.Shelf, 0, len(cfg.places))}
	for _, p := range cfg.places {
		home.Shelves = append(home.Shelves, view.decoded(p))
	}
	return writeJSON(w, home)
}

// homeProtobuf joins the cells' bytes without decoding a card.
func (a *API) homeProtobuf(w http.ResponseWriter, v *view) error {
	buf := a.buffers.Get().(*[]byte)
	body := (*buf)[:0]
	for _, p := range v.config.places {
		rung := v.rung(p)
		p.metrics.count(rung)
		body = homewire.AppendToHome(body, header(p, rung), rung.Body)
	}
	writeBody(w, typeProtobuf, body)
	if cap(body) <= 1<<20 { // one huge Home must not stay in memory
		*buf = body
		a.buffers.Put(buf)
	}
	return nil
}

// userShelf answers GET /v1/users/{user}/shelves/{shelf}. Unlike home it says so when the store is away: whoever
// looks at one listener's shelf must not take an outage for an empty row.
func (a *API) userShelf(w http.ResponseWriter, r *http.Request, _ identity.Identity) error {
	market, err := marketOf(r)
	if err != nil {
		return err
	}
	cfg := a.config.Load()
	p := cfg.all[r.PathValue("shelf")]
	if p == nil {
		return apierror.NotFound("SHELF_UNKNOWN", "there is no such shelf")
	}
	key, err := store.UserKey(r.PathValue("user"))
	if err != nil {
		return apierror.BadRequest("USER_INVALID", "the listener's id is not valid",
			apierror.Field{Field: "user", Want: "want 1–64 of A–Z a–z 0–9 . _ -"})
	}
	var row store.Row
	if p.shelf.Scope == shelf.Listener {
		if row, err = a.readRow(r.Context(), key); err != nil {
			return apierror.Unavailable("STORE_UNAVAILABLE", "the row could not be read", time.Second, err)
		}
	}
	v := a.view(r.Context(), cfg, row, market, p.shelf.Scope == shelf.Market)
	if v.failed {
		return apierror.Unavailable("STORE_UNAVAILABLE", "the row could not be read", time.Second, v.err)
	}
	w.Header().Set("Cache-Control", "private, no-store")
	if wantsProtobuf(r) {
		rung := v.rung(p)
		p.metrics.count(rung)
		writeBody(w, typeProtobuf, homewire.AppendShelf(nil, header(p, rung), rung.Body))
		return nil
	}
	return writeJSON(w, v.decoded(p))
}

// view is what there is to show to one listener at one moment.
type view struct {
	api    *API
	config *config
	now    time.Time
	cells  []store.Cell // by place.index; zero where there is none
	failed bool         // a market's row could not be had
	err    error
}

// view sorts the cells by their places, those of the market's row too if that is asked for. Cells of variants and
// of shelves that are gone are passed over.
func (a *API) view(ctx context.Context, cfg *config, row store.Row, market string, withMarket bool) *view {
	v := &view{api: a, config: cfg, now: a.now(), cells: make([]store.Cell, len(cfg.all))}
	v.add(row, shelf.Listener)
	if !withMarket {
		return v
	}
	for _, m := range []string{market, trigger.World} { // what the market lacks, the world has
		if m == "" {
			continue
		}
		key, err := store.MarketKey(m)
		if err == nil {
			row, err = a.markets.Get(ctx, key)
		}
		if err != nil {
			v.failed, v.err = true, err
			continue
		}
		v.add(row, shelf.Market)
	}
	return v
}

func (v *view) add(row store.Row, scope shelf.Scope) {
	for _, c := range row.Cells {
		p := v.config.all[c.Shelf]
		if p == nil || p.shelf.Scope != scope {
			continue
		}
		if v.cells[p.index].AsOf.IsZero() { // the newest comes first
			v.cells[p.index] = c
		}
	}
}

func (v *view) rung(p *place) Rung {
	r := Ladder(Rungs{
		Now: v.now, Newest: v.cells[p.index], MinCards: p.minCards, GoodFor: p.guard.GoodFor, Default: p.defaults,
	})
	if r.Broken != nil {
		v.api.brokenCell(p, r.Broken)
	}
	return r
}

// decoded is the same shelf as a message. A cell whose cards can't be decoded counts as none.
func (v *view) decoded(p *place) *shelfpb.Shelf {
	rung := v.rung(p)
	s := new(shelfpb.Shelf)
	if err := proto.Unmarshal(rung.Body, s); err != nil {
		v.api.brokenCell(p, err)
		v.cells[p.index] = store.Cell{}
		rung = v.rung(p)
		s.Reset()
		if err := proto.Unmarshal(rung.Body, s); err != nil { // unreachable: New encoded the default itself
			v.api.brokenCell(p, err)
		}
	}
	p.metrics.count(rung)
	h := header(p, rung)
	s.Name, s.Title, s.Status, s.AgeSeconds, s.Component = h.Name, h.Title, h.Status, h.AgeSeconds, h.Component
	return s
}

// header is what the API says of a shelf besides its cell.
func header(p *place, r Rung) homewire.Header {
	h := homewire.Header{Name: p.shelf.Name, Title: p.plainTitle, Status: r.Status, Component: p.component}
	if r.Status == shelfpb.Status_LAST_GOOD {
		h.AgeSeconds = int64(r.Age / time.Second)
	}
	if !r.AsOf.IsZero() {
		title, ok := p.title.Fill(func(name string) (string, bool) { return homewire.TitleArg(r.Body, name) })
		if ok {
			h.Title = title
		}
	}
	return h
}

// readRow is the one read of a Home, within its deadline.
func (a *API) readRow(ctx context.Context, key store.Key) (store.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, a.limits.StoreTimeout)
	defer cancel()
	return a.rows.Read(ctx, key, 1)
}

// marketOf is the query's market; empty: the world's.
func marketOf(r *http.Request) (string, error) {
	if r.URL.RawQuery == "" {
		return "", nil
	}
	market := r.URL.Query().Get("market")
	switch {
	case market == "" || market == trigger.World:
		return "", nil
	case !event.ValidMarket(market):
		return "", apierror.BadRequest("MARKET_INVALID", "the market is not valid",
			apierror.Field{Field: "market", Want: "want an ISO 3166-1 alpha-2 code in capitals, or nothing"})
	}
	return market, nil
}

// writeJSON writes empty lists and texts too, so that clients can rely on every field.
func writeJSON(w http.ResponseWriter, m proto.Message) error {
	body, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return &apierror.Error{Code: code.Code_INTERNAL, Reason: "ENCODING", Message: "internal error", Cause: err}
	}
	writeBody(w, typeJSON, body)
	return nil
}

// writeBody drops errors of writing: the caller went away, and the answer was all there was to do for them.
func writeBody(w http.ResponseWriter, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

func newBuffers() *sync.Pool {
	return &sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}
}
