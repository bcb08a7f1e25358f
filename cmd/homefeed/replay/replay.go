// Package replay sends a log of listening to POST /v1/events, as fast as it is taken or live.
//
// It may be stopped and run again: an event's id is a digest of the file's content, the line and where the log
// was moved to, so the same run sends the same events, and the other side takes each for one.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"time"

	"homefeed/pipeline/event"
	"homefeed/services/catalog"
)

// Formats of logs.
const (
	// TSV has a header that names ts, user, event and object: Unix seconds; the listener; play, heart or
	// follow_artist; a track's id, or the name of the artist that is followed.
	TSV = "tsv"
	// ListenBrainz is the JSON-lines export of listens: listened_at, track_metadata.artist_name and
	// track_metadata.track_name, and perhaps user_name.
	ListenBrainz = "listenbrainz"
)

// maxTimes is the fastest that a log is played live: beyond it, a day passes in under a second.
const maxTimes = 100_000

// Config says what to send where.
type Config struct {
	File   string // the log; may be gzipped
	Format string // TSV or ListenBrainz
	// Catalog is the catalogue's file, which knows artists and tracks by name. TSV needs it for follow_artist
	// only; where it is given, tracks that it lacks are refused, since no shelf could show them.
	Catalog string
	// User is whose listens these are, where a ListenBrainz line doesn't say it.
	User string

	// Shift moves the log so that its last event is at End. Without Shift and Speed, times stay as they are.
	Shift bool
	End   time.Time // with Shift; zero means now
	// Speed plays the log live from now on, so many times as fast as it happened; 0 sends it at once.
	Speed float64

	To     string // the API's address, http://host:port
	Token  string // of a service that may write any listener's events; never printed
	Client *http.Client
	// Backoff bounds the wait before an attempt is repeated: from First on, twice as long each time, up to Most.
	// Zero means 200 ms and 10 s.
	Backoff Backoff
}

// Backoff is a first and a longest wait.
type Backoff struct{ First, Most time.Duration }

// attemptTimeout bounds one attempt to send a batch, with Config.Client nil or not.
const attemptTimeout = 30 * time.Second

// Validate names what is wrong and what would be right; Run calls it first.
func (c *Config) Validate() error {
	to, err := url.Parse(c.To)
	switch {
	case c.File == "":
		return errors.New("file: want the log to replay")
	case c.Format != TSV && c.Format != ListenBrainz:
		return fmt.Errorf("format: %q: want %s or %s", c.Format, TSV, ListenBrainz)
	case c.Format == ListenBrainz && c.Catalog == "":
		return errors.New("catalog: want the file that maps artists and titles to tracks")
	case c.Format == TSV && c.User != "":
		return errors.New("user: want none, because each line of a tsv log names its listener")
	case c.User != "" && !event.ValidUser(c.User):
		return errors.New("user: want 1–64 of A–Z a–z 0–9 . _ -")
	case math.IsNaN(c.Speed) || c.Speed < 0 || c.Speed > maxTimes:
		return fmt.Errorf("speed: %v: want 0 to %d", c.Speed, maxTimes)
	case c.Shift && c.Speed != 0:
		return errors.New("shift, speed: want one of them: speed moves the log to now by itself")
	case !c.End.IsZero() && !c.Shift:
		return errors.New("end: want it with shift only")
	case err != nil || (to.Scheme != "http" && to.Scheme != "https") || to.Host == "":
		return fmt.Errorf("to: %q: want http://host:port", c.To)
	}
	return nil
}

// Run replays the log and reports to out: progress, every event that is refused here or there, and a summary.
// While the other side is away or overloaded it waits and tries again, until ctx ends. Refused events are no
// error; a log that can't be read, a token that isn't taken and the like are.
func Run(ctx context.Context, cfg Config, out io.Writer) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	start := time.Now().Truncate(time.Millisecond)
	if cfg.Shift && cfg.End.IsZero() {
		cfg.End = start
	}
	if cfg.End.After(start.Add(event.MaxAhead)) {
		return fmt.Errorf("replay: end: %s: want a time that is not ahead of now", cfg.End.Format(time.RFC3339))
	}
	var known *catalog.Catalog
	if cfg.Catalog != "" {
		var err error
		if known, err = catalog.Load(cfg.Catalog); err != nil {
			return fmt.Errorf("replay: %w", err)
		}
	}
	hash, lines, err := digest(ctx, cfg.File)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	r := &run{
		cfg:    cfg,
		start:  start,
		ids:    newIDs(hash, cfg, start),
		sender: newSender(cfg),
		report: newReport(out, lines),
	}
	if cfg.Shift {
		r.report.printf("the last event moves to %[1]s; to go on with this run or to repeat it: -shift -end %[1]s",
			cfg.End.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	}
	if r.log, err = readLog(ctx, cfg, known, r.refuseLine); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	left, err := r.play(ctx)
	r.report.summary(left)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return nil
}

