package page_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"homefeed/deploy/browser"
)

// audit lists what TestForEverybody can't count: an order of focus that is not the order of reading, headings that skip a
// level, pictures without a text, and words with less contrast than WCAG 2.2 AA asks for (4.5:1, and 3:1 from 24 px, or
// from 18.66 px when bold).
const audit = `(() => {
  const wrong = [];
  const seen = (e) => e.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && e.closest('[inert],[aria-hidden="true"]') === null;
  const what = (e) => e.tagName.toLowerCase() + (e.id ? '#' + e.id : '') + [...e.classList].map((c) => '.' + c).join('');
  for (const e of document.querySelectorAll('img')) if (!e.hasAttribute('alt')) wrong.push(what(e) + ' has no alt');
  for (const e of document.querySelectorAll('[tabindex]')) if (e.tabIndex > 0) wrong.push(what(e) + ' jumps the order of focus');
  let level = 0;
  for (const e of document.querySelectorAll('h1,h2,h3,h4,h5,h6')) {
    if (!e.checkVisibility()) continue;
    const at = Number(e.tagName[1]);
    if (at > level + 1) wrong.push(what(e) + ' "' + e.textContent + '" skips a level');
    level = at;
  }
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const ground = (e) => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== 'none' && at !== document.body && at !== document.documentElement) return null; // a gradient has no one colour
      layers.push(rgba(style.backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reduceRight((under, top) => over(top, under), rgba(getComputedStyle(document.documentElement).colorScheme === 'dark' ? '#111' : '#fff'));
  };
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, w, i) => sum + w * (c[i] / 255 <= 0.04045 ? c[i] / 255 / 12.92 : ((c[i] / 255 + 0.055) / 1.055) ** 2.4), 0);
  const told = new Set();
  for (const e of document.querySelectorAll('body *')) {
    if (!seen(e) || e.closest('.unseen,[disabled],svg') || ![...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim())) continue;
    const style = getComputedStyle(e), under = ground(e);
    if (!under) continue;
    const [a, b] = [light(over(rgba(style.color), under)), light(under)].sort((x, y) => y - x);
    const px = parseFloat(style.fontSize), large = px >= 24 || px >= 18.66 && Number(style.fontWeight) >= 700;
    const ratio = (a + 0.05) / (b + 0.05), key = what(e);
    if (ratio < (large ? 3 : 4.5) && !told.has(key)) {
      told.add(key);
      wrong.push(key + ' "' + e.textContent.trim().slice(0, 30) + '" has a contrast of ' + ratio.toFixed(2));
    }
  }
  return wrong.join('\n');
})()`

// TestAudit looks at every page in light and dark.
func TestAudit(t *testing.T) {
	s := serve(t)
	b := open(t, s.url)
	check := func(page string) {
		t.Helper()
		b.until(`document.querySelector('[aria-busy="true"]') === null && document.getAnimations().every((a) => a.playState !== 'running')`)
		for _, theme := range []string{"light", "dark"} {
			browser.Evaluate[bool](t, b.ctx, `(() => { document.documentElement.dataset.theme = '`+theme+`'; return true })()`)
			b.until(`document.getAnimations().every((a) => a.playState !== 'running')`)
			if wrong := b.text(audit); wrong != "" {
				t.Errorf("%s, %s:\n%s", page, theme, wrong)
			}
		}
	}
	b.until(`document.querySelector('.now b') !== null`)
	check("an empty CMS")
	b.begin("Looked at")
	check("a draft")
	b.click(`[data-shelf="discover"] .pick`)
	b.fill(`[name="minCards"]`, "99")
	b.until(`document.querySelector('[data-field="minCards"] .problems .error') !== null`)
	check("a mistake")
	b.fill(`[name="minCards"]`, "4")
	b.saved()
	b.click("#review")
	b.until(`document.querySelector('dialog .changes') !== null`)
	check("a review")
	b.click("dialog button.primary")
	b.until(`document.querySelector('.now b')?.textContent === 'Version 1: Looked at'`)
	check("something published")
	b.run(chromedp.Navigate(s.url + "#/versions"))
	b.until(`document.querySelectorAll('.rows li').length === 1`)
	check("versions")
	b.run(chromedp.Navigate(s.url + "#/history"))
	b.until(`document.querySelectorAll('.history details').length > 1`)
	check("history")
}

// TestByKeyboard goes from an empty CMS to a published Home without a mouse.
func TestByKeyboard(t *testing.T) {
	s := serve(t)
	b := open(t, s.url)
	b.until(`document.querySelector('.now b') !== null`)
	// tab goes on until the focus is on what matches, as somebody does who sees where it is.
	tab := func(selector string) {
		t.Helper()
		var passed []string
		for range 150 {
			if browser.Evaluate[bool](t, b.ctx, `document.activeElement.matches('`+selector+`')`) {
				if !browser.Evaluate[bool](t, b.ctx, `(() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle !== 'none' || s.boxShadow !== 'none' })()`) {
					t.Errorf("%s doesn't show that it has the focus", selector)
				}
				return
			}
			b.run(chromedp.KeyEvent(kb.Tab))
			passed = append(passed, b.text(`document.activeElement.id || document.activeElement.className || document.activeElement.tagName`))
		}
		t.Fatalf("the key Tab doesn't lead to %s; it passes %s", selector, strings.Join(passed, ", "))
	}
	tab("#new-draft")
	b.run(chromedp.KeyEvent(kb.Enter))
	b.until(`document.querySelector('dialog[open]') !== null`)
	tab("#new-title")
	b.run(chromedp.KeyEvent("By hand"), chromedp.KeyEvent(kb.Enter))
	b.until(`document.querySelector('#draft-title')?.value === 'By hand' && document.querySelectorAll('#preview-home .card').length > 0`)
	tab(`[data-shelf="discover"] .handle`)
	b.run(chromedp.KeyEvent(kb.ArrowUp))
	b.until(order + ` === 'recently_played,more_like_artist,discover,heavy_rotation,trending'`)
	b.saved()
	tab(`[data-shelf="discover"] .pick`)
	b.run(chromedp.KeyEvent(kb.Enter))
	tab(`[name="title"]`)
	b.run(chromedp.KeyEvent("Typed"))
	b.until(`document.querySelector('#preview-home [data-shelf="discover"] h3')?.textContent === 'Typed'`)
	b.saved()
	tab("#review")
	b.run(chromedp.KeyEvent(kb.Enter))
	b.until(`document.querySelector('dialog .changes') !== null`)
	tab("dialog button.primary")
	b.run(chromedp.KeyEvent(kb.Enter))
	b.until(`document.querySelector('.now b')?.textContent === 'Version 1: By hand'`)
	if p := s.published(t).Placements.Shelves[2]; p.Shelf != "discover" || p.Title != "Typed" {
		t.Errorf("published: %+v", p)
	}
}
