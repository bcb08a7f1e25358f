package homeapi

import (
	"context"
	"net/http"
	"time"

	"homefeed/api/apierror"
	"homefeed/api/edge"
	"homefeed/api/home"
	"homefeed/api/homequery"
	"homefeed/api/homewire"
	"homefeed/api/identity"
	"homefeed/api/pagetoken"
	"homefeed/shelves/shelf"
)

// Home answers GET /v1/home: one read of the store, and never an error because of it.
func (a *API) Home(w http.ResponseWriter, r *http.Request, who identity.Identity) error {
	cfg, now, key := a.config.Load(), a.now(), keyOf(who.User, r)
	kept := a.answers.get(key, now)
	if kept != nil {
		if same, degraded := a.remembered(r.Context(), cfg, kept, now); same {
			a.count(kept.shelves, now)
			a.write(w, r, kept, degraded)
			return nil
		}
	}
	if err := a.gate.Full(); err != nil { // before anything is done for it
		return err
	}
	q, err := homequery.Of(r)
	if err != nil {
		return err
	}
	if q.Token != "" {
		return a.homePage(w, r, who.User, q)
	}
	ws := a.borrow()
	defer a.giveBack(ws)
	out, degraded, err := a.firstPage(r.Context(), ws, cfg, key, kept, q, now)
	if err != nil {
		return err
	}
	a.count(out.shelves, now)
	a.write(w, r, out, degraded)
	return nil
}

// remembered reports whether a kept Home would be the same again, as far as that can be told without waiting.
func (a *API) remembered(ctx context.Context, cfg *home.Config, kept *answer, now time.Time) (same, degraded bool) {
	var src reading
	if !a.peeked(ctx, cfg, kept, now, &src) {
		return false, false
	}
	same, _ = kept.says(cfg, &src)
	return same, src.degraded
}

// firstPage reads what Home shows and makes it, unless kept, which may be nil, says the same.
func (a *API) firstPage(ctx context.Context, ws *workspace, cfg *home.Config, key answerKey, kept *answer, q homequery.Query, now time.Time) (out *answer, degraded bool, err error) {
	err = a.source(ctx, cfg, key.user, q.Market, func(src *reading) error {
		degraded = src.degraded
		var made stamp
		keep := !src.Made && !src.Stale
		if keep {
			var same bool
			if same, made = kept.says(cfg, src); same {
				out = kept
				return nil
			}
		}
		viewer := viewerOf(key.user, q, now)
		f := key.form
		f.Basic = q.Basic
		var err error
		out, err = a.encode(ws, f, func(ws *workspace, broken map[string]bool) ([]byte, *home.Home, error) {
			h := ws.arranger.Arrange(cfg, src.Source, viewer, home.Page{Size: q.Size, Cards: q.Cards, Broken: broken})
			err := a.render(ws, h, cfg, viewer, q, nil, src.degraded)
			return ws.body, h, err
		})
		if err == nil && keep {
			out.row, out.market = src.key, q.Market
			a.answers.keep(key, q, made, out)
		}
		return err
	})
	return out, degraded, err
}

// homePage is a page behind the first. It shows the generations that the first page had, as far as the store still has
// them, and no card again in any case.
func (a *API) homePage(w http.ResponseWriter, r *http.Request, user string, q homequery.Query) error {
	token, err := q.Open(a.pages, user, "")
	if err != nil {
		return err
	}
	cfg := a.config.Load()
	viewer := viewerOf(user, q, time.UnixMilli(token.Now).UTC())
	page := homequery.PageOf(token)
	page.Size, page.Cards = q.Size, q.Cards
	ws := a.borrow()
	defer a.giveBack(ws)
	var out *answer
	var degraded bool
	err = a.pinned(r.Context(), cfg, user, q.Market, func(src *reading) (err error) {
		degraded = src.degraded
		out, err = a.encode(ws, homequery.FormOf(r, q.Basic), func(ws *workspace, broken map[string]bool) ([]byte, *home.Home, error) {
			page.Broken = broken
			h := ws.arranger.Arrange(cfg, src.Source, viewer, page)
			err := a.render(ws, h, cfg, viewer, q, token, degraded)
			return ws.body, h, err
		})
		return err
	})
	if err != nil {
		return err
	}
	a.count(out.shelves, a.now())
	a.write(w, r, out, degraded) // without an ETag: its address is its own, so nobody asks for it again
	return nil
}

