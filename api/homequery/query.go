// Package homequery reads what a request for Home asks for, and in which form.
package homequery

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"homefeed/api/apierror"
	"homefeed/api/placement"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
)

// The sizes of pages. Larger ones are taken as the most allowed, as AIP-158 has it.
const (
	maxPage      = 50
	defaultSize  = 20
	defaultCards = maxPage // of each shelf on Home: all that most shelves have
)

// Query is what a request for Home asks for, checked.
type Query struct {
	Market   string // empty: the world's
	Locale   string
	Platform string
	Basic    bool   // view=BASIC
	Size     int    // page_size: shelves of Home, cards of a shelf
	Cards    int    // card_size: cards of each shelf of Home
	Token    string // page_token
}

// params are the parameters as they were sent; of one that was sent twice the first counts.
type params struct {
	market, locale, platform, view, pageSize, cardSize, pageToken string
}

func (p *params) set(name, value string) {
	var field *string
	switch name {
	case "market":
		field = &p.market
	case "locale":
		field = &p.locale
	case "platform":
		field = &p.platform
	case "view":
		field = &p.view
	case "page_size":
		field = &p.pageSize
	case "card_size":
		field = &p.cardSize
	case "page_token":
		field = &p.pageToken
	default:
		return // a later client's, perhaps
	}
	if *field == "" {
		*field = value
	}
}

// paramsOf reads a query. Where nothing is escaped, and of what phones send nothing is, that allocates nothing.
func paramsOf(raw string) (p params, err error) {
	if strings.ContainsAny(raw, "%+;") {
		values, err := url.ParseQuery(raw)
		for name, all := range values {
			p.set(name, all[0])
		}
		return p, err
	}
	for raw != "" {
		var one string
		one, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(one, "=")
		p.set(name, value)
	}
	return p, nil
}

// Of reads the parameters of a request for Home. Its error names the one that is wrong, and what would be right.
func Of(r *http.Request) (Query, error) {
	q := Query{Size: defaultSize, Cards: defaultCards}
	p, err := paramsOf(r.URL.RawQuery)
	if err != nil {
		return q, apierror.BadRequest("QUERY_INVALID", "the query can't be read", apierror.Field{Field: "query", Want: "want name=value&…"})
	}
	q.Market, q.Locale, q.Platform, q.Token = p.market, p.locale, p.platform, p.pageToken
	if err := q.checkPlace(); err != nil {
		return q, err
	}
	switch p.view {
	case "", "FULL":
	case "BASIC":
		q.Basic = true
	default:
		return q, apierror.BadRequest("VIEW_INVALID", "the view is not valid",
			apierror.Field{Field: "view", Want: "want FULL, BASIC or nothing"})
	}
	if err := setSize(&q.Size, "page_size", p.pageSize); err != nil {
		return q, err
	}
	return q, setSize(&q.Cards, "card_size", p.cardSize)
}

// checkPlace checks where the listener is and on what.
func (q *Query) checkPlace() error {
	if q.Market == trigger.World {
		q.Market = ""
	}
	switch {
	case q.Market != "" && !event.ValidMarket(q.Market):
		return apierror.BadRequest("MARKET_INVALID", "the market is not valid",
			apierror.Field{Field: "market", Want: "want an ISO 3166-1 alpha-2 code in capitals, or nothing"})
	case q.Locale != "" && !placement.ValidLocale(q.Locale):
		return apierror.BadRequest("LOCALE_INVALID", "the locale is not valid",
			apierror.Field{Field: "locale", Want: "want a BCP 47 tag such as sv or pt-BR, or nothing"})
	case q.Platform != "" && !placement.ValidPlatform(q.Platform):
		return apierror.BadRequest("PLATFORM_INVALID", "the platform is not valid",
			apierror.Field{Field: "platform", Want: "want 1–20 of a–z, 0–9 and _, or nothing"})
	}
	return nil
}

func setSize(size *int, name, text string) error {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return apierror.BadRequest("PAGE_SIZE_INVALID", "the page's size is not valid",
			apierror.Field{Field: name, Want: fmt.Sprintf("want 0 to %d; 0 means %d", maxPage, *size)})
	}
	if n > 0 {
		*size = min(int(n), maxPage)
	}
	return nil
}

// Binding is what a page token is for: another listener, place or card size makes another Home.
func (q *Query) Binding(user, shelf string) string {
	return user + "\x00" + shelf + "\x00" + q.Market + "\x00" + q.Locale + "\x00" + q.Platform
}
