package page_test

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"homefeed/deploy/browser"
)

var screenshots = flag.String("screenshots", "", "a directory for pictures of the pages")

// tab is a browser that shows the CMS.
type tab struct {
	t   *testing.T
	ctx context.Context
}

func open(t *testing.T, url string) *tab {
	t.Helper()
	b := &tab{t, browser.Open(t, url)}
	browser.Run(t, b.ctx, chromedp.EmulateViewport(1440, 960))
	return b
}

func (b *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	browser.Run(b.t, b.ctx, actions...)
}

func (b *tab) until(condition string) {
	b.t.Helper()
	browser.Until(b.t, b.ctx, condition)
}

func (b *tab) text(script string) string {
	b.t.Helper()
	return browser.Evaluate[string](b.t, b.ctx, script)
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.until(`document.querySelector('` + selector + `')?.disabled !== true && document.querySelector('` + selector + `') !== null`)
	b.run(chromedp.Click(chromedp.CSS(selector)))
}

// fill replaces what a field has, as somebody who types does.
func (b *tab) fill(selector, value string) {
	b.t.Helper()
	browser.Evaluate[bool](b.t, b.ctx, fmt.Sprintf(`(() => { const f = document.querySelector(%q); f.focus(); f.value = %q; return f.dispatchEvent(new Event(f.tagName === 'SELECT' ? 'change' : 'input', { bubbles: true })) })()`, selector, value))
}

// picture is taken when everything has come to rest.
func (b *tab) picture(name string) {
	b.t.Helper()
	b.until(`document.querySelector('[aria-busy="true"]') === null && document.getAnimations().every((a) => a.playState !== 'running')`)
	browser.Picture(b.t, b.ctx, *screenshots, name)
}

func (b *tab) saved() {
	b.t.Helper()
	b.until(`document.getElementById('status')?.dataset.state === 'saved'`)
}

const (
	order = `[...document.querySelectorAll('#placements .placed')].map((l) => l.dataset.shelf).join()`
	said  = `document.getElementById('say').textContent`
	shown = `[...document.querySelectorAll('#preview-home .shelf')].map((s) => s.dataset.shelf).join()`
)

// begin makes a draft as a newcomer does.
func (b *tab) begin(title string) {
	b.t.Helper()
	b.click("#new-draft")
	b.fill("#new-title", title)
	b.click("dialog button.primary")
	b.until(`document.querySelectorAll('#preview-home .card').length > 0 && document.querySelector('#draft-title').value === '` + title + `'`)
}

