package cms

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homefeed/api/apierror"
	"homefeed/api/placement"
)

const (
	// callTimeout bounds everything that one call asks of the log.
	callTimeout = 10 * time.Second
	// readPage is how many entries are read at once: they may be large.
	readPage = 25
	// saveEvery is after how many entries their sum is saved.
	saveEvery = 50
	// maxTries is how often a change is made again when somebody else was quicker.
	maxTries = 20
)

// Config is what a Desk is made of. Log is needed.
type Config struct {
	Log Log
	// Start is what Home shows before anything is published: version 0.
	Start      placement.Placements
	Registerer prometheus.Registerer // nil: not registered
	Logger     *slog.Logger          // nil: nothing is logged
	Now        func() time.Time      // nil: time.Now
}

// Desk is the log at work. It is safe for concurrent use, in one process and in many.
type Desk struct {
	log     Log
	start   placement.Placements
	logger  *slog.Logger
	now     func() time.Time
	metrics *metrics

	turn  chan struct{} // held by whoever uses state
	state State
	saved int64         // the state's Seq when it was saved or loaded
	moved chan struct{} // closed and replaced when state has moved on
}

// NewDesk makes a Desk. It asks nothing of the log yet: a log that is away must keep nobody from starting.
func NewDesk(c Config) (*Desk, error) {
	if c.Log == nil {
		return nil, errors.New("cms: Log: want one")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	m, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, fmt.Errorf("cms: registering metrics: %w", err)
	}
	return &Desk{
		log: c.Log, start: c.Start, logger: c.Logger, now: c.Now, metrics: m,
		turn: make(chan struct{}, 1), moved: make(chan struct{}),
	}, nil
}

// State is how things stand: it has every change that was made before State was called, here or anywhere.
func (d *Desk) State(ctx context.Context) (State, error) {
	var s State
	err := d.inTurn(ctx, func(context.Context) error {
		s = d.state.clone()
		return nil
	})
	if s.Published.Number == 0 {
		s.Published.Placements = d.start
	}
	return s, err
}

// Draft is one draft.
func (d *Desk) Draft(ctx context.Context, id string) (Draft, error) {
	s, err := d.State(ctx)
	if err != nil {
		return Draft{}, err
	}
	return s.Draft(id)
}

// Version is one version with its placements.
func (d *Desk) Version(ctx context.Context, number int64) (Version, error) {
	s, err := d.State(ctx)
	switch {
	case err != nil:
		return Version{}, err
	case number == 0:
		return Version{Placements: d.start}, nil
	case number < 0 || number > int64(len(s.Versions)):
		return Version{}, apierror.NotFound("VERSION_UNKNOWN", fmt.Sprintf("there are the versions 0 to %d", len(s.Versions)))
	case number == s.Published.Number:
		return s.Published, nil
	}
	v := s.Versions[number-1]
	entries, err := d.Entries(ctx, v.Seq, 1)
	if err != nil {
		return Version{}, err
	}
	if len(entries) != 1 || entries[0].Placements == nil {
		return Version{}, fmt.Errorf("log: entry %d of version %d is missing", v.Seq, number)
	}
	v.Placements = *entries[0].Placements
	return v, nil
}

// Entries reads the log from seq on, at most limit entries.
func (d *Desk) Entries(ctx context.Context, seq int64, limit int) ([]Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return d.entries(ctx, seq, limit)
}

func (d *Desk) entries(ctx context.Context, seq int64, limit int) ([]Entry, error) {
	data, err := d.log.Read(ctx, seq, limit)
	if err != nil {
		return nil, away("reading the log", err)
	}
	entries := make([]Entry, len(data))
	for i, b := range data {
		if err := json.Unmarshal(b, &entries[i]); err != nil {
			return nil, fmt.Errorf("decoding an entry of the log from %d: %w", seq, err)
		}
	}
	return entries, nil
}

// CreateDraft begins a draft with the placements, which are those of version base or come from there.
func (d *Desk) CreateDraft(ctx context.Context, by, title string, base int64, p placement.Placements) (Draft, error) {
	e, err := d.do(ctx, by, create(title, base, p))
	if err != nil {
		return Draft{}, err
	}
	return Draft{ID: e.Draft, Title: title, Base: base, Placements: p, Created: Stamp{by, e.At}, Updated: Stamp{by, e.At}, Seq: e.Seq}, nil
}

