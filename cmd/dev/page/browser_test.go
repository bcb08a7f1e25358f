package page_test

import (
	"context"
	"flag"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"homefeed/deploy/browser"
	"homefeed/pipeline/event"
)

var screenshots = flag.String("screenshots", "", "a directory for pictures of the page")

// choose picks a listener as a reader does.
func choose(t *testing.T, ctx context.Context, id string) {
	t.Helper()
	browser.Evaluate[bool](t, ctx, `(() => { const l = document.getElementById('listener'); l.value = '`+id+`'; return l.dispatchEvent(new Event('change')) })()`)
}

const firstRecent = `document.querySelector('[data-shelf="recently_played"] .card')`

// TestPage plays, hearts and follows, and sees Home change by itself.
func TestPage(t *testing.T) {
	s, url := serve(t)
	ctx := browser.Open(t, url)
	browser.Media(t, ctx, map[string]string{"prefers-color-scheme": "dark"})
	browser.Until(t, ctx, `document.querySelectorAll('.card').length === 20`)
	browser.Until(t, ctx, `[...document.querySelectorAll('.cover img.ready')].length >= 8`)
	if got := browser.Evaluate[string](t, ctx, `[...document.querySelectorAll('#listener option')].map((o) => o.value).join()`); got != "ann,bob,new" {
		t.Errorf("listeners to choose from: %s", got)
	}
	if got := browser.Evaluate[string](t, ctx, `[...document.querySelectorAll('.shelf h2')].map((h) => h.textContent).join('|')`); got != "Recently played|More like Ida Verne|On repeat|Discover|Jump back in" {
		t.Errorf("shelves: %s", got)
	}
	if got := browser.Evaluate[string](t, ctx, `[...document.querySelectorAll('.badge')].map((b) => b.dataset.status).join()`); got != "FRESH,FRESH,LAST_GOOD,FRESH,DEFAULT" {
		t.Errorf("statuses: %s", got)
	}
	if got := browser.Evaluate[string](t, ctx, `document.getElementById('leftout').textContent`); got != "Left out, with nothing to show yet: Because you hearted, From artists you follow" {
		t.Errorf("left out: %s", got)
	}
	browser.Picture(t, ctx, *screenshots, "desktop")

	// A card of another shelf becomes the first of "Recently played", and the log says after how long.
	browser.Run(t, ctx, chromedp.Click(chromedp.CSS(`[data-shelf="more_like_artist"] [data-uri="track:7"] .play`)))
	browser.Until(t, ctx, firstRecent+`.dataset.uri === 'track:7'`)
	browser.Until(t, ctx, firstRecent+`.classList.contains('new') && `+firstRecent+`.parentElement.scrollLeft === 0`)
	browser.Until(t, ctx, `/^Recently played · \d+\.\d s$/.test(document.querySelector('#log .chip')?.textContent)`)
	browser.Until(t, ctx, `document.getElementById('say').textContent === 'Home changed: Recently played'`)
	browser.Until(t, ctx, `document.getElementById('player-title').textContent === 'Half a Moon'`)
	browser.Until(t, ctx, `document.getAnimations().filter((a) => a.effect.getComputedTiming().duration < 800 && a.effect.getComputedTiming().iterations === 1).length === 0`)
	browser.Picture(t, ctx, *screenshots, "desktop-played")

	// With the keyboard: one card of a shelf is in the tab order, arrows move, H hearts, F follows.
	if n := browser.Evaluate[int](t, ctx, `Math.max(...[...document.querySelectorAll('.cards')].map((l) => l.querySelectorAll('.play[tabindex="0"]').length))`); n != 1 {
		t.Errorf("%d cards of a shelf are in the tab order, want 1", n)
	}
	browser.Run(t, ctx, chromedp.Focus(chromedp.CSS(`[data-shelf="recently_played"] .card .play`)), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent("h"))
	browser.Until(t, ctx, `document.querySelector('[data-shelf="because_you_hearted"] .card') !== null`)
	browser.Until(t, ctx, `document.querySelector('[data-shelf="recently_played"] [data-uri="track:0"] [data-act="heart"]').getAttribute('aria-pressed') === 'true'`)
	browser.Run(t, ctx, chromedp.KeyEvent("f"))
	browser.Until(t, ctx, `document.querySelector('[data-shelf="from_artists_you_follow"] .card') !== null`)
	if on := browser.Evaluate[string](t, ctx, `document.activeElement.closest('.card')?.dataset.uri`); on != "track:0" {
		t.Errorf("the focus is on %q, want it kept on track:0", on)
	}
	browser.Run(t, ctx, chromedp.KeyEvent(kb.Enter))
	browser.Until(t, ctx, firstRecent+`.dataset.uri === 'track:0' && `+firstRecent+`.classList.contains('moved')`)
	if on := browser.Evaluate[string](t, ctx, `document.activeElement.closest('.card')?.dataset.uri`); on != "track:0" {
		t.Errorf("the focus is on %q after its card moved, want track:0", on)
	}
	// Each entry of the log names the shelves that its own event changed, newest first.
	browser.Until(t, ctx, `[...document.querySelectorAll('#log li')].map((l) => [...l.querySelectorAll('.chip')].map((c) => c.dataset.shelf).join('+')).join() === 'recently_played,from_artists_you_follow,because_you_hearted,recently_played'`)
	browser.Picture(t, ctx, *screenshots, "desktop-keyboard")

	type did struct {
		kind         event.Kind
		user, object string
	}
	want := []did{{event.Played, "ann", "7"}, {event.Hearted, "ann", "0"}, {event.Followed, "ann", "artist-of-0"}, {event.Played, "ann", "0"}}
	got := s.seen()
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d: %+v", len(got), len(want), got)
	}
	for i, e := range got {
		if (did{e.Kind, e.User, e.Object}) != want[i] {
			t.Errorf("event %d: %+v, want %+v", i, e, want[i])
		}
	}
}

