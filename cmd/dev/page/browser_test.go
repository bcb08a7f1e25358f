package page_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"homefeed/pipeline/event"
)

var screenshots = flag.String("screenshots", "", "a directory for pictures of the page")

// browser opens the address in a headless Chromium; the test fails if the page logs an error.
func browser(t *testing.T, url string) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless-shell"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("skipped: no Chromium is installed (looked for chromium and google-chrome in PATH)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WSURLReadTimeout(2*time.Minute))
	ctx, cancel := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	run(t, ctx) // starts the browser, which lives as long as this context
	ctx, cancel = context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)

	var mu sync.Mutex
	var complaints []string
	err := chromedp.Listen(ctx, func(e any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := e.(type) {
		case *runtime.EventExceptionThrown:
			complaints = append(complaints, "exception: "+e.ExceptionDetails.Text)
		case *log.EventEntryAdded: // a request that fails is one too; tests make the server fail
			if e.Entry.Source != log.EntrySourceNetwork {
				complaints = append(complaints, fmt.Sprint(e.Entry.Source, ": ", e.Entry.Text))
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range complaints {
			t.Error("the browser says:", c)
		}
	})
	run(t, ctx, chromedp.EmulateViewport(1280, 920), chromedp.Navigate(url))
	return ctx
}

func run(t *testing.T, ctx context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// until waits for a JavaScript condition.
func until(t *testing.T, ctx context.Context, condition string) {
	t.Helper()
	_, err := chromedp.Run(ctx, chromedp.Poll[chromedp.Void](condition, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(time.Minute)))
	if err != nil {
		text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
		t.Fatalf("waiting for %s: %v; the page says:\n%s", condition, err, text)
	}
}

func evaluate[T any](t *testing.T, ctx context.Context, script string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		t.Fatalf("evaluating %s: %v", script, err)
	}
	return v
}

// media makes the browser say how its reader likes pages.
func media(t *testing.T, ctx context.Context, features map[string]string) {
	t.Helper()
	var p emulation.SetEmulatedMediaParams
	for name, value := range features {
		p.Features = append(p.Features, &emulation.MediaFeature{Name: name, Value: value})
	}
	run(t, ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, p)
		return err
	}))
}

// choose picks a listener as a reader does.
func choose(t *testing.T, ctx context.Context, id string) {
	t.Helper()
	evaluate[bool](t, ctx, `(() => { const l = document.getElementById('listener'); l.value = '`+id+`'; return l.dispatchEvent(new Event('change')) })()`)
}

func picture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	if *screenshots == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

const firstRecent = `document.querySelector('[data-shelf="recently_played"] .card')`