// HomeShelf answers GET /v1/home/shelves/{shelf}: one shelf of the listener, or the rest of its cards.
func (a *API) HomeShelf(w http.ResponseWriter, r *http.Request, who identity.Identity) error {
	q, err := homequery.Of(r)
	if err != nil {
		return err
	}
	cfg := a.config.Load()
	name := r.PathValue("shelf")
	if cfg.Shelf(name) == nil {
		return apierror.NotFound("SHELF_UNKNOWN", "there is no such shelf")
	}
	viewer := viewerOf(who.User, q, a.now())
	token, page := new(pagetoken.Token), home.Page{}
	load := a.source
	if q.Token != "" {
		if token, err = q.Open(a.pages, who.User, name); err != nil {
			return err
		}
		load, page, viewer.Now = a.pinned, homequery.PageOf(token), time.UnixMilli(token.Now).UTC()
	}
	page.Cards = q.Size
	ws := a.borrow()
	defer a.giveBack(ws)
	var out *answer
	var degraded bool
	err = load(r.Context(), cfg, who.User, q.Market, func(src *reading) (err error) {
		degraded = src.degraded
		out, err = a.encodeShelf(ws, homequery.FormOf(r, q.Basic), func(ws *workspace, broken map[string]bool) ([]byte, *home.Home, error) {
			page.Broken = broken
			h := ws.arranger.ArrangeShelf(cfg, name, src.Source, viewer, page)
			render, err := a.renderer(ws, cfg, viewer, q, page.Shown)
			if err != nil {
				return nil, nil, err
			}
			ws.body, err = render.AppendShelf(ws.body[:0], &h.Shelves[0])
			return ws.body, h, err
		})
		return err
	})
	if err != nil {
		return err
	}
	a.count(out.shelves, a.now())
	a.write(w, r, out, degraded)
	return nil
}

// UserShelf answers GET /v1/users/{user}/shelves/{shelf}. Unlike home it says so when the store is away: whoever
// looks at one listener's shelf must not take an outage for an empty row.
func (a *API) UserShelf(w http.ResponseWriter, r *http.Request, _ identity.Identity) error {
	q, err := homequery.Of(r)
	if err != nil {
		return err
	}
	cfg := a.config.Load()
	declared := cfg.Shelf(r.PathValue("shelf"))
	if declared == nil {
		return apierror.NotFound("SHELF_UNKNOWN", "there is no such shelf")
	}
	user := r.PathValue("user")
	src, err := a.exact(r.Context(), declared.Scope, user, q.Market)
	if err != nil {
		return err
	}
	ws := a.borrow()
	defer a.giveBack(ws)
	out, err := a.encodeShelf(ws, homequery.FormOf(r, q.Basic), func(ws *workspace, broken map[string]bool) ([]byte, *home.Home, error) {
		h := ws.arranger.ArrangeShelf(cfg, declared.Name, src, viewerOf(user, q, a.now()), home.Page{Broken: broken})
		var err error
		ws.body, err = home.Render{}.AppendShelf(ws.body[:0], &h.Shelves[0])
		return ws.body, h, err
	})
	if err != nil {
		return err
	}
	a.count(out.shelves, a.now())
	w.Header().Set("Cache-Control", "private, no-store")
	a.writeAnswer(w, out)
	return nil
}