// TestFromEmpty goes from an empty CMS to a Home that is arranged, scheduled, previewed and published, and back.
func TestFromEmpty(t *testing.T) {
	s := serve(t)
	b := open(t, s.url)
	b.until(`document.querySelector('.now b')?.textContent === 'Nothing is published yet'`)
	b.picture("cms-1-empty")
	b.begin("Spring on Home")
	b.until(shown + ` === 'recently_played,more_like_artist,heavy_rotation,discover,trending'`)
	b.picture("cms-2-draft")

	// With the keyboard: discover goes up by two.
	b.run(chromedp.Focus(chromedp.CSS(`[data-shelf="discover"] .handle`)), chromedp.KeyEvent(kb.ArrowUp))
	b.until(said + ` === 'Discover moved to place 3 of 5'`)
	b.run(chromedp.KeyEvent(kb.ArrowUp))
	b.until(order + ` === 'recently_played,discover,more_like_artist,heavy_rotation,trending'`)
	if on := b.text(`document.activeElement.closest('.placed')?.dataset.shelf ?? ''`); on != "discover" {
		t.Errorf("the focus is on %q, want it kept on discover", on)
	}
	// With the mouse: trending goes to the top.
	b.drag(`[data-shelf="trending"] .handle`, `[data-shelf="recently_played"] .handle`)
	b.until(order + ` === 'trending,recently_played,discover,more_like_artist,heavy_rotation'`)
	b.until(shown + ` === 'trending,recently_played,discover,more_like_artist,heavy_rotation'`)
	b.saved()

	// A mistake is told at its field, and in the list.
	b.click(`[data-shelf="discover"] .pick`)
	b.fill(`[name="minCards"]`, "99")
	b.until(`document.querySelector('[data-field="minCards"] .problems .error') !== null && document.querySelector('[name="minCards"]').getAttribute('aria-invalid') === 'true'`)
	b.until(`document.querySelector('[data-shelf="discover"] .tag.error') !== null`)
	b.run(chromedp.ScrollIntoView(chromedp.CSS(`[name="minCards"]`)))
	b.picture("cms-3-mistake")
	b.fill(`[name="minCards"]`, "4")
	b.until(`document.querySelectorAll('.problems .error').length === 0 && document.querySelectorAll('#preview-home .card').length > 0`)

	// Discover is for Sweden, with a title of its own, from the day after tomorrow.
	b.fill(`[name="title"]`, "Fresh for you")
	b.fill(`[name="markets"]`, "se")
	from := time.Now().Add(48 * time.Hour)
	b.fill(`[name="from"]`, from.Format("2006-01-02T15:04"))
	b.until(shown + ` === 'trending,recently_played,more_like_artist,heavy_rotation'`)
	b.fill("#preview-market", "SE")
	b.fill("#preview-time", from.Add(time.Hour).Format("2006-01-02T15:04"))
	b.until(shown + ` === 'trending,recently_played,discover,more_like_artist,heavy_rotation'`)
	b.until(`document.querySelector('#preview-home [data-shelf="discover"] h3').textContent === 'Fresh for you'`)

	// A card of the preview is pinned, another is blocked.
	b.pick("discover", "track:11", "Pin")
	b.until(`document.querySelector('#preview-home [data-shelf="discover"] .card').dataset.uri === 'track:11'`)
	b.pick("discover", "track:9", "Block")
	b.until(`document.querySelector('#preview-home [data-shelf="discover"] [data-uri="track:9"]') === null`)
	b.saved()
	b.run(chromedp.ScrollIntoView(chromedp.CSS("#draft-title")))
	b.picture("cms-4-scheduled")

	// Nothing is published before its effects are shown.
	b.click("#review")
	b.until(`document.querySelector('dialog .changes') !== null`)
	changes := b.text(`document.querySelector('dialog .changes').innerText`)
	for _, want := range []string{"Order", "Fresh for you", "SE", "Fewest cards", "Harbour Lights", "track:9"} {
		if !strings.Contains(changes, want) {
			t.Errorf("the changes lack %q:\n%s", want, changes)
		}
	}
	if found := b.text(`document.querySelector('dialog .findings').innerText`); !strings.Contains(found, "would be empty for 1 of 3 sampled listeners") && !strings.Contains(found, "repeats cards") {
		t.Errorf("findings:\n%s", found)
	}
	b.picture("cms-5-review")
	if v := s.published(t); v.Number != 0 {
		t.Fatalf("version %d is published before anybody said so", v.Number)
	}
	b.click("dialog button.primary")
	b.until(`document.querySelector('.now b')?.textContent === 'Version 1: Spring on Home'`)
	v := s.published(t)
	if v.Number != 1 || v.Published.By != "pia" || v.Placements.Shelves[0].Shelf != "trending" || v.Placements.Shelves[2].Markets[0] != "SE" ||
		!v.Placements.Shelves[2].From.Equal(from.Truncate(time.Minute)) || v.Placements.Shelves[2].Pins[0].Uri != "track:11" {
		t.Errorf("published: %+v", v)
	}
	b.picture("cms-6-published")

	// A second version, and back to the first.
	b.begin("Without trends")
	b.click(`[data-shelf="trending"] .pick`)
	b.click(".form .danger")
	b.until(order + ` === 'recently_played,discover,more_like_artist,heavy_rotation'`)
	b.saved()
	b.click("#review")
	b.click("dialog button.primary")
	b.until(`document.querySelector('.now b')?.textContent === 'Version 2: Without trends'`)
	b.run(chromedp.Navigate(s.url + "#/versions"))
	b.until(`document.querySelectorAll('.rows li').length === 2 && document.querySelector('.changes') !== null`)
	b.picture("cms-7-versions")
	b.click(`[aria-label="Go back to version 1"]`)
	b.click("dialog button.primary")
	b.until(`document.querySelectorAll('.rows li').length === 3`)
	if v := s.published(t); v.Number != 3 || v.Of != 1 || v.Placements.Shelves[0].Shelf != "trending" {
		t.Errorf("after going back: %+v", v)
	}
	b.run(chromedp.Navigate(s.url + "#/history"))
	b.until(`document.querySelectorAll('.history details').length > 3`)
	b.click(".history li:first-child summary")
	b.until(`document.querySelector('.history .changes') !== null`)
	b.picture("cms-8-history")
}

// pick presses a button of a card of the preview.
func (b *tab) pick(shelf, uri, what string) {
	b.t.Helper()
	selector := fmt.Sprintf(`#preview-home [data-shelf="%s"] [data-uri="%s"] [aria-label^="%s"]`, shelf, uri, what)
	b.until(`document.querySelector('` + selector + `') !== null`)
	browser.Evaluate[bool](b.t, b.ctx, `(() => { document.querySelector('`+selector+`').click(); return true })()`)
}

// drag pulls one thing to where another is, and a little above.
func (b *tab) drag(from, to string) {
	b.t.Helper()
	type point struct{ X, Y float64 }
	at := func(selector string) point {
		return browser.Evaluate[point](b.t, b.ctx, `(() => { const e = document.querySelector('`+selector+`'); e.scrollIntoView({ block: 'nearest' }); const r = e.getBoundingClientRect(); return { X: r.x + r.width / 2, Y: r.y + r.height / 2 } })()`)
	}
	a, z := at(from), at(to)
	b.run(chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, a.X, a.Y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
	for step := range 5 {
		y := a.Y + (z.Y-4-a.Y)*float64(step+1)/5
		b.run(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, a.X, y, chromedp.ButtonLeft))
	}
	b.run(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, a.X, z.Y-4, chromedp.ButtonLeft, chromedp.ClickCount(1)))
}
