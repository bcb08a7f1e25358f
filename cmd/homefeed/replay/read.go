package replay

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"homefeed/pipeline/event"
	"homefeed/services/catalog"
)

// Bounds of a log. Its events are in memory, some 100 bytes each, because they have to be put in order.
const (
	maxRecords = 10_000_000
	maxLine    = 1 << 20
	maxObject  = 128             // bytes of a track's id, as in event.Event
	maxSeconds = 253_402_300_799 // the end of the year 9999
)

// eventLog is a log in memory.
type eventLog struct {
	records []record // by time
	// last is the time of the last event in Unix milliseconds, whether it became a record or was refused: what the
	// catalogue knows must not change where the log is moved to.
	last int64
}

// record is what a line says, before it is moved in time.
type record struct {
	time   int64 // Unix milliseconds
	user   string
	object string
	line   int32 // 1 and up
	kind   event.Kind
}

// ids makes the ids of one run's events.
type ids struct{ salt [sha256.Size]byte }

// newIDs takes up what makes one run differ from another: the content of the file, and where the log is moved to.
func newIDs(file [sha256.Size]byte, cfg Config, start time.Time) ids {
	moved := "stays"
	switch {
	case cfg.Shift:
		moved = "ends " + strconv.FormatInt(cfg.End.UnixMilli(), 10)
	case cfg.Speed > 0:
		moved = "starts " + strconv.FormatInt(start.UnixMilli(), 10)
	}
	return ids{sha256.Sum256(append(file[:], moved...))}
}

// of is the id of the event on a line.
func (i ids) of(line int32) string {
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(i.salt[:], uint32(line)))
	return hex.EncodeToString(sum[:12])
}

// open opens a log, gzipped or not.
func open(path string) (text io.Reader, closeFile func() error, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("opening log: %w", err)
	}
	buffered := bufio.NewReaderSize(f, 64<<10)
	magic, err := buffered.Peek(2)
	if err != nil || !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return buffered, f.Close, nil // a file that can't be read says so again
	}
	unzipped, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("opening log %s: %w", path, err), f.Close())
	}
	return unzipped, f.Close, nil
}

// digest reads the log through for the hash of its content and the number of its lines.
func digest(ctx context.Context, path string) (hash [sha256.Size]byte, lines int, err error) {
	text, closeFile, err := open(path)
	if err != nil {
		return hash, 0, err
	}
	defer closeFile()
	h := sha256.New()
	buf := make([]byte, 64<<10)
	for ctx.Err() == nil {
		n, err := text.Read(buf)
		h.Write(buf[:n])
		lines += bytes.Count(buf[:n], []byte{'\n'})
		if err == io.EOF {
			h.Sum(hash[:0])
			return hash, lines, nil
		}
		if err != nil {
			return hash, lines, fmt.Errorf("reading log %s: %w", path, err)
		}
	}
	return hash, lines, ctx.Err()
}

// readLog reads every event of the log, in order of time. Lines that are no event go to refuse.
func readLog(ctx context.Context, cfg Config, known *catalog.Catalog, refuse func(line int, err error)) (log eventLog, err error) {
	text, closeFile, err := open(cfg.File)
	if err != nil {
		return log, err
	}
	defer closeFile()
	lines := bufio.NewReaderSize(text, maxLine)
	p := &parser{known: known, user: cfg.User, interned: map[string]string{}}
	parse := p.listen
	n := 0
	if cfg.Format == TSV {
		parse = p.tsv
		header, err := readLine(lines)
		if err == nil {
			err = p.header(string(header))
		}
		if err != nil {
			return log, fmt.Errorf("reading log %s: line 1: %w", cfg.File, noEOF(err))
		}
		n = 1
	}
	for {
		line, err := readLine(lines)
		if err == io.EOF {
			break
		}
		n++
		if n%1000 == 0 && ctx.Err() != nil {
			return log, ctx.Err()
		}
		switch {
		case errors.Is(err, errTooLong):
			refuse(n, err)
			continue
		case err != nil:
			return log, fmt.Errorf("reading log %s: line %d: %w", cfg.File, n, err)
		case len(line) == 0:
			continue
		case len(log.records) == maxRecords:
			return log, fmt.Errorf("reading log %s: line %d: more than %d events: split the log", cfg.File, n, maxRecords)
		}
		rec, err := parse(line)
		if err != nil {
			refuse(n, err)
			continue
		}
		rec.line = int32(n)
		log.records = append(log.records, rec)
	}
	slices.SortStableFunc(log.records, func(a, b record) int { return cmp.Compare(a.time, b.time) })
	log.last = p.last
	return log, nil
}

var errTooLong = fmt.Errorf("want a line of at most %d bytes", maxLine)

func noEOF(err error) error {
	if err == io.EOF {
		return errors.New("the log is empty")
	}
	return err
}

