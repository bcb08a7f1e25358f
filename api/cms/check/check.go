// Package check finds what is wrong with a document of placements, and what would surprise the editor who publishes it.
package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"homefeed/api/homepb"
	"homefeed/api/placement"
	"homefeed/api/title"
	"homefeed/shelves/shelf"
)

// Severity says whether a finding keeps a document from being published.
type Severity int

// The severities.
const (
	Warning Severity = iota + 1 // to be looked at
	Error                       // to be mended
)

// Finding is something about a document that an editor should know before it is published.
type Finding struct {
	Severity Severity
	Field    string // where: "shelves[2].minCards"
	Message  string // what is wrong and what would be right, for people
	// Listeners of Sampled listeners are concerned; both are 0 for what concerns the document itself.
	Listeners, Sampled int
}

// View is one way to look at Home.
type View struct {
	User     string
	At       time.Time
	Market   string // empty: the world's
	Platform string // empty: none in particular
	Locale   string // empty: none in particular
}

// Previewer makes Home of the document as the API would.
type Previewer func(ctx context.Context, v View, p placement.Placements) (*homepb.Home, error)

// Checker finds what is wrong with a document, or would surprise. Shelves is needed.
type Checker struct {
	Shelves []*shelf.Shelf
	Preview Previewer
	// Sample returns at most n listeners who have a row, no matter which.
	Sample func(ctx context.Context, n int) ([]string, error)
	// Locales are those that the app speaks; those that a document mentions are added.
	Locales []string
	Log     *slog.Logger // takes what keeps rows from being sampled; nil: nothing is logged
}

const (
	sampled     = 40              // listeners whose Homes are made
	maxViews    = 8               // ways to look at the Home of each
	sampleLimit = 8 * time.Second // for all of them
	sampleWidth = 4               // at a time
)

// Check returns what it found, errors first, each kind in the order of the document. now is when the document would
// be published.
func (c *Checker) Check(ctx context.Context, p placement.Placements, now time.Time) []Finding {
	found := c.Errors(p)
	broken := len(found) > 0
	found = append(found, c.titles(p)...)
	found = append(found, over(p, now)...)
	if !broken && c.Preview != nil && c.Sample != nil { // no Home can be made of a document with errors
		found = append(found, c.homes(ctx, p, now)...)
	}
	return found
}

// Errors is the findings that keep a document from being published. It looks at no listener.
func (c *Checker) Errors(p placement.Placements) []Finding {
	var found []Finding
	if len(p.Shelves) == 0 {
		found = append(found, Finding{Severity: Error, Field: "shelves", Message: "want at least one placement: Home would be every shelf under its own title"})
	}
	for _, m := range mistakes(p.Validate(c.Shelves)) {
		found = append(found, Finding{Severity: Error, Field: m.Field, Message: m.Want})
	}
	return found
}

// mistakes are the field errors that err joins.
func mistakes(err error) []*placement.FieldError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*placement.FieldError
		for _, e := range joined.Unwrap() {
			all = append(all, mistakes(e)...)
		}
		return all
	}
	var one *placement.FieldError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &one):
		return []*placement.FieldError{one}
	}
	return []*placement.FieldError{{Field: "shelves", Want: err.Error()}}
}

func warn(i int, field, message string, args ...any) Finding {
	return Finding{Severity: Warning, Field: fmt.Sprintf("shelves[%d].%s", i, field), Message: fmt.Sprintf(message, args...)}
}

// titles finds the locales that some placement has a title for and another lacks, and titles that may stay unfilled
// without a plain one to take their place.
func (c *Checker) titles(p placement.Placements) []Finding {
	locales := slices.Clone(c.Locales)
	for _, one := range p.Shelves {
		for l := range one.Titles {
			locales = append(locales, l)
		}
	}
	slices.Sort(locales)
	locales = slices.Compact(locales)
	var found []Finding
	for i, one := range p.Shelves {
		var lacking, plain []string
		for _, l := range locales {
			text, ok := localized(one.Titles, l)
			if !ok {
				lacking = append(lacking, l)
			} else if _, ok := localized(one.PlainTitles, l); title.Parse(text).Mentions() && !ok {
				plain = append(plain, l)
			}
		}
		if len(lacking) > 0 {
			found = append(found, warn(i, "titles", "no title in %s: listeners there see the title without a locale", strings.Join(lacking, ", ")))
		}
		if len(plain) > 0 {
			found = append(found, warn(i, "plainTitles", "no plain title in %s: it is shown when there is nothing to fill the {names} in with", strings.Join(plain, ", ")))
		}
	}
	return found
}

// localized is the text for a locale: its own, or that of its language.
func localized(texts map[string]string, locale string) (string, bool) {
	for {
		if text, ok := texts[locale]; ok {
			return text, true
		}
		cut := strings.LastIndexByte(locale, '-')
		if cut < 0 {
			return "", false
		}
		locale = locale[:cut]
	}
}

func over(p placement.Placements, now time.Time) []Finding {
	var found []Finding
	for i, one := range p.Shelves {
		if !one.To.IsZero() && !one.To.After(now) {
			found = append(found, warn(i, "to", "the time is over: the shelf is not shown any more"))
		}
	}
	return found
}

// view is a look at Home in which the placement can be seen, as far as it can be from now on.
func view(one placement.Placement, now time.Time) View {
	v := View{At: now}
	if one.From.After(now) {
		v.At = one.From
	}
	if len(one.Markets) > 0 {
		v.Market = one.Markets[0]
	}
	if len(one.Platforms) > 0 {
		v.Platform = one.Platforms[0]
	}
	return v
}

// homes makes Home for a sample of listeners, each placement in a view that shows it.
func (c *Checker) homes(ctx context.Context, p placement.Placements, now time.Time) []Finding {
	ctx, cancel := context.WithTimeout(ctx, sampleLimit)
	defer cancel()
	unknown := func(doing string, err error) []Finding {
		if c.Log != nil {
			c.Log.Warn("a document is checked without listeners", "doing", doing, "error", err)
		}
		return []Finding{{Severity: Warning, Field: "shelves", Message: "what listeners would see could not be checked just now"}}
	}
	users, err := c.Sample(ctx, sampled)
	if err != nil {
		return unknown("sampling listeners", err)
	}
	if len(users) == 0 {
		return []Finding{{Severity: Warning, Field: "shelves", Message: "what listeners would see is not checked: there are no listeners yet"}}
	}
	var views []View
	shown := map[View][]int{} // the placements that a view is for
	for i, one := range p.Shelves {
		v := view(one, now)
		if shown[v] == nil {
			if len(views) == maxViews {
				continue
			}
			views = append(views, v)
		}
		shown[v] = append(shown[v], i)
	}
	counts := newCounts(p, c.Shelves)
	homes := make([]*homepb.Home, len(users)*len(views))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(sampleWidth)
	for i := range homes {
		g.Go(func() (err error) {
			v := views[i%len(views)]
			v.User = users[i/len(views)]
			homes[i], err = c.Preview(gctx, v, p)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return unknown("making Homes", err)
	}
	for i, home := range homes {
		counts.add(home, shown[views[i%len(views)]])
	}
	return counts.findings(len(users))
}
