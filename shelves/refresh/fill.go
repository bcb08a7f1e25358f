package refresh

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/shelves/refresh/guardrail"
	"homefeed/shelves/refresh/plan"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

// refresh is Refresh for a plan.
func (r *Runner) refresh(ctx context.Context, p plan.Plan) (Result, error) {
	key, err := p.Key()
	if err != nil {
		return Result{}, err
	}
	res := Result{Key: key, Shelves: make([]ShelfResult, len(p.Due))}
	row, err := r.read(ctx, key)
	if err != nil {
		return res, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the memoised calls that nobody waits for any more
	memo := guardrail.NewMemo(ctx)
	made := make([][]byte, len(p.Due))
	var running sync.WaitGroup
	for i, d := range p.Due {
		s, sr := r.admit(&p, d, row)
		res.Shelves[i] = sr
		if s != nil {
			running.Go(func() { made[i] = r.fill(ctx, memo, s, &p, d, &res.Shelves[i]) })
		}
	}
	running.Wait()
	for i, data := range made {
		if data != nil {
			sr := &res.Shelves[i]
			res.Cells = append(res.Cells, store.Cell{Shelf: sr.Shelf, AsOf: sr.AsOf, Data: data})
		}
	}
	if len(res.Cells) == 0 {
		return res, nil
	}
	return res, r.write(ctx, key, res.Cells)
}

// admit decides whether a due shelf is made at all, and as of when. If not, the result is final and the shelf nil.
func (r *Runner) admit(p *plan.Plan, d plan.Due, row store.Row) (*guarded, ShelfResult) {
	sr := ShelfResult{Shelf: d.Shelf, AsOf: d.AsOf}
	s := r.shelves[d.Shelf]
	if s == nil || s.Scope != p.Scope() {
		sr.Outcome = Unknown
		r.metrics.unknown.Inc()
		r.log.Warn("trigger names a shelf that this runner has not", "shelf", d.Shelf, "trigger", d.Trigger)
		return nil, sr
	}
	if !row.DeletedAt.IsZero() && !d.AsOf.After(row.DeletedAt) {
		sr.Outcome = Erased
		return nil, sr
	}
	for _, c := range row.Cells {
		if c.Shelf != d.Shelf || !c.AsOf.After(d.AsOf) {
			continue
		}
		// A late event: a newer row is there, which was made without it. Made again as of its own time the row
		// includes the event. A market's counts are those of one window and belong to no other time.
		if p.Scope() == shelf.Market {
			sr.Outcome = Superseded
			return nil, sr
		}
		sr.AsOf = c.AsOf.UTC()
	}
	return s, sr
}

// fill makes one shelf and reports in sr; nil means that there is nothing to write.
func (r *Runner) fill(ctx context.Context, memo *guardrail.Memo, s *guarded, p *plan.Plan, d plan.Due, sr *ShelfResult) []byte {
	req := &shelf.Request{
		User: p.User, Market: p.Market, AsOf: sr.AsOf, Guard: s.Guard.WithDefaults(),
		Plays: guardrail.NoListener{}, Vectors: memo.Word2Vec(r.cfg.Vectors), Catalog: r.cfg.Catalog,
		Top: d.Top,
	}
	if p.User != "" {
		req.Plays = memo.SongsPlayed(r.cfg.Plays(p.User, sr.AsOf), sr.AsOf)
	}
	start := r.now()
	cards, err := s.fill(ctx, req)
	var data []byte
	if err == nil {
		data, err = encode(req, cards, d.Trigger)
	}
	sr.Took, sr.Cards, sr.Err = r.now().Sub(start), len(cards), err
	sr.Outcome = outcomeOf(err)
	r.metrics.fill.WithLabelValues(s.Name, string(sr.Outcome)).Observe(sr.Took.Seconds())
	r.metrics.abandoned.WithLabelValues(s.Name).Set(float64(s.abandoned.Running()))
	if !sr.Outcome.Failure() {
		r.metrics.cards.WithLabelValues(s.Name).Observe(float64(len(cards)))
		return data
	}
	attrs := []any{"shelf", s.Name, "trigger", d.Trigger, "outcome", sr.Outcome, "err", err}
	if p := (*guardrail.PanicError)(nil); errors.As(err, &p) {
		attrs = append(attrs, "stack", string(p.Stack))
	}
	r.log.Error("making a shelf failed", attrs...)
	return nil
}

func outcomeOf(err error) Outcome {
	var panicked *guardrail.PanicError
	switch {
	case err == nil:
		return Made
	case errors.Is(err, guardrail.ErrTooFew):
		return TooFew
	case errors.As(err, &panicked):
		return Panicked
	case errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	}
	return Failed
}

// encode is the cell: a Shelf without what the API puts in front.
func encode(req *shelf.Request, cards []shelf.Card, trigger string) ([]byte, error) {
	m := &shelfpb.Shelf{TitleArgs: req.TitleArgs, AsOf: timestamppb.New(req.AsOf), Trigger: trigger}
	// All cards in one piece of memory, and all images, because there are hundreds of them for each event.
	encoded, images := make([]shelfpb.Card, len(cards)), make([]shelfpb.Image, len(cards))
	m.Cards = make([]*shelfpb.Card, len(cards))
	for i := range cards {
		c, to, image := &cards[i], &encoded[i], &images[i]
		to.Uri, to.Title, to.Subtitle, to.Reason, to.Artist, to.Action = c.URI, c.Title, c.Subtitle, c.Reason, c.Artist, actionOf(c)
		image.Template, image.Colors, image.Alt = c.Image.Template, c.Image.Colors, c.Image.Alt
		m.Cards[i], to.Image = to, image
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding the shelf: %w", err)
	}
	if len(data) > store.MaxCell {
		return nil, fmt.Errorf("encoding the shelf: %d cards take %d bytes, want at most %d", len(cards), len(data), store.MaxCell)
	}
	return data, nil
}

func actionOf(c *shelf.Card) shelfpb.Action {
	if strings.HasPrefix(c.URI, "track:") {
		return shelfpb.Action_PLAY
	}
	return shelfpb.Action_OPEN
}

func (r *Runner) read(ctx context.Context, key store.Key) (store.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.StoreTimeout)
	defer cancel()
	row, err := store.Outline(ctx, r.cfg.Store, key)
	if err != nil {
		return store.Row{}, fmt.Errorf("reading row: %w", err)
	}
	return row, nil
}

func (r *Runner) write(ctx context.Context, key store.Key, cells []store.Cell) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.StoreTimeout)
	defer cancel()
	start := r.now()
	if err := r.cfg.Store.Write(ctx, key, cells...); err != nil {
		return fmt.Errorf("writing row: %w", err)
	}
	r.metrics.write.Observe(r.now().Sub(start).Seconds())
	return nil
}
