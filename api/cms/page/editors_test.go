package page_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"homefeed/api/cms"
	"homefeed/api/placement"
	"homefeed/deploy/browser"
)

// change saves the draft as another editor would.
func (s *site) change(t *testing.T, by string, change func(*placement.Placements)) {
	t.Helper()
	state, err := s.desk.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := state.ByUpdate()[0]
	p := placement.Placements{Shelves: append([]placement.Placement(nil), d.Placements.Shelves...)}
	change(&p)
	if _, err := s.desk.UpdateDraft(t.Context(), by, d.ID, d.Etag(), nil, &p); err != nil {
		t.Fatal(err)
	}
}

// draft is the one draft as the log has it.
func (s *site) draft(t *testing.T) cms.Draft {
	t.Helper()
	state, err := s.desk.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state.ByUpdate()[0]
}

// TestTwoEditors holds that neither of two editors loses anything: what they changed apart is put together, and what
// both changed is shown from both sides.
func TestTwoEditors(t *testing.T) {
	s := serve(t)
	b := open(t, s.url)
	b.begin("Shared")
	b.saved()

	// Apart: Ed gives Discover a title, Pia gives Trending at least three cards.
	s.change(t, "ed", func(p *placement.Placements) { p.Shelves[3].Title = "Found for you" })
	b.click(`[data-shelf="trending"] .pick`)
	b.fill(`[name="minCards"]`, "3")
	b.until(`document.querySelector('dialog[open] h2')?.textContent === 'Somebody else changed this draft'`)
	b.click("dialog button.primary")
	b.until(`document.querySelector('dialog') === null`)
	b.saved()
	d := s.draft(t)
	if d.Placements.Shelves[3].Title != "Found for you" || d.Placements.Shelves[4].MinCards != 3 {
		t.Errorf("after changes apart: %+v", d.Placements)
	}

	// Both: the title of Discover, which Pia prefers to be Ed's, and the share of Trending, which she wants as hers.
	s.change(t, "ed", func(p *placement.Placements) {
		p.Shelves[3].Title = "Ed’s title"
		p.Shelves[4].AudiencePercent = 10
	})
	s.down.Store(true) // so that both of her changes are in one save
	b.fill(`[name="audiencePercent"]`, "50")
	b.click(`[data-shelf="discover"] .pick`)
	b.fill(`.form [name="title"]`, "Pia’s title")
	s.down.Store(false)
	b.until(`document.querySelectorAll('dialog[open] [data-clash]').length === 2`)
	b.picture("cms-9-conflict")
	both := b.text(`document.querySelector('dialog').innerText`)
	for _, want := range []string{"ed saved this draft", "Ed’s title", "Pia’s title", "10%", "50%", "Found for you"} {
		if !strings.Contains(both, want) {
			t.Errorf("the dialog lacks %q:\n%s", want, both)
		}
	}
	b.click(`dialog [data-clash="title"] [value="theirs"]`)
	b.click("dialog button.primary")
	b.until(`document.querySelector('dialog') === null`)
	b.saved()
	if d := s.draft(t); d.Placements.Shelves[3].Title != "Ed’s title" || d.Placements.Shelves[4].AudiencePercent != 50 || d.Updated.By != "pia" {
		t.Errorf("after the choice: %+v", d)
	}
	b.until(`document.querySelector('.form [name="title"]').value === 'Ed’s title'`)
}

