package homeapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"homefeed/api/apierror"
	"homefeed/api/edge"
	"homefeed/api/home"
	"homefeed/api/homewire"
	"homefeed/api/identity"
	"homefeed/api/pagetoken"
	"homefeed/shelves/shelf"
)

// Home answers GET /v1/home: one read of the store, and never an error because of it.
func (a *API) Home(w http.ResponseWriter, r *http.Request, who identity.Identity) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	if q.token != "" {
		return a.homePage(w, r, who.User, q)
	}
	cfg := a.config.Load()
	src, degraded, err := a.source(r.Context(), cfg, who.User, q.market)
	if err != nil {
		return err
	}
	form := formOf(r, q.basic)
	answer, err := a.answers.get(answerKey{who.User, q, form}, cfg, src, func() (*answer, error) {
		return a.firstPage(cfg, src, who.User, q, form, degraded)
	})
	if err != nil {
		return err
	}
	a.count(answer.shelves)
	a.write(w, r, answer, degraded)
	return nil
}

// firstPage makes Home anew.
func (a *API) firstPage(cfg *home.Config, src home.Source, user string, q query, f form, degraded bool) (*answer, error) {
	viewer := a.viewer(user, q)
	return a.encode(f, func(broken map[string]bool) ([]byte, *home.Home, error) {
		h := cfg.Arrange(src, viewer, home.Page{Size: q.size, Cards: q.cards, Broken: broken})
		body, err := a.render(h, cfg, viewer, q, nil, degraded)
		return body, h, err
	})
}

// homePage is a page behind the first. It shows the generations that the first page had, as far as the store still has
// them, and no card again in any case.
func (a *API) homePage(w http.ResponseWriter, r *http.Request, user string, q query) error {
	token, err := a.open(q.binding(user, ""), q.token)
	if err != nil {
		return err
	}
	cfg := a.config.Load()
	src, degraded, err := a.pinned(r.Context(), cfg, user, q.market)
	if err != nil {
		return err
	}
	viewer := a.viewer(user, q)
	viewer.Now = time.UnixMilli(token.Now).UTC()
	page := pageOf(token)
	page.Size, page.Cards = q.size, q.cards
	answer, err := a.encode(formOf(r, q.basic), func(broken map[string]bool) ([]byte, *home.Home, error) {
		page.Broken = broken
		h := cfg.Arrange(src, viewer, page)
		body, err := a.render(h, cfg, viewer, q, token, degraded)
		return body, h, err
	})
	if err != nil {
		return err
	}
	a.count(answer.shelves)
	answer.etag = "" // its address is its own, so nobody asks for it again
	a.write(w, r, answer, degraded)
	return nil
}

// HomeShelf answers GET /v1/home/shelves/{shelf}: one shelf of the listener, or the rest of its cards.
func (a *API) HomeShelf(w http.ResponseWriter, r *http.Request, who identity.Identity) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	cfg := a.config.Load()
	name := r.PathValue("shelf")
	if cfg.Shelf(name) == nil {
		return apierror.NotFound("SHELF_UNKNOWN", "there is no such shelf")
	}
	viewer := a.viewer(who.User, q)
	token, page := new(pagetoken.Token), home.Page{}
	load := a.source
	if q.token != "" {
		if token, err = a.open(q.binding(who.User, name), q.token); err != nil {
			return err
		}
		load, page, viewer.Now = a.pinned, pageOf(token), time.UnixMilli(token.Now).UTC()
	}
	src, degraded, err := load(r.Context(), cfg, who.User, q.market)
	if err != nil {
		return err
	}
	page.Cards = q.size
	answer, err := a.encodeShelf(formOf(r, q.basic), func(broken map[string]bool) ([]byte, *home.Home, error) {
		page.Broken = broken
		h := cfg.ArrangeShelf(name, src, viewer, page)
		body, err := a.renderer(cfg, viewer, q, page.Shown).AppendShelf(nil, &h.Shelves[0])
		return body, h, err
	})
	if err != nil {
		return err
	}
	a.count(answer.shelves)
	answer.etag = ""
	a.write(w, r, answer, degraded)
	return nil
}

// UserShelf answers GET /v1/users/{user}/shelves/{shelf}. Unlike home it says so when the store is away: whoever
// looks at one listener's shelf must not take an outage for an empty row.
func (a *API) UserShelf(w http.ResponseWriter, r *http.Request, _ identity.Identity) error {
	q, err := queryOf(r)
	if err != nil {
		return err
	}
	cfg := a.config.Load()
	declared := cfg.Shelf(r.PathValue("shelf"))
	if declared == nil {
		return apierror.NotFound("SHELF_UNKNOWN", "there is no such shelf")
	}
	user := r.PathValue("user")
	src, err := a.exact(r.Context(), declared.Scope, user, q.market)
	if err != nil {
		return err
	}
	answer, err := a.encodeShelf(formOf(r, q.basic), func(broken map[string]bool) ([]byte, *home.Home, error) {
		h := cfg.ArrangeShelf(declared.Name, src, a.viewer(user, q), home.Page{Broken: broken})
		body, err := home.Render{}.AppendShelf(nil, &h.Shelves[0])
		return body, h, err
	})
	if err != nil {
		return err
	}
	a.count(answer.shelves)
	w.Header().Set("Cache-Control", "private, no-store")
	writeAnswer(w, answer)
	return nil
}

