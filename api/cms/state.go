package cms

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"

	"homefeed/api/apierror"
	"homefeed/api/placement"
)

// State is what the entries up to Seq add up to.
type State struct {
	Seq       int64            `json:"seq"`
	Published Version          `json:"published"`          // the zero Version before the first
	Versions  []Version        `json:"versions,omitempty"` // by number, without their placements
	Drafts    map[string]Draft `json:"drafts,omitempty"`
}

// Add takes in the next entry. Its error says that the log is damaged.
func (s *State) Add(e Entry) error {
	if e.Seq != s.Seq+1 {
		return fmt.Errorf("log: want entry %d, have entry %d", s.Seq+1, e.Seq)
	}
	if e.Placements == nil && e.Action != Deleted {
		return fmt.Errorf("log: entry %d has no placements", e.Seq)
	}
	switch e.Action {
	case Created, Updated:
		d := s.Drafts[e.Draft]
		if e.Action == Created {
			d = Draft{ID: e.Draft, Base: e.Base, Created: Stamp{e.By, e.At}}
		}
		d.Title, d.Placements, d.Updated, d.Seq = e.Title, *e.Placements, Stamp{e.By, e.At}, e.Seq
		if s.Drafts == nil {
			s.Drafts = map[string]Draft{}
		}
		s.Drafts[e.Draft] = d
	case Deleted:
		delete(s.Drafts, e.Draft)
	case Published, RolledBack:
		v := Version{Number: e.Version, Title: e.Title, RolledBack: e.Action == RolledBack, Of: e.Of, Published: Stamp{e.By, e.At}, Seq: e.Seq}
		s.Versions = append(s.Versions, v)
		v.Placements = *e.Placements
		s.Published = v
		delete(s.Drafts, e.Draft)
	default:
		return fmt.Errorf("log: entry %d: unknown action %q", e.Seq, e.Action)
	}
	s.Seq = e.Seq
	return nil
}

// ByUpdate is the drafts, the one changed last first.
func (s *State) ByUpdate() []Draft {
	return slices.SortedFunc(maps.Values(s.Drafts), func(a, b Draft) int { return int(b.Seq - a.Seq) })
}

// clone shares documents, which nobody changes, and nothing else.
func (s *State) clone() State {
	c := *s
	c.Versions, c.Drafts = slices.Clone(s.Versions), maps.Clone(s.Drafts)
	return c
}

// A change makes the entry that a caller's wish comes to, from the state as it is. No action: there is nothing to
// do. What it refuses is an *apierror.Error. The Desk fills in who, when and the number.
type change func(*State) (Entry, error)

func create(title string, base int64, doc placement.Placements) change {
	return func(s *State) (Entry, error) {
		if len(s.Drafts) >= MaxDrafts {
			return Entry{}, refused("DRAFTS_TOO_MANY", fmt.Sprintf("there are %d drafts: publish or delete one first", MaxDrafts))
		}
		// The number that the entry gets is nobody else's, so the draft's id is its own, too.
		return checked(Entry{Action: Created, Draft: "draft-" + strconv.FormatInt(s.Seq+1, 10), Title: title, Base: base, Placements: &doc})
	}
}

// update changes what isn't nil. An update to what the draft is already is no change, whatever its etag: so a caller
// who didn't hear the answer can send the same again.
func update(id, etag string, title *string, doc *placement.Placements) change {
	return func(s *State) (Entry, error) {
		d, err := s.Draft(id)
		if err != nil {
			return Entry{}, err
		}
		e := Entry{Action: Updated, Draft: id, Title: d.Title, Placements: &d.Placements}
		if title != nil {
			e.Title = *title
		}
		if doc != nil {
			e.Placements = doc
		}
		if e.Changes, err = Changes(d.Placements, *e.Placements); err != nil {
			return Entry{}, err
		}
		if e.Title != d.Title {
			e.Changes = append(e.Changes, Change{"title", text(d.Title), text(e.Title)})
		}
		if len(e.Changes) == 0 {
			return Entry{}, nil
		}
		if err := match(d, etag); err != nil {
			return Entry{}, err
		}
		return checked(e)
	}
}

