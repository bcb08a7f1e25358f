package server

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/api/apierror"
	"homefeed/api/cms"
	"homefeed/api/cms/check"
	"homefeed/api/cms/cmspb"
	"homefeed/api/placement"
)

func document(p placement.Placements) *cmspb.Document {
	d := &cmspb.Document{Shelves: make([]*cmspb.Placement, len(p.Shelves))}
	for i, one := range p.Shelves {
		d.Shelves[i] = &cmspb.Placement{
			Shelf: one.Shelf, Title: one.Title, Titles: one.Titles, PlainTitle: one.PlainTitle, PlainTitles: one.PlainTitles,
			Component: string(one.Component), Markets: one.Markets, Platforms: one.Platforms,
			AudiencePercent: int32(one.AudiencePercent), From: timestamp(one.From), To: timestamp(one.To),
			MinCards: int32(one.MinCards), MaxCards: int32(one.MaxCards), MaxAgeSeconds: one.MaxAgeSeconds,
			Repeat: string(one.Repeat), Pins: one.Pins, Blocks: one.Blocks, DefaultCards: one.DefaultCards,
		}
	}
	return d
}

func placements(d *cmspb.Document) placement.Placements {
	p := placement.Placements{Shelves: make([]placement.Placement, len(d.GetShelves()))}
	for i, one := range d.GetShelves() {
		p.Shelves[i] = placement.Placement{
			Shelf: one.GetShelf(), Title: one.GetTitle(), Titles: one.GetTitles(), PlainTitle: one.GetPlainTitle(), PlainTitles: one.GetPlainTitles(),
			Component: placement.Component(one.GetComponent()), Markets: one.GetMarkets(), Platforms: one.GetPlatforms(),
			AudiencePercent: int(one.GetAudiencePercent()), From: timeOf(one.GetFrom()), To: timeOf(one.GetTo()),
			MinCards: int(one.GetMinCards()), MaxCards: int(one.GetMaxCards()), MaxAgeSeconds: one.GetMaxAgeSeconds(),
			Repeat: placement.Repeat(one.GetRepeat()), Pins: one.GetPins(), Blocks: one.GetBlocks(), DefaultCards: one.GetDefaultCards(),
		}
	}
	return p
}

// timestamp leaves the zero time out.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func draft(d cms.Draft, whole bool) *cmspb.Draft {
	m := &cmspb.Draft{
		Name: "drafts/" + d.ID, Title: d.Title, Etag: d.Etag(), BaseVersion: d.Base,
		Creator: d.Created.By, CreateTime: timestamp(d.Created.At), Updater: d.Updated.By, UpdateTime: timestamp(d.Updated.At),
	}
	if whole {
		m.Document = document(d.Placements)
	}
	return m
}

func version(v cms.Version, whole bool) *cmspb.Version {
	m := &cmspb.Version{
		Name: versionName(v.Number), Number: v.Number, Title: v.Title, Publisher: v.Published.By, PublishTime: timestamp(v.Published.At),
	}
	if v.RolledBack {
		m.RollbackOf = versionName(v.Of)
	}
	if whole {
		m.Document = document(v.Placements)
	}
	return m
}

func versionName(number int64) string { return "versions/" + strconv.FormatInt(number, 10) }

func changes(all []cms.Change) []*cmspb.Change {
	m := make([]*cmspb.Change, len(all))
	for i, c := range all {
		m[i] = &cmspb.Change{Path: c.Path, From: c.From, To: c.To}
	}
	return m
}

func findings(all []check.Finding) []*cmspb.Finding {
	m := make([]*cmspb.Finding, len(all))
	for i, f := range all {
		severity := cmspb.Finding_WARNING
		if f.Severity == check.Error {
			severity = cmspb.Finding_ERROR
		}
		m[i] = &cmspb.Finding{Severity: severity, Field: f.Field, Message: f.Message, Listeners: int32(f.Listeners), Sampled: int32(f.Sampled)}
	}
	return m
}

func auditEntry(e cms.Entry) *cmspb.AuditEntry {
	m := &cmspb.AuditEntry{
		Name: "auditEntries/" + strconv.FormatInt(e.Seq, 10), Time: timestamp(e.At), Actor: e.By, Title: e.Title, Changes: changes(e.Changes),
	}
	if e.Draft != "" {
		m.Draft = "drafts/" + e.Draft
	}
	switch e.Action {
	case cms.Created:
		m.Action = cmspb.AuditEntry_DRAFT_CREATED
	case cms.Updated:
		m.Action = cmspb.AuditEntry_DRAFT_UPDATED
	case cms.Deleted:
		m.Action = cmspb.AuditEntry_DRAFT_DELETED
	case cms.Published:
		m.Action, m.Version = cmspb.AuditEntry_PUBLISHED, versionName(e.Version)
	case cms.RolledBack:
		m.Action, m.Version, m.RollbackOf = cmspb.AuditEntry_ROLLED_BACK, versionName(e.Version), versionName(e.Of)
	}
	return m
}

// draftID is the id in "drafts/{draft}".
func draftID(field, name string) (string, error) {
	id, ok := strings.CutPrefix(name, "drafts/")
	if !ok || id == "" {
		return "", wrong(field, "want drafts/{draft}")
	}
	return id, nil
}

func wrong(field, want string) error {
	return apierror.BadRequest("FIELD_INVALID", field+": "+want, apierror.Field{Field: field, Want: want})
}

const (
	maxPage     = 50
	defaultPage = 20
)

// page is how many to return, at most, and below which number: lists have the highest first. 0: from the highest.
func page(size int32, token string) (int, int64, error) {
	switch {
	case size < 0:
		return 0, 0, wrong("page_size", "want 0 or more")
	case size == 0:
		size = defaultPage
	}
	if token == "" {
		return min(int(size), maxPage), 0, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	before, numberErr := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || numberErr != nil || before < 1 {
		return 0, 0, wrong("page_token", "want a next_page_token of the same list")
	}
	return min(int(size), maxPage), before, nil
}

// nextPage is the token of what is below the number.
func nextPage(below int64) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Append(nil, below))
}
