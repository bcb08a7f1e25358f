package server

import (
	"context"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/types/known/emptypb"

	"homefeed/api/apierror"
	"homefeed/api/cms"
	"homefeed/api/cms/check"
	"homefeed/api/cms/cmspb"
	"homefeed/api/placement"
)

// ListDrafts has the one that was changed last first.
func (s *server) ListDrafts(ctx context.Context, r *cmspb.ListDraftsRequest) (*cmspb.ListDraftsResponse, error) {
	size, before, err := page(r.GetPageSize(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	state, err := s.desk.State(ctx)
	if err != nil {
		return nil, err
	}
	answer := &cmspb.ListDraftsResponse{}
	var last int64
	for _, d := range state.ByUpdate() {
		if before > 0 && d.Seq >= before {
			continue
		}
		if len(answer.Drafts) == size {
			answer.NextPageToken = nextPage(last)
			break
		}
		answer.Drafts, last = append(answer.Drafts, draft(d, false)), d.Seq
	}
	return answer, nil
}

// GetDraft is one with its document.
func (s *server) GetDraft(ctx context.Context, r *cmspb.GetDraftRequest) (*cmspb.Draft, error) {
	id, err := draftID("name", r.GetName())
	if err != nil {
		return nil, err
	}
	d, err := s.desk.Draft(ctx, id)
	return draft(d, true), err
}

// CreateDraft takes the caller's document or that of the published version.
func (s *server) CreateDraft(ctx context.Context, r *cmspb.CreateDraftRequest) (*cmspb.Draft, error) {
	state, err := s.desk.State(ctx)
	if err != nil {
		return nil, err
	}
	p := state.Published.Placements
	if given := r.GetDraft().GetDocument(); given != nil {
		p = placements(given)
	}
	d, err := s.desk.CreateDraft(ctx, caller(ctx).Name, r.GetDraft().GetTitle(), state.Published.Number, p)
	return draft(d, true), err
}

// UpdateDraft changes what the mask names.
func (s *server) UpdateDraft(ctx context.Context, r *cmspb.UpdateDraftRequest) (*cmspb.Draft, error) {
	id, err := draftID("draft.name", r.GetDraft().GetName())
	if err != nil {
		return nil, err
	}
	paths := r.GetUpdateMask().GetPaths()
	if len(paths) == 0 || len(paths) == 1 && paths[0] == "*" {
		paths = nil
		if r.GetDraft().GetTitle() != "" {
			paths = append(paths, "title")
		}
		if r.GetDraft().GetDocument() != nil {
			paths = append(paths, "document")
		}
	}
	var title *string
	var p *placement.Placements
	for _, path := range paths {
		switch path {
		case "title":
			title = &r.GetDraft().Title
		case "document":
			given := placements(r.GetDraft().GetDocument())
			p = &given
		default:
			return nil, wrong("update_mask", `want "title", "document" or both; the rest is the server's`)
		}
	}
	d, err := s.desk.UpdateDraft(ctx, caller(ctx).Name, id, r.GetDraft().GetEtag(), title, p)
	return draft(d, true), err
}

// DeleteDraft ends one.
func (s *server) DeleteDraft(ctx context.Context, r *cmspb.DeleteDraftRequest) (*emptypb.Empty, error) {
	id, err := draftID("name", r.GetName())
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, s.desk.DeleteDraft(ctx, caller(ctx).Name, id, r.GetEtag())
}

// CheckDraft is all that an editor should see before publishing.
func (s *server) CheckDraft(ctx context.Context, r *cmspb.CheckDraftRequest) (*cmspb.CheckDraftResponse, error) {
	id, err := draftID("name", r.GetName())
	if err != nil {
		return nil, err
	}
	state, err := s.desk.State(ctx)
	if err != nil {
		return nil, err
	}
	d, err := state.Draft(id)
	if err != nil {
		return nil, err
	}
	differs, err := cms.Changes(state.Published.Placements, d.Placements)
	if err != nil {
		return nil, err
	}
	found, err := s.check(ctx, d)
	if err != nil {
		return nil, err
	}
	return &cmspb.CheckDraftResponse{
		Findings: findings(found), Changes: changes(differs), Etag: d.Etag(), PublishedVersion: state.Published.Number,
	}, nil
}

func (s *server) check(ctx context.Context, d cms.Draft) ([]check.Finding, error) {
	select {
	case s.checks <- struct{}{}:
		defer func() { <-s.checks }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.checker.Check(ctx, d.Placements, s.now()), nil
}

// PublishDraft looks for errors itself, whatever the caller has seen: of the draft with the caller's etag, which is
// the one that is published or none.
func (s *server) PublishDraft(ctx context.Context, r *cmspb.PublishDraftRequest) (*cmspb.Version, error) {
	id, err := draftID("name", r.GetName())
	if err != nil {
		return nil, err
	}
	d, err := s.desk.Draft(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := s.publishable(d.Placements); err != nil {
		return nil, err
	}
	// If the draft was changed since, its etag isn't d's, and if the caller's is neither, the caller is told.
	if r.GetEtag() != "" && r.GetEtag() != d.Etag() {
		return nil, d.Mismatch()
	}
	v, err := s.desk.Publish(ctx, caller(ctx).Name, id, r.GetEtag(), r.GetExpectedVersion())
	return version(v, true), err
}

// publishable refuses a document with errors, naming their fields.
func (s *server) publishable(p placement.Placements) error {
	e := &apierror.Error{Code: code.Code_FAILED_PRECONDITION, Reason: "DOCUMENT_INVALID"}
	var texts []string
	for _, f := range s.checker.Errors(p) {
		e.Fields = append(e.Fields, apierror.Field{Field: f.Field, Want: f.Message})
		texts = append(texts, f.Field+": "+f.Message)
	}
	if len(texts) == 0 {
		return nil
	}
	e.Message = "this can't be published: " + strings.Join(texts, "; ")
	return e
}