func remove(id, etag string) change {
	return func(s *State) (Entry, error) {
		d, err := s.Draft(id)
		if err != nil {
			return Entry{}, err
		}
		return Entry{Action: Deleted, Draft: id, Title: d.Title}, match(d, etag)
	}
}

// publish refuses when expected isn't the version that it would replace: somebody has published what this editor
// has not seen.
func publish(id, etag string, expected int64, start placement.Placements) change {
	return func(s *State) (Entry, error) {
		d, err := s.Draft(id)
		if err != nil {
			return Entry{}, err
		}
		if err := match(d, etag); err != nil {
			return Entry{}, err
		}
		return s.replace(Entry{Action: Published, Draft: id, Title: d.Title, Placements: &d.Placements}, expected, start)
	}
}

func rollBack(to Version, expected int64, start placement.Placements) change {
	return func(s *State) (Entry, error) {
		return s.replace(Entry{Action: RolledBack, Of: to.Number, Title: to.Title, Placements: &to.Placements}, expected, start)
	}
}

func (s *State) replace(e Entry, expected int64, start placement.Placements) (Entry, error) {
	if s.Published.Number != expected {
		return Entry{}, &apierror.Error{
			Code: code.Code_ABORTED, Reason: "VERSION_MOVED",
			Message: fmt.Sprintf("version %d is published by now: look at what it changes, then publish again", s.Published.Number),
		}
	}
	e.Version = s.Published.Number + 1
	was := start
	if s.Published.Number > 0 {
		was = s.Published.Placements
	}
	var err error
	e.Changes, err = Changes(was, *e.Placements)
	return e, err
}

// Draft is one draft; the error of one that isn't there says so.
func (s *State) Draft(id string) (Draft, error) {
	d, ok := s.Drafts[id]
	if !ok {
		return d, apierror.NotFound("DRAFT_UNKNOWN", "there is no such draft: it may have been published or deleted")
	}
	return d, nil
}

// Etag is the draft's version for AIP-154.
func (d Draft) Etag() string { return strconv.FormatInt(d.Seq, 10) }

// match refuses an etag that isn't the draft's. An empty one is refused too: nobody overwrites what they have not seen.
func match(d Draft, etag string) error {
	switch etag {
	case d.Etag():
		return nil
	case "":
		return apierror.BadRequest("ETAG_MISSING", "want the etag of the draft as you have seen it", apierror.Field{Field: "etag", Want: "want the draft's etag"})
	}
	return d.Mismatch()
}

// Mismatch is the error of a caller whose etag isn't the draft's.
func (d Draft) Mismatch() error {
	return &apierror.Error{
		Code: code.Code_ABORTED, Reason: "ETAG_MISMATCH",
		Message: fmt.Sprintf("%s has changed this draft at %s: look at both, then save again", d.Updated.By, d.Updated.At.UTC().Format(time.RFC3339)),
	}
}

// checked refuses what no log should keep. Whether the document is right for Home is package check's to say: a draft may be
// wrong as long as it is one.
func checked(e Entry) (Entry, error) {
	switch data, err := json.Marshal(e.Placements); {
	case err != nil:
		return Entry{}, fmt.Errorf("encoding placements: %w", err)
	case len(data) > MaxDocument:
		return Entry{}, tooMuch("placements", fmt.Sprintf("want at most %d KB in all, have %d", MaxDocument>>10, len(data)>>10))
	case len(e.Placements.Shelves) > MaxPlacements:
		return Entry{}, tooMuch("placements", fmt.Sprintf("want at most %d", MaxPlacements))
	case e.Title == "" || len(e.Title) > MaxTitle:
		return Entry{}, tooMuch("title", fmt.Sprintf("want 1 to %d bytes", MaxTitle))
	}
	return e, nil
}

func tooMuch(field, want string) error {
	return apierror.BadRequest("DRAFT_INVALID", field+": "+want, apierror.Field{Field: field, Want: want})
}

func refused(reason, message string) error {
	return &apierror.Error{Code: code.Code_FAILED_PRECONDITION, Reason: reason, Message: message}
}
