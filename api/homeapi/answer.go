package homeapi

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/maypok86/otter/v2"

	"homefeed/api/edge"
	"homefeed/api/home"
	"homefeed/shelves/store"
)

// answer is Home as it goes out. It never changes.
type answer struct {
	body    []byte
	form    form
	etag    string
	headers []edge.Header // of a 200
	shelves []shownShelf
	until   time.Time // when it would be another by itself; zero: never

	origin origin // of what it was made of
	sum    uint64
}

// origin tells whether two sources are the very same memory, which a cache of rows hands out again and again.
type origin struct {
	cfg     *home.Config
	row     *store.Cell
	markets [2]*store.Cell
}

func originOf(cfg *home.Config, src home.Source) origin {
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
func sumOf(cfg *home.Config, src home.Source) uint64 {
	h := xxhash.New()
	_, _ = h.WriteString(cfg.Version) // never fails
	var ms [8]byte
	for i, row := range append([]store.Row{src.Row}, src.Markets...) {
		_, _ = h.Write([]byte{0, byte(i)})
		for _, c := range row.Cells {
			_, _ = h.WriteString(c.Shelf)
			binary.LittleEndian.PutUint64(ms[:], uint64(c.AsOf.UnixMilli()))
			_, _ = h.Write(ms[:])
			_, _ = h.Write(c.Data)
		}
	}
	return h.Sum64()
}

// answerKey is a Home that somebody may ask for again.
type answerKey struct {
	user  string
	query query
	form  form
}

// answers keeps what was last sent to each listener, so that the same again costs neither work nor waiting.
type answers struct {
	kept *otter.Cache[answerKey, *answer]
	off  bool // nothing is kept
	now  func() time.Time
}

// keepAnswers is for how long after it was last sent.
const keepAnswers = 10 * time.Minute

func newAnswers(most int64, now func() time.Time) (*answers, error) {
	kept, err := otter.New(&otter.Options[answerKey, *answer]{
		MaximumWeight: uint64(max(most, 1)),
		// Twice the body, because an answer keeps the row alive that it was made of.
		Weigher:          func(_ answerKey, a *answer) uint32 { return uint32(2*len(a.body) + 2<<10) },
		ExpiryCalculator: otter.ExpiryAccessing[answerKey, *answer](keepAnswers),
	})
	if err != nil {
		return nil, fmt.Errorf("making cache of answers: %w", err)
	}
	return &answers{kept, most < 0, now}, nil
}

// get is the kept answer when it says what src says now, else what make makes.
func (k *answers) get(key answerKey, cfg *home.Config, src home.Source, make func() (*answer, error)) (*answer, error) {
	if src.Made || src.Stale {
		return make()
	}
	kept, ok := k.kept.GetIfPresent(key)
	ok = ok && (kept.until.IsZero() || k.now().Before(kept.until))
	id := originOf(cfg, src)
	if ok && kept.origin == id && id.row != nil {
		return kept, nil
	}
	sum := sumOf(cfg, src)
	if ok && kept.sum == sum {
		return kept, nil
	}
	made, err := make()
	if err != nil {
		return nil, err
	}
	made.origin, made.sum = id, sum
	made.etag = etagOf(sum, key, made.shelves)
	if !k.off {
		k.kept.Set(key, made)
	}
	return made, nil
}

// etagOf is weak: the ages and page tokens of one Home differ from second to second, and what it shows does not.
func etagOf(sum uint64, key answerKey, shelves []shownShelf) string {
	h := xxhash.New()
	fmt.Fprintf(h, "%x %v %t %t", sum, key.query, key.form.protobuf, key.form.basic)
	for _, s := range shelves {
		fmt.Fprintf(h, " %s %d", s.name, s.status)
	}
	return fmt.Sprintf(`W/"%016x"`, h.Sum64())
}