// UpdateDraft changes the title, the placements or both, if the draft is still the one with the etag.
func (d *Desk) UpdateDraft(ctx context.Context, by, id, etag string, title *string, p *placement.Placements) (Draft, error) {
	if _, err := d.do(ctx, by, update(id, etag, title, p)); err != nil {
		return Draft{}, err
	}
	return d.Draft(ctx, id)
}

// DeleteDraft ends a draft, if it is still the one with the etag. What it was stays in the log.
func (d *Desk) DeleteDraft(ctx context.Context, by, id, etag string) error {
	_, err := d.do(ctx, by, remove(id, etag))
	return err
}

// Publish makes the draft the next version, if it is still the one with the etag, and expected the version that it
// replaces. It does not check the document: see package check.
func (d *Desk) Publish(ctx context.Context, by, id, etag string, expected int64) (Version, error) {
	return d.replaced(ctx, by, publish(id, etag, expected, d.start))
}

// RollBack publishes the document of an older version again, if expected is the version that it replaces.
func (d *Desk) RollBack(ctx context.Context, by string, to, expected int64) (Version, error) {
	v, err := d.Version(ctx, to)
	if err != nil {
		return Version{}, err
	}
	return d.replaced(ctx, by, rollBack(v, expected, d.start))
}

func (d *Desk) replaced(ctx context.Context, by string, make change) (Version, error) {
	e, err := d.do(ctx, by, make)
	if err != nil {
		return Version{}, err
	}
	return Version{Number: e.Version, Title: e.Title, RolledBack: e.Action == RolledBack, Of: e.Of, Published: Stamp{e.By, e.At}, Placements: *e.Placements, Seq: e.Seq}, nil
}

// do makes the change on top of everything before it. When another process was quicker it looks again: the change
// then is made of what is there now, or refused.
func (d *Desk) do(ctx context.Context, by string, make change) (Entry, error) {
	var e Entry
	err := d.inTurn(ctx, func(ctx context.Context) error {
		for range maxTries {
			var err error
			if e, err = make(&d.state); err != nil || e.Action == "" {
				return err
			}
			e.Seq, e.By, e.At = d.state.Seq+1, by, d.now().UTC().Truncate(time.Millisecond)
			data, err := json.Marshal(e)
			if err != nil {
				return fmt.Errorf("encoding an entry of the log: %w", err)
			}
			switch err := d.log.Append(ctx, e.Seq, data); {
			case err == nil:
				d.metrics.entries.WithLabelValues(string(e.Action)).Inc()
				return d.add(ctx, e)
			case !errors.Is(err, ErrTaken):
				return away("appending to the log", err)
			}
			if err := d.catchUp(ctx); err != nil {
				return err
			}
		}
		return apierror.Unavailable("LOG_BUSY", "too many others change things just now", time.Second, nil)
	})
	return e, err
}

// inTurn waits for its turn, catches up with the log and does it.
func (d *Desk) inTurn(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return fmt.Errorf("waiting for the log: %w", ctx.Err())
	}
	if err := d.catchUp(ctx); err != nil {
		return err
	}
	return do(ctx)
}

func (d *Desk) catchUp(ctx context.Context) error {
	if d.state.Seq == 0 {
		data, err := d.log.LoadState(ctx)
		if err != nil {
			return away("reading the log", err)
		}
		if data != nil {
			var s State
			if err := json.Unmarshal(data, &s); err != nil {
				d.logger.Warn("the saved state can't be read, the log is read from its start", "error", err)
			} else {
				d.state, d.saved = s, s.Seq
			}
		}
	}
	for {
		entries, err := d.entries(ctx, d.state.Seq+1, readPage)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := d.add(ctx, e); err != nil {
				return err
			}
		}
		if len(entries) < readPage {
			return nil
		}
	}
}

// add takes an entry in, and saves the sum every now and then. Not being able to is no failure: the next reader
// adds up more.
func (d *Desk) add(ctx context.Context, e Entry) error {
	if err := d.state.Add(e); err != nil {
		return err
	}
	close(d.moved)
	d.moved = make(chan struct{})
	if d.state.Seq < d.saved+saveEvery {
		return nil
	}
	data, err := json.Marshal(d.state)
	if err == nil {
		err = d.log.SaveState(ctx, data)
	}
	if err != nil {
		d.logger.Warn("saving the log's state failed", "error", err)
		return nil
	}
	d.saved = d.state.Seq
	return nil
}

// away says that the log could not be asked.
func away(doing string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return apierror.Unavailable("LOG_UNAVAILABLE", "the log of changes can't be reached just now", time.Second, fmt.Errorf("%s: %w", doing, err))
}
