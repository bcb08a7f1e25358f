package homequery

import (
	"errors"
	"fmt"
	"time"

	"homefeed/api/apierror"
	"homefeed/api/home"
	"homefeed/api/pagetoken"
)

// Open reads the query's token, of the listener's Home or of one shelf of it. Its error is INVALID_ARGUMENT when the token
// was made for another request or by nobody.
func (q *Query) Open(pages *pagetoken.Sealer, user, shelf string) (*pagetoken.Token, error) {
	t, err := pages.Open(q.Binding(user, shelf), q.Token)
	if errors.Is(err, pagetoken.ErrInvalid) {
		return nil, apierror.BadRequest("PAGE_TOKEN_INVALID", "the page token is not valid",
			apierror.Field{Field: "page_token", Want: "want the next_page_token of the same request"})
	}
	if err != nil {
		return nil, fmt.Errorf("opening page token: %w", err)
	}
	return t, nil
}

// PageOf is the page behind those that the token is of.
func PageOf(t *pagetoken.Token) home.Page {
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

// Generations are the as-of times of a Home's shelves as a token has them, in Unix ms.
func Generations(times map[string]time.Time) map[string]int64 {
	ms := make(map[string]int64, len(times))
	for name, t := range times {
		ms[name] = t.UnixMilli()
	}
	return ms
}