// TestPage plays, hearts and follows, and sees Home change by itself.
func TestPage(t *testing.T) {
	s, url := serve(t)
	ctx := browser(t, url)
	media(t, ctx, map[string]string{"prefers-color-scheme": "dark"})
	until(t, ctx, `document.querySelectorAll('.card').length === 20`)
	until(t, ctx, `[...document.querySelectorAll('.cover img.ready')].length >= 8`)
	if got := evaluate[string](t, ctx, `[...document.querySelectorAll('#listener option')].map((o) => o.value).join()`); got != "ann,bob,new" {
		t.Errorf("listeners to choose from: %s", got)
	}
	if got := evaluate[string](t, ctx, `[...document.querySelectorAll('.shelf h2')].map((h) => h.textContent).join('|')`); got != "Recently played|More like Ida Verne|On repeat|Discover|Jump back in" {
		t.Errorf("shelves: %s", got)
	}
	if got := evaluate[string](t, ctx, `[...document.querySelectorAll('.badge')].map((b) => b.dataset.status).join()`); got != "FRESH,FRESH,LAST_GOOD,FRESH,DEFAULT" {
		t.Errorf("statuses: %s", got)
	}
	if got := evaluate[string](t, ctx, `document.getElementById('leftout').textContent`); got != "Left out, with nothing to show yet: Because you hearted, From artists you follow" {
		t.Errorf("left out: %s", got)
	}
	picture(t, ctx, "desktop")

	// A card of another shelf becomes the first of "Recently played", and the log says after how long.
	run(t, ctx, chromedp.Click(chromedp.CSS(`[data-shelf="more_like_artist"] [data-uri="track:7"] .play`)))
	until(t, ctx, firstRecent+`.dataset.uri === 'track:7'`)
	until(t, ctx, firstRecent+`.classList.contains('new') && `+firstRecent+`.parentElement.scrollLeft === 0`)
	until(t, ctx, `/^Recently played · \d+\.\d s$/.test(document.querySelector('#log .chip')?.textContent)`)
	until(t, ctx, `document.getElementById('say').textContent === 'Home changed: Recently played'`)
	until(t, ctx, `document.getElementById('player-title').textContent === 'Half a Moon'`)
	until(t, ctx, `document.getAnimations().filter((a) => a.effect.getComputedTiming().duration < 800 && a.effect.getComputedTiming().iterations === 1).length === 0`)
	picture(t, ctx, "desktop-played")

	// With the keyboard: one card of a shelf is in the tab order, arrows move, H hearts, F follows.
	if n := evaluate[int](t, ctx, `Math.max(...[...document.querySelectorAll('.cards')].map((l) => l.querySelectorAll('.play[tabindex="0"]').length))`); n != 1 {
		t.Errorf("%d cards of a shelf are in the tab order, want 1", n)
	}
	run(t, ctx, chromedp.Focus(chromedp.CSS(`[data-shelf="recently_played"] .card .play`)), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent("h"))
	until(t, ctx, `document.querySelector('[data-shelf="because_you_hearted"] .card') !== null`)
	until(t, ctx, `document.querySelector('[data-shelf="recently_played"] [data-uri="track:0"] [data-act="heart"]').getAttribute('aria-pressed') === 'true'`)
	run(t, ctx, chromedp.KeyEvent("f"))
	until(t, ctx, `document.querySelector('[data-shelf="from_artists_you_follow"] .card') !== null`)
	if on := evaluate[string](t, ctx, `document.activeElement.closest('.card')?.dataset.uri`); on != "track:0" {
		t.Errorf("the focus is on %q, want it kept on track:0", on)
	}
	run(t, ctx, chromedp.KeyEvent(kb.Enter))
	until(t, ctx, firstRecent+`.dataset.uri === 'track:0' && `+firstRecent+`.classList.contains('moved')`)
	if on := evaluate[string](t, ctx, `document.activeElement.closest('.card')?.dataset.uri`); on != "track:0" {
		t.Errorf("the focus is on %q after its card moved, want track:0", on)
	}
	// Each entry of the log names the shelves that its own event changed, newest first.
	until(t, ctx, `[...document.querySelectorAll('#log li')].map((l) => [...l.querySelectorAll('.chip')].map((c) => c.dataset.shelf).join('+')).join() === 'recently_played,from_artists_you_follow,because_you_hearted,recently_played'`)
	picture(t, ctx, "desktop-keyboard")

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
	ctx := browser(t, url+"#bob")
	until(t, ctx, `document.querySelectorAll('.card').length === 2 && document.getElementById('listener').value === 'bob'`)
	choose(t, ctx, "ann")
	until(t, ctx, `document.querySelectorAll('.card').length === 20 && location.hash === '#ann'`)

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
		if n := evaluate[int](t, ctx, script); n != 0 {
			t.Errorf("%s: %d", what, n)
		}
	}

	s.down.Store(true)
	until(t, ctx, `!document.getElementById('trouble').hidden && document.querySelectorAll('.card').length === 20`)
	run(t, ctx, chromedp.Click(chromedp.CSS(`[data-shelf="discover"] [data-uri="track:8"] .play`)))
	until(t, ctx, `document.querySelector('#log .wrong') !== null`)
	picture(t, ctx, "desktop-away")
	s.down.Store(false)
	until(t, ctx, `document.getElementById('trouble').hidden`)

	media(t, ctx, map[string]string{"prefers-color-scheme": "light", "prefers-reduced-motion": "reduce"})
	run(t, ctx, chromedp.Click(chromedp.CSS(`[data-shelf="discover"] [data-uri="track:8"] .play`)))
	until(t, ctx, firstRecent+`.dataset.uri === 'track:8' && `+firstRecent+`.classList.contains('new')`)
	picture(t, ctx, "desktop-light")
	if dark, light := evaluate[string](t, ctx, `getComputedStyle(document.body).color`), "rgb(23, 20, 42)"; dark != light {
		t.Errorf("the text is %s in light mode, want %s", dark, light)
	}

	run(t, ctx, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	until(t, ctx, `innerWidth === 390`)
	if wide := evaluate[int](t, ctx, `document.documentElement.scrollWidth`); wide > 390 {
		t.Errorf("on a phone the page is %d wide, want 390", wide)
	}
	picture(t, ctx, "phone-light")
	media(t, ctx, map[string]string{"prefers-color-scheme": "dark"})
	picture(t, ctx, "phone-dark")
	choose(t, ctx, "new")
	until(t, ctx, `document.querySelectorAll('.card').length === 1`)
	picture(t, ctx, "phone-new")
	evaluate[bool](t, ctx, `(scrollTo(0, document.body.scrollHeight), true)`)
	picture(t, ctx, "phone-end")
}