// write answers with Home, or with 304 to a client that has it. Where something was out of reach nobody may keep it.
func (a *API) write(w http.ResponseWriter, r *http.Request, out *answer, degraded bool) {
	h := w.Header()
	h["Vary"] = a.vary
	if degraded {
		h.Set("Cache-Control", "no-store")
		a.writeAnswer(w, out)
		return
	}
	h["Cache-Control"] = a.cacheControl
	if len(out.etag) > 0 {
		h["Etag"] = out.etag
		if edge.Matches(edge.Get(r, "If-None-Match"), out.etag[0]) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	a.writeAnswer(w, out)
}

// writeAnswer drops errors of writing: the caller went away, and the answer was all there was to do for them.
func (a *API) writeAnswer(w http.ResponseWriter, out *answer) {
	h := w.Header()
	h["Content-Type"], h["Content-Length"] = out.kind, out.length // once: the map would grow for a second time
	if out.encoding != nil {
		h["Content-Encoding"] = out.encoding
	}
	_, _ = w.Write(out.body)
}

// exact is a source of a shelf of the scope, or the error that says why there is none.
func (a *API) exact(ctx context.Context, scope shelf.Scope, user, market string) (home.Source, error) {
	key, err := edge.UserKey(user)
	if err != nil {
		return home.Source{}, err
	}
	var src home.Source
	if scope == shelf.Listener {
		src.Row, err = a.readRow(ctx, key, 1)
	} else {
		src.Markets, err = a.marketRows(ctx, market)
	}
	if err != nil {
		return src, apierror.Unavailable("STORE_UNAVAILABLE", "the row could not be read", time.Second, err)
	}
	return src, nil
}

func viewerOf(user string, q homequery.Query, now time.Time) home.Viewer {
	return home.Viewer{User: user, Market: q.Market, Locale: q.Locale, Platform: q.Platform, Now: now}
}

// render makes the bytes of a page. token is that of the page before it, nil for the first.
func (a *API) render(ws *workspace, h *home.Home, cfg *home.Config, v home.Viewer, q homequery.Query, token *pagetoken.Token, degraded bool) error {
	render, err := a.renderer(ws, cfg, v, q, nil)
	if err != nil {
		return err
	}
	if ws.body, err = render.Append(ws.body[:0], h); err != nil {
		return err
	}
	trailer := homewire.Trailer{Degraded: degraded}
	next := pagetoken.Token{Version: cfg.Version, Now: v.Now.UnixMilli(), Shown: h.Shown}
	if token != nil {
		trailer.Newer = h.Newer || token.Version != cfg.Version
		next.Version, next.Shelves = token.Version, token.Shelves
	}
	if h.More {
		for i := range h.Shelves {
			next.Shelves = append(next.Shelves, h.Shelves[i].Name)
		}
		next.AsOf = homequery.Generations(h.AsOf)
		if trailer.NextPageToken, err = a.pages.Seal(q.Binding(v.User, ""), &next); err != nil {
			return err
		}
	}
	ws.body = homewire.AppendTrailer(ws.body, trailer)
	return nil
}

// renderer makes shelves' bytes; shown are the cards of pages before.
func (a *API) renderer(ws *workspace, cfg *home.Config, v home.Viewer, q homequery.Query, shown map[uint32]bool) (home.Render, error) {
	err := ws.tokens.Begin(v.User)
	return home.Render{Tokens: ws.tokens, NextCards: func(s *home.Shelf) (string, error) {
		next := &pagetoken.Token{
			Version: cfg.Version, Now: v.Now.UnixMilli(), First: s.First + len(s.Cards), Shown: s.Passed,
		}
		for hash := range shown {
			next.Shown = append(next.Shown, hash)
		}
		if !s.Rung.AsOf.IsZero() {
			next.AsOf = map[string]int64{s.Name: s.Rung.AsOf.UnixMilli()}
		}
		return a.pages.Seal(q.Binding(v.User, s.Name), next)
	}}, err
}
