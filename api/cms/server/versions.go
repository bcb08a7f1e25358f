package server

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"homefeed/api/cms"
	"homefeed/api/cms/check"
	"homefeed/api/cms/cmspb"
	"homefeed/api/homepb"
	"homefeed/api/identity"
	"homefeed/api/placement"
	"homefeed/pipeline/event"
	"homefeed/shelves/shelf"
)

// GetCaller says who is asking, and what they may do.
func (s *server) GetCaller(ctx context.Context, _ *cmspb.GetCallerRequest) (*cmspb.Caller, error) {
	who := caller(ctx)
	answer := &cmspb.Caller{Name: who.Name}
	for _, r := range []identity.Role{identity.Viewer, identity.Editor, identity.Publisher} {
		if who.Has(r) {
			answer.Roles = append(answer.Roles, string(r))
		}
	}
	return answer, nil
}

// ListShelves is every shelf that this program has.
func (s *server) ListShelves(context.Context, *cmspb.ListShelvesRequest) (*cmspb.ListShelvesResponse, error) {
	answer := &cmspb.ListShelvesResponse{}
	for _, one := range s.checker.Shelves {
		answer.Shelves = append(answer.Shelves, &cmspb.DeclaredShelf{
			Name: one.Name, Doc: one.Doc, Title: one.Title,
			MaxCards: int32(one.Guard.WithDefaults().MaxCards), Market: one.Scope == shelf.Market,
		})
	}
	return answer, nil
}

// SampleListeners is some listeners.
func (s *server) SampleListeners(ctx context.Context, r *cmspb.SampleListenersRequest) (*cmspb.SampleListenersResponse, error) {
	size, _, err := page(r.GetPageSize(), "")
	if err != nil {
		return nil, err
	}
	users, err := s.checker.Sample(ctx, size)
	return &cmspb.SampleListenersResponse{Listeners: users}, err
}

// ListVersions has the published one first.
func (s *server) ListVersions(ctx context.Context, r *cmspb.ListVersionsRequest) (*cmspb.ListVersionsResponse, error) {
	size, before, err := page(r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	state, err := s.desk.State(ctx)
	if err != nil {
		return nil, err
	}
	newest := int64(len(state.Versions))
	if before > 0 {
		newest = min(newest, before-1)
	}
	answer := &cmspb.ListVersionsResponse{}
	for number := newest; number > 0; number-- {
		if len(answer.Versions) == size {
			answer.NextPageToken = nextPage(number + 1)
			break
		}
		answer.Versions = append(answer.Versions, version(state.Versions[number-1], false))
	}
	return answer, nil
}

// GetVersion is one with its document.
func (s *server) GetVersion(ctx context.Context, r *cmspb.GetVersionRequest) (*cmspb.Version, error) {
	v, err := s.version(ctx, "name", r.GetName())
	return version(v, true), err
}

func (s *server) version(ctx context.Context, field, name string) (cms.Version, error) {
	id, ok := strings.CutPrefix(name, "versions/")
	if id == "published" {
		state, err := s.desk.State(ctx)
		return state.Published, err
	}
	number, err := strconv.ParseInt(id, 10, 64)
	if !ok || err != nil {
		return cms.Version{}, wrong(field, "want versions/{number} or versions/published")
	}
	return s.desk.Version(ctx, number)
}

// RollBack goes back to an older document. It was fit to be published once; whether its shelves still are declared
// is looked at again.
func (s *server) RollBack(ctx context.Context, r *cmspb.RollBackRequest) (*cmspb.Version, error) {
	to, err := s.version(ctx, "name", r.GetName())
	if err != nil {
		return nil, err
	}
	if err := s.publishable(to.Placements); err != nil {
		return nil, err
	}
	v, err := s.desk.RollBack(ctx, caller(ctx).Name, to.Number, r.GetExpectedVersion())
	return version(v, true), err
}

// Compare is what differs.
func (s *server) Compare(ctx context.Context, r *cmspb.CompareRequest) (*cmspb.CompareResponse, error) {
	from, err := s.named(ctx, "from", r.GetFrom())
	if err != nil {
		return nil, err
	}
	to, err := s.named(ctx, "to", r.GetTo())
	if err != nil {
		return nil, err
	}
	differs, err := cms.Changes(from, to)
	return &cmspb.CompareResponse{Changes: changes(differs)}, err
}

// named is the document of a draft or a version.
func (s *server) named(ctx context.Context, field, name string) (placement.Placements, error) {
	if strings.HasPrefix(name, "versions/") {
		v, err := s.version(ctx, field, name)
		return v.Placements, err
	}
	id, err := draftID(field, name)
	if err != nil {
		return placement.Placements{}, wrong(field, "want drafts/{draft} or versions/{number}")
	}
	d, err := s.desk.Draft(ctx, id)
	return d.Placements, err
}

// ListAuditEntries reads the log backwards.
func (s *server) ListAuditEntries(ctx context.Context, r *cmspb.ListAuditEntriesRequest) (*cmspb.ListAuditEntriesResponse, error) {
	size, before, err := page(r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	if before == 0 {
		state, err := s.desk.State(ctx)
		if err != nil {
			return nil, err
		}
		before = state.Seq + 1
	}
	from := max(before-int64(size), 1)
	entries, err := s.desk.Entries(ctx, from, int(before-from))
	if err != nil {
		return nil, err
	}
	answer := &cmspb.ListAuditEntriesResponse{}
	for _, e := range slices.Backward(entries) {
		answer.AuditEntries = append(answer.AuditEntries, auditEntry(e))
	}
	if from > 1 {
		answer.NextPageToken = nextPage(from)
	}
	return answer, nil
}

// PreviewHome makes Home of what is published, of a draft or version, or of a document that isn't saved.
func (s *server) PreviewHome(ctx context.Context, r *cmspb.PreviewHomeRequest) (*homepb.Home, error) {
	v := check.View{User: r.GetListener(), At: s.now(), Market: r.GetMarket(), Platform: r.GetPlatform(), Locale: r.GetLocale()}
	if r.GetTime() != nil {
		v.At = r.GetTime().AsTime()
	}
	switch {
	case !event.ValidUser(v.User):
		return nil, wrong("listener", "want 1–64 of A–Z a–z 0–9 . _ -")
	case v.Market != "" && !event.ValidMarket(v.Market):
		return nil, wrong("market", "want an ISO 3166-1 alpha-2 code in capitals, or nothing")
	case v.Platform != "" && !placement.ValidPlatform(v.Platform):
		return nil, wrong("platform", "want 1–20 of a–z, 0–9 and _, or nothing")
	case v.Locale != "" && !placement.ValidLocale(v.Locale):
		return nil, wrong("locale", "want a locale such as sv or pt-BR, or nothing")
	}
	p, err := s.arrangement(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := s.publishable(p); err != nil {
		return nil, err
	}
	return s.checker.Preview(ctx, v, p)
}

func (s *server) arrangement(ctx context.Context, r *cmspb.PreviewHomeRequest) (placement.Placements, error) {
	switch {
	case r.GetDocument() != nil:
		return placements(r.GetDocument()), nil
	case r.GetName() != "":
		return s.named(ctx, "name", r.GetName())
	}
	return s.named(ctx, "name", "versions/published")
}