// TestPageForEverybody covers other listeners, a server that is away, and what assistive technology needs.
func TestPageForEverybody(t *testing.T) {
	s, url := serve(t)
	ctx := browser.Open(t, url+"#bob")
	browser.Until(t, ctx, `document.querySelectorAll('.card').length === 2 && document.getElementById('listener').value === 'bob'`)
	choose(t, ctx, "ann")
	browser.Until(t, ctx, `document.querySelectorAll('.card').length === 20 && location.hash === '#ann'`)

	for what, script := range map[string]string{
		"buttons without a name":   `[...document.querySelectorAll('button')].filter((b) => !b.closest('[hidden]') && !(b.getAttribute('aria-label') || b.textContent.trim())).length`,
		"images without a text":    `[...document.querySelectorAll('img')].filter((i) => !i.hasAttribute('alt')).length`,
		"sections without a name":  `[...document.querySelectorAll('section, aside')].filter((s) => !s.hasAttribute('aria-label') && !document.getElementById(s.getAttribute('aria-labelledby'))).length`,
		"headings of level one":    `document.querySelectorAll('h1').length - 1`,
		"live regions missing":     `document.querySelectorAll('[aria-live="polite"]').length - 1`,
		"fields without a label":   `[...document.querySelectorAll('select, input')].filter((f) => f.labels.length === 0).length`,
		"languages missing":        `document.documentElement.lang ? 0 : 1`,
		"sideways scrolling pages": `document.documentElement.scrollWidth > innerWidth ? 1 : 0`,
	} {
		if n := browser.Evaluate[int](t, ctx, script); n != 0 {
			t.Errorf("%s: %d", what, n)
		}
	}

	s.down.Store(true)
	browser.Until(t, ctx, `!document.getElementById('trouble').hidden && document.querySelectorAll('.card').length === 20`)
	browser.Run(t, ctx, chromedp.Click(chromedp.CSS(`[data-shelf="discover"] [data-uri="track:8"] .play`)))
	browser.Until(t, ctx, `document.querySelector('#log .wrong') !== null`)
	browser.Picture(t, ctx, *screenshots, "desktop-away")
	s.down.Store(false)
	browser.Until(t, ctx, `document.getElementById('trouble').hidden`)

	browser.Media(t, ctx, map[string]string{"prefers-color-scheme": "light", "prefers-reduced-motion": "reduce"})
	browser.Run(t, ctx, chromedp.Click(chromedp.CSS(`[data-shelf="discover"] [data-uri="track:8"] .play`)))
	browser.Until(t, ctx, firstRecent+`.dataset.uri === 'track:8' && `+firstRecent+`.classList.contains('new')`)
	browser.Picture(t, ctx, *screenshots, "desktop-light")
	if dark, light := browser.Evaluate[string](t, ctx, `getComputedStyle(document.body).color`), "rgb(23, 20, 42)"; dark != light {
		t.Errorf("the text is %s in light mode, want %s", dark, light)
	}

	browser.Run(t, ctx, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	browser.Until(t, ctx, `innerWidth === 390`)
	if wide := browser.Evaluate[int](t, ctx, `document.documentElement.scrollWidth`); wide > 390 {
		t.Errorf("on a phone the page is %d wide, want 390", wide)
	}
	browser.Picture(t, ctx, *screenshots, "phone-light")
	browser.Media(t, ctx, map[string]string{"prefers-color-scheme": "dark"})
	browser.Picture(t, ctx, *screenshots, "phone-dark")
	choose(t, ctx, "new")
	browser.Until(t, ctx, `document.querySelectorAll('.card').length === 1`)
	browser.Picture(t, ctx, *screenshots, "phone-new")
	browser.Evaluate[bool](t, ctx, `(scrollTo(0, document.body.scrollHeight), true)`)
	browser.Picture(t, ctx, *screenshots, "phone-end")
}
