package homeapi

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/zeebo/xxh3"

	"homefeed/api/home"
	"homefeed/api/homequery"
	"homefeed/shelves/store"
)

// answer is Home as it goes out. It never changes.
type answer struct {
	body    []byte
	form    homequery.Form
	shelves []shownShelf
	// The values of headers; slices, because a response's headers take those without an allocation. Empty: none.
	etag, kind, encoding, length []string
	until                        time.Time // when it would be another by itself; zero: never

	// Of those that are kept: what was read, and the stamp of what that said.
	row    store.Key
	market string
	stamp
}

// origin tells whether two sources are the very same memory, which a cache of rows hands out again and again.
type origin struct {
	cfg     *home.Config
	row     *store.Cell
	markets [2]*store.Cell
}

func originOf(cfg *home.Config, src *reading) origin {
	if src.lent { // the same memory may hold another row then
		return origin{}
	}
	id := origin{cfg: cfg, row: first(src.Row)}
	for i, row := range src.Markets {
		id.markets[i%2] = first(row)
	}
	return id
}

func first(row store.Row) *store.Cell {
	if len(row.Cells) == 0 {
		return nil
	}
	return &row.Cells[0]
}

// sumOf tells sources apart by what they say. Data counts too: a late event makes a row again as of the same time.
func sumOf(cfg *home.Config, src *reading) uint64 {
	var scratch [1 << 10]byte
	b := append(scratch[:0], cfg.Version...)
	b = appendSums(b, 0, src.Row)
	for i, row := range src.Markets {
		b = appendSums(b, byte(i+1), row)
	}
	return xxh3.Hash(b)
}

// appendSums appends what tells the row apart. XXH3 goes over it in half of XXH64's time.
func appendSums(b []byte, i byte, row store.Row) []byte {
	b = append(b, 0, i)
	for i := range row.Cells {
		c := &row.Cells[i]
		b = append(append(b, c.Shelf...), 0)
		b = binary.LittleEndian.AppendUint64(b, uint64(c.AsOf.UnixMilli()))
		b = binary.LittleEndian.AppendUint64(b, xxh3.Hash(c.Data))
	}
	return b
}

// answerKey is a Home that somebody may ask for again. The query is as it was sent: whoever asks again asks with the same
// words, and a Home that is kept needs nobody to read them.
type answerKey struct {
	user, query string
	form        homequery.Form
}

// keyOf is what a request asks for.
func keyOf(user string, r *http.Request) answerKey {
	return answerKey{user, r.URL.RawQuery, homequery.FormOf(r, false)} // the query says whether it is basic
}

// answers keeps what was last sent to each listener, so that the same again costs neither work nor waiting.
type answers struct {
	kept *otter.Cache[answerKey, *answer]
	off  bool // nothing is kept
}

func newAnswers(most int64) (*answers, error) {
	kept, err := otter.New(&otter.Options[answerKey, *answer]{
		MaximumWeight: uint64(max(most, 1)),
		// Twice the body, because an answer keeps the row alive that it was made of.
		Weigher:  func(k answerKey, a *answer) uint32 { return uint32(2*len(a.body) + len(k.query) + 2<<10) },
		Executor: func(upkeep func()) { upkeep() }, // a goroutine for it would cost more than it does
	})
	if err != nil {
		return nil, fmt.Errorf("making cache of answers: %w", err)
	}
	return &answers{kept, most < 0}, nil
}

// stamp says what an answer is made of.
type stamp struct {
	origin origin
	sum    uint64
}

// get is the kept answer, nil when there is none or it would be another by now.
func (k *answers) get(key answerKey, now time.Time) *answer {
	kept, ok := k.kept.GetIfPresent(key)
	if !ok || !kept.until.IsZero() && !now.Before(kept.until) {
		return nil
	}
	return kept
}

// says reports whether a kept answer, or nil, is what src says now; if not, the stamp is for keep.
func (out *answer) says(cfg *home.Config, src *reading) (same bool, made stamp) {
	made.origin = originOf(cfg, src)
	if out != nil && out.origin == made.origin && made.origin.row != nil {
		return true, made
	}
	made.sum = sumOf(cfg, src)
	return out != nil && out.sum == made.sum, made
}

// keep gives the answer its ETag, and its own memory where it is kept.
func (k *answers) keep(key answerKey, q homequery.Query, made stamp, out *answer) {
	out.stamp = made
	out.etag = []string{etagOf(made.sum, q, out.form, out.shelves)}
	if !k.off {
		out.body = bytes.Clone(out.body)
		k.kept.Set(key, out)
	}
}

// etagOf is weak: the ages and page tokens of one Home differ from second to second, and what it shows does not.
func etagOf(sum uint64, q homequery.Query, f homequery.Form, shelves []shownShelf) string {
	var scratch [512]byte
	b := binary.LittleEndian.AppendUint64(scratch[:0], sum)
	for _, text := range [...]string{q.Market, q.Locale, q.Platform} {
		b = append(append(b, text...), 0)
	}
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(q.Size)), uint64(q.Cards))
	b = strconv.AppendBool(strconv.AppendBool(b, f.Protobuf), f.Basic)
	for i := range shelves {
		b = append(append(b, shelves[i].name...), byte(shelves[i].status))
	}
	return fmt.Sprintf(`W/"%016x"`, xxh3.Hash(b))
}