// TestKept holds that what could not be saved survives the window, and is saved when the server is back.
func TestKept(t *testing.T) {
	s := serve(t)
	b := open(t, s.url)
	b.begin("Offline")
	b.saved()
	s.down.Store(true)
	b.fill(`.form [name="title"]`, "Written on a train")
	b.until(`document.getElementById('status').textContent.includes('kept in this browser')`)
	b.picture("cms-10-offline")
	name := b.text(`location.hash`)
	b.text(`(() => { window.fetch = () => new Promise(() => {}); return '' })()`) // this window saves nothing any more
	s.down.Store(false)
	again, cancel := chromedp.NewContext(b.ctx) // another one of the same browser
	defer cancel()
	b = &tab{t, again}
	b.run(chromedp.Navigate(s.url + name))
	b.until(`document.querySelector('.form [name="title"]')?.value === 'Written on a train'`)
	b.saved()
	if d := s.draft(t); d.Placements.Shelves[0].Title != "Written on a train" {
		t.Errorf("the draft: %+v", d.Placements)
	}
}

// TestRoles holds that the pages offer nobody what the API would refuse.
func TestRoles(t *testing.T) {
	s := serve(t)
	b := open(t, s.url)
	b.begin("Looked at")
	b.saved()
	b.fill("#people", "viewer:vic")
	b.until(`document.querySelector('#draft-title')?.disabled === true && document.querySelector('fieldset').disabled && document.querySelector('.handle').disabled`)
	b.fill("#people", "editor:ed")
	b.until(`document.querySelector('#draft-title')?.disabled === false`)
	b.click("#review")
	b.until(`document.querySelector('dialog button.primary')?.disabled === true`)
	if text := b.text(`document.querySelector('dialog').innerText`); !strings.Contains(text, "needs the role publisher") {
		t.Errorf("an editor is told: %s", text)
	}
}

// TestForEverybody covers what assistive technology needs, and narrow windows, on every page.
func TestForEverybody(t *testing.T) {
	s := serve(t)
	b := open(t, s.url)
	b.begin("For everybody")
	b.click(`[data-field="defaultCards"] button.quiet`)
	b.fill(`.form .line [aria-label="Address"]`, "nonsense")
	b.until(`document.querySelector('.problems .error') !== null`)
	draft := b.text(`location.hash`)
	for _, width := range []int64{1440, 900, 390} {
		b.run(chromedp.EmulateViewport(width, 844))
		for i, hash := range []string{"#/", "#/versions", "#/history", draft} {
			b.text(fmt.Sprintf(`location.hash = %q`, hash))
			b.until(fmt.Sprintf(`document.getElementById('main').getAttribute('aria-busy') === 'false' && document.querySelector('#main h2') !== null && (document.querySelector('.desk') !== null) === %t`, hash == draft))
			b.picture(fmt.Sprintf("cms-narrow-%d-%d", width, i))
			for what, script := range map[string]string{
				"buttons without a name":   `[...document.querySelectorAll('button')].filter((b) => !b.closest('[hidden]') && !(b.getAttribute('aria-label') || b.textContent.trim())).length`,
				"fields without a label":   `[...document.querySelectorAll('select, input, textarea')].filter((f) => f.labels.length === 0 && !f.getAttribute('aria-label')).length`,
				"sections without a name":  `[...document.querySelectorAll('#main section')].filter((s) => !s.hasAttribute('aria-label') && !document.getElementById(s.getAttribute('aria-labelledby')) && !s.querySelector('h2, h3')).length`,
				"ids used twice":           `(() => { const ids = [...document.querySelectorAll('[id]')].map((e) => e.id); return ids.length - new Set(ids).size })()`,
				"descriptions that aren't": `[...document.querySelectorAll('[aria-describedby]')].flatMap((e) => e.getAttribute('aria-describedby').split(' ')).filter((id) => !document.getElementById(id)).length`,
				"headings of level one":    `document.querySelectorAll('h1').length - 1`,
				"live regions missing":     `document.querySelectorAll('#say[aria-live="polite"]').length - 1`,
				"sideways scrolling pages": `document.documentElement.scrollWidth > innerWidth ? 1 : 0`,
			} {
				if n := browser.Evaluate[int](t, b.ctx, script); n != 0 {
					t.Errorf("%s at %d: %s: %d", hash, width, what, n)
				}
			}
		}
	}
}