// readLine returns a line without its end, which the next call overwrites. After errTooLong the next line is next.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = r.ReadSlice('\n')
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		return nil, errTooLong
	}
	if err == io.EOF && len(line) > 0 {
		err = nil
	}
	return bytes.TrimRight(line, "\r\n"), err
}

// parser makes records of lines.
type parser struct {
	known    *catalog.Catalog // nil when there is none
	user     string
	columns  [4]int // of ts, user, event and object
	interned map[string]string
	last     int64 // the latest time so far, in Unix milliseconds
}

// millis takes note of a line's time; field is what the log calls it.
func (p *parser) millis(field string, seconds int64) (int64, error) {
	if seconds < 0 || seconds > maxSeconds {
		return 0, &event.FieldError{Field: field, Want: "want Unix seconds"}
	}
	p.last = max(p.last, seconds*1000)
	return seconds * 1000, nil
}

// intern keeps one copy of each listener and track.
func (p *parser) intern(s string) string {
	if kept, ok := p.interned[s]; ok {
		return kept
	}
	s = strings.Clone(s)
	p.interned[s] = s
	return s
}

func (p *parser) header(line string) error {
	names := strings.Split(strings.TrimPrefix(line, "\ufeff"), "\t")
	for i, name := range []string{"ts", "user", "event", "object"} {
		if p.columns[i] = slices.Index(names, name); p.columns[i] < 0 {
			return fmt.Errorf("column %q is missing: want a header of ts, user, event and object", name)
		}
	}
	return nil
}

func (p *parser) tsv(line []byte) (record, error) {
	fields := strings.Split(string(line), "\t")
	var v [4]string
	for i, column := range p.columns {
		if column >= len(fields) {
			return record{}, fmt.Errorf("%d columns: want as many as in the header", len(fields))
		}
		v[i] = fields[column]
	}
	seconds, err := strconv.ParseInt(v[0], 10, 64)
	if err != nil {
		seconds = -1
	}
	millis, err := p.millis("ts", seconds)
	switch {
	case err != nil:
		return record{}, err
	case !event.ValidUser(v[1]):
		return record{}, &event.FieldError{Field: "user", Want: "want 1–64 of A–Z a–z 0–9 . _ -"}
	}
	rec := record{time: millis, user: p.intern(v[1])}
	switch v[2] {
	case "play":
		rec.kind = event.Played
	case "heart":
		rec.kind = event.Hearted
	case "follow_artist":
		rec.kind = event.Followed
		rec.object, err = p.artist(v[3])
		return rec, err
	default:
		return record{}, &event.FieldError{Field: "event", Want: "want play, heart or follow_artist"}
	}
	rec.object, err = p.track(v[3])
	return rec, err
}

func (p *parser) artist(name string) (id string, err error) {
	if p.known == nil {
		return "", &event.FieldError{Field: "object", Want: "following an artist by name needs a catalogue"}
	}
	id, ok := p.known.ArtistID(name)
	if !ok {
		return "", &event.FieldError{Field: "object", Want: fmt.Sprintf("artist %.100q is not in the catalogue", name)}
	}
	return p.intern(id), nil
}

func (p *parser) track(id string) (string, error) {
	if len(id) > maxObject {
		return "", &event.FieldError{Field: "object", Want: fmt.Sprintf("want at most %d bytes", maxObject)}
	}
	if p.known != nil {
		if _, ok := p.known.Track(id); !ok {
			return "", &event.FieldError{Field: "object", Want: fmt.Sprintf("track %q is not in the catalogue", id)}
		}
	}
	return p.intern(id), nil
}

// listen is a line of a ListenBrainz export.
type listen struct {
	ListenedAt *int64 `json:"listened_at"`
	UserName   string `json:"user_name"`
	Track      struct {
		Artist string `json:"artist_name"`
		Title  string `json:"track_name"`
	} `json:"track_metadata"`
}

func (p *parser) listen(line []byte) (record, error) {
	var l listen
	if err := json.Unmarshal(line, &l); err != nil {
		return record{}, fmt.Errorf("want a listen in JSON: %w", err)
	}
	seconds := int64(-1)
	if l.ListenedAt != nil {
		seconds = *l.ListenedAt
	}
	millis, err := p.millis("listened_at", seconds)
	if err != nil {
		return record{}, err
	}
	user := cmp.Or(l.UserName, p.user)
	if !event.ValidUser(user) {
		return record{}, &event.FieldError{Field: "user_name", Want: "want 1–64 of A–Z a–z 0–9 . _ -, here or with -user"}
	}
	id, ok := p.known.TrackID(l.Track.Artist, l.Track.Title)
	if !ok {
		return record{}, &event.FieldError{Field: "track_metadata",
			Want: fmt.Sprintf("%.100q by %.100q is not in the catalogue", l.Track.Title, l.Track.Artist)}
	}
	return record{time: millis, user: p.intern(user), object: p.intern(id), kind: event.Played}, nil
}