// write answers with Home, or with 304 to a client that has it. Where something was out of reach nobody may keep it.
func (a *API) write(w http.ResponseWriter, r *http.Request, out *answer, degraded bool) {
	h := w.Header()
	h["Vary"] = a.vary
	if degraded {
		h.Set("Cache-Control", "no-store")
		writeAnswer(w, out)
		return
	}
	h["Cache-Control"] = a.cacheControl
	if out.etag != "" {
		h.Set("ETag", out.etag)
		if edge.Matches(r.Header.Get("If-None-Match"), out.etag) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	writeAnswer(w, out)
}

// writeAnswer drops errors of writing: the caller went away, and the answer was all there was to do for them.
func writeAnswer(w http.ResponseWriter, out *answer) {
	h := w.Header()
	for _, one := range out.headers {
		h[one.Name] = one.Value
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

func (a *API) viewer(user string, q query) home.Viewer {
	return home.Viewer{User: user, Market: q.market, Locale: q.locale, Platform: q.platform, Now: a.now()}
}

// render makes the bytes of a page. token is that of the page before it, nil for the first.
func (a *API) render(h *home.Home, cfg *home.Config, v home.Viewer, q query, token *pagetoken.Token, degraded bool) ([]byte, error) {
	body, err := a.renderer(cfg, v, q, nil).Append(make([]byte, 0, 64<<10), h)
	if err != nil {
		return nil, err
	}
	trailer := homewire.Trailer{Degraded: degraded}
	next := &pagetoken.Token{Version: cfg.Version, Now: v.Now.UnixMilli(), Shown: h.Shown}
	if token != nil {
		trailer.Newer = h.Newer || token.Version != cfg.Version
		next.Version, next.Shelves = token.Version, token.Shelves
	}
	if h.More {
		for i := range h.Shelves {
			next.Shelves = append(next.Shelves, h.Shelves[i].Name)
		}
		next.AsOf = millis(h.AsOf)
		if trailer.NextPageToken, err = a.pages.Seal(q.binding(v.User, ""), next); err != nil {
			return nil, err
		}
	}
	return homewire.AppendTrailer(body, trailer), nil
}

// renderer makes shelves' bytes; shown are the cards of pages before.
func (a *API) renderer(cfg *home.Config, v home.Viewer, q query, shown map[uint32]bool) home.Render {
	return home.Render{User: v.User, Tokens: a.tokens, NextCards: func(s *home.Shelf) (string, error) {
		next := &pagetoken.Token{
			Version: cfg.Version, Now: v.Now.UnixMilli(), First: s.First + len(s.Cards), Shown: s.Passed,
		}
		for hash := range shown {
			next.Shown = append(next.Shown, hash)
		}
		if !s.Rung.AsOf.IsZero() {
			next.AsOf = map[string]int64{s.Name: s.Rung.AsOf.UnixMilli()}
		}
		return a.pages.Seal(q.binding(v.User, s.Name), next)
	}}
}

func (a *API) open(request, token string) (*pagetoken.Token, error) {
	t, err := a.pages.Open(request, token)
	if errors.Is(err, pagetoken.ErrInvalid) {
		return nil, apierror.BadRequest("PAGE_TOKEN_INVALID", "the page token is not valid",
			apierror.Field{Field: "page_token", Want: "want the next_page_token of the same request"})
	}
	if err != nil {
		return nil, fmt.Errorf("opening page token: %w", err)
	}
	return t, nil
}

func pageOf(t *pagetoken.Token) home.Page {
	p := home.Page{
		Skip: make(map[string]bool, len(t.Shelves)), Shown: make(map[uint32]bool, len(t.Shown)),
		AsOf: make(map[string]time.Time, len(t.AsOf)), First: t.First,
	}
	for _, name := range t.Shelves {
		p.Skip[name] = true
	}
	for _, hash := range t.Shown {
		p.Shown[hash] = true
	}
	for name, ms := range t.AsOf {
		p.AsOf[name] = time.UnixMilli(ms).UTC()
	}
	return p
}

func millis(times map[string]time.Time) map[string]int64 {
	ms := make(map[string]int64, len(times))
	for name, t := range times {
		ms[name] = t.UnixMilli()
	}
	return ms
}