// run is one replay under way.
type run struct {
	cfg    Config
	start  time.Time
	log    eventLog
	ids    ids
	sender *sender
	report *report
}

const (
	// maxBatch is the API's limit of events. A valid event encodes to some 300 bytes at most, so that a batch
	// stays under its limit of 1 MiB by itself.
	maxBatch = 1000
	// liveEvery is the shortest time from one batch to the next when the log is played live.
	liveEvery = 10 * time.Millisecond
)

// batch is what is sent at once; lines[i] is where events[i] stands in the log.
type batch struct {
	events []event.Event
	lines  []int32
}

// play sends the records in order, batch by batch, and returns how many are left after an error.
func (r *run) play(ctx context.Context) (left int, err error) {
	when := r.schedule()
	for rest := r.log.records; len(rest) > 0; {
		if r.cfg.Speed > 0 {
			if err := sleepUntil(ctx, latest(when(rest[0]), time.Now().Add(liveEvery))); err != nil {
				return len(rest), err
			}
		}
		now := time.Now()
		var b batch
		taken := 0
		for ; taken < min(len(rest), maxBatch); taken++ {
			rec := rest[taken]
			at := when(rec)
			if r.cfg.Speed > 0 && at.After(now) {
				break
			}
			e := event.Event{ID: r.ids.of(rec.line), Kind: rec.kind, User: rec.user, Object: rec.object, Time: at}
			if err := e.Validate(now); err != nil {
				r.refuse(int(rec.line), e.ID, err)
				continue
			}
			b.events, b.lines = append(b.events, e), append(b.lines, rec.line)
		}
		if err := r.send(ctx, b); err != nil {
			return len(rest), err
		}
		rest = rest[taken:]
	}
	return 0, nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// schedule returns when a record's event takes place.
func (r *run) schedule() func(record) time.Time {
	switch {
	case r.cfg.Speed > 0 && len(r.log.records) > 0:
		first, start := r.log.records[0].time, r.start.UnixMilli()
		return func(rec record) time.Time {
			return time.UnixMilli(start + int64(float64(rec.time-first)/r.cfg.Speed)).UTC()
		}
	case r.cfg.Shift:
		by := r.cfg.End.UnixMilli() - r.log.last
		return func(rec record) time.Time { return time.UnixMilli(rec.time + by).UTC() }
	}
	return func(rec record) time.Time { return time.UnixMilli(rec.time).UTC() }
}

// send sends a batch and reports what was refused of it.
func (r *run) send(ctx context.Context, b batch) error {
	if len(b.events) == 0 {
		return nil
	}
	results, err := r.sender.send(ctx, b.events, r.report.waiting)
	if err != nil {
		return err
	}
	accepted := 0
	for i, result := range results {
		if result.GetError() == "" {
			accepted++
			continue
		}
		r.report.rejected(int(b.lines[i]), b.events[i].ID, result.GetField(), result.GetError())
	}
	r.report.sent(accepted, len(results)-accepted)
	return nil
}

// refuse reports an event that is not worth sending.
func (r *run) refuse(line int, id string, err error) {
	field, reason := "", err.Error()
	if wrong := (*event.FieldError)(nil); errors.As(err, &wrong) {
		field, reason = wrong.Field, wrong.Want
	}
	r.report.refused(line, id, field, reason)
}

func (r *run) refuseLine(line int, err error) {
	r.refuse(line, r.ids.of(int32(line)), err)
}

// sleepUntil waits for t, or for the end of ctx, whose error it returns.
func sleepUntil(ctx context.Context, t time.Time) error {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
