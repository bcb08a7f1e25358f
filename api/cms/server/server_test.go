package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"homefeed/api/cms/cmspb"
	"homefeed/api/cms/server"
	"homefeed/api/identity"
)

// TestAccess is who may call what: a row a method, with the least role that it needs.
func TestAccess(t *testing.T) {
	table := map[string]identity.Role{
		"GetCaller": identity.Viewer, "ListShelves": identity.Viewer, "SampleListeners": identity.Viewer,
		"ListDrafts": identity.Viewer, "GetDraft": identity.Viewer, "CheckDraft": identity.Viewer,
		"CreateDraft": identity.Editor, "UpdateDraft": identity.Editor, "DeleteDraft": identity.Editor,
		"PublishDraft": identity.Publisher, "RollBack": identity.Publisher,
		"ListVersions": identity.Viewer, "GetVersion": identity.Viewer, "Compare": identity.Viewer,
		"ListAuditEntries": identity.Viewer, "PreviewHome": identity.Viewer,
	}
	url := serve(t)
	methods := cmspb.File_api_cms_cmspb_cms_proto.Services().ByName("Cms").Methods()
	if methods.Len() != len(table) {
		t.Errorf("there are %d methods and %d rows in the table", methods.Len(), len(table))
	}
	ladder := []identity.Role{identity.Viewer, identity.Editor, identity.Publisher, identity.Admin}
	for i := range methods.Len() {
		name := string(methods.Get(i).Name())
		least, ok := table[name]
		if !ok {
			t.Errorf("%s has no row in the table", name)
		}
		want := map[string]string{
			"": "unauthenticated TOKEN_MISSING", "bad:x": "unauthenticated TOKEN_INVALID", "expired:x": "unauthenticated TOKEN_EXPIRED",
			"away:x": "unavailable IDENTITY_UNAVAILABLE", "listener:ann": "permission_denied ROLE_NEEDED",
			"importer:x": "permission_denied ROLE_NEEDED", "other:x": "permission_denied ROLE_NEEDED", "admin:": "permission_denied NAME_NEEDED",
		}
		for rank, role := range ladder {
			want[string(role)+":x"] = "let in"
			if rank < slices.Index(ladder, least) {
				want[string(role)+":x"] = "permission_denied ROLE_NEEDED"
			}
		}
		for token, want := range want {
			status, body := post(t, url, name, token, "{}")
			got := reasonOf(t, status, body)
			if want == "let in" && (strings.HasPrefix(got, "unauthenticated") || strings.HasPrefix(got, "permission_denied")) || want != "let in" && got != want {
				t.Errorf("%s as %q: %s, want %s", name, token, got, want)
			}
			if strings.Contains(body, "secret") {
				t.Errorf("%s as %q tells a cause: %s", name, token, body)
			}
		}
	}
}

// TestWay drafts, checks, previews, publishes and rolls back over each protocol.
func TestWay(t *testing.T) {
	for name, option := range map[string][]connect.ClientOption{"JSON": nil, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()}} {
		t.Run(name, func(t *testing.T) {
			ctx, url := t.Context(), serve(t)
			ann, bob := client(t, url, "editor:ann", option...), client(t, url, "publisher:bob", option...)
			d, err := ann.CreateDraft(ctx, &cmspb.CreateDraftRequest{Draft: &cmspb.Draft{Title: "Spring", Name: "drafts/mine", Etag: "9"}})
			if err != nil || d.Creator != "ann" || len(d.Document.Shelves) != 1 || d.Name == "drafts/mine" {
				t.Fatalf("%v, %v", d, err)
			}
			d.Document.Shelves = append(d.Document.Shelves, &cmspb.Placement{Shelf: "trending", MinCards: 999})
			d, err = ann.UpdateDraft(ctx, &cmspb.UpdateDraftRequest{Draft: d})
			if err != nil {
				t.Fatal(err)
			}
			c, err := ann.CheckDraft(ctx, &cmspb.CheckDraftRequest{Name: d.Name})
			if err != nil || c.Etag != d.Etag || c.PublishedVersion != 0 || len(c.Changes) != 1 || c.Changes[0].Path != "shelves[trending]" ||
				c.Findings[0].Severity != cmspb.Finding_ERROR || c.Findings[0].Field != "shelves[1].minCards" {
				t.Fatalf("%v, %v", c, err)
			}
			publish := &cmspb.PublishDraftRequest{Name: d.Name, Etag: d.Etag}
			if _, err := bob.PublishDraft(ctx, publish); failure(err) != "failed_precondition DOCUMENT_INVALID shelves[1].minCards" {
				t.Errorf("publishing an error: %s", failure(err))
			}
			d.Document.Shelves[1].MinCards = 0
			newer, err := bob.UpdateDraft(ctx, &cmspb.UpdateDraftRequest{Draft: d, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"document"}}})
			if err != nil {
				t.Fatal(err)
			}
			d.Title = "Mine"
			if _, err := ann.UpdateDraft(ctx, &cmspb.UpdateDraftRequest{Draft: d}); failure(err) != "aborted ETAG_MISMATCH" {
				t.Errorf("an older etag: %s", failure(err))
			}
			home, err := ann.PreviewHome(ctx, &cmspb.PreviewHomeRequest{Listener: "u1", Market: "SE", Platform: "ios", Locale: "sv", Arrangement: &cmspb.PreviewHomeRequest_Name{Name: d.Name}})
			if err != nil || len(home.Shelves) != 2 || home.Shelves[1].Title != "u1 SE ios sv 2026-03-01" {
				t.Errorf("the preview: %v, %v", home, err)
			}
			if _, err := bob.PublishDraft(ctx, publish); failure(err) != "aborted ETAG_MISMATCH" {
				t.Errorf("publishing what was not seen: %s", failure(err))
			}
			publish.Etag = newer.Etag
			v, err := bob.PublishDraft(ctx, publish)
			if err != nil || v.Name != "versions/1" || v.Publisher != "bob" {
				t.Fatalf("%v, %v", v, err)
			}
			if _, err := bob.RollBack(ctx, &cmspb.RollBackRequest{Name: "versions/0"}); failure(err) != "aborted VERSION_MOVED" {
				t.Errorf("rolling back what was not seen: %s", failure(err))
			}
			back, err := bob.RollBack(ctx, &cmspb.RollBackRequest{Name: "versions/0", ExpectedVersion: 1})
			if err != nil || back.RollbackOf != "versions/0" || back.Number != 2 {
				t.Fatalf("%v, %v", back, err)
			}
			published, err := ann.GetVersion(ctx, &cmspb.GetVersionRequest{Name: "versions/published"})
			if diff := cmp.Diff(back, published, protocmp.Transform()); diff != "" || err != nil {
				t.Errorf("published: %v (-want +got):\n%s", err, diff)
			}
			compared, err := ann.Compare(ctx, &cmspb.CompareRequest{From: "versions/1", To: "versions/published"})
			if err != nil || len(compared.Changes) != 1 || compared.Changes[0].To != "" {
				t.Errorf("compared: %v, %v", compared, err)
			}
		})
	}
}

// TestWrongRequests holds that each mistake is refused with its field's name.
func TestWrongRequests(t *testing.T) {
	ctx, c := t.Context(), client(t, serve(t), "publisher:bob")
	d, err := c.CreateDraft(ctx, &cmspb.CreateDraftRequest{Draft: &cmspb.Draft{Title: "Spring"}})
	if err != nil {
		t.Fatal(err)
	}
	preview := func(r *cmspb.PreviewHomeRequest) error { _, err := c.PreviewHome(ctx, r); return err }
	update := func(d *cmspb.Draft, paths ...string) error {
		_, err := c.UpdateDraft(ctx, &cmspb.UpdateDraftRequest{Draft: d, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
		return err
	}
	get := func(name string) error { _, err := c.GetDraft(ctx, &cmspb.GetDraftRequest{Name: name}); return err }
	version := func(name string) error { _, err := c.GetVersion(ctx, &cmspb.GetVersionRequest{Name: name}); return err }
	list := func(size int32, token string) error {
		_, err := c.ListDrafts(ctx, &cmspb.ListDraftsRequest{PageSize: size, PageToken: token})
		return err
	}
	for want, err := range map[string]error{
		"invalid_argument FIELD_INVALID name":        get("versions/1"),
		"not_found DRAFT_UNKNOWN":                    get("drafts/none"),
		"invalid_argument FIELD_INVALID draft.name":  update(&cmspb.Draft{Name: "draft-1"}),
		"invalid_argument FIELD_INVALID update_mask": update(d, "creator"),
		"invalid_argument DRAFT_INVALID title":       update(&cmspb.Draft{Name: d.Name, Etag: d.Etag}, "title"),
		"invalid_argument ETAG_MISSING etag":         update(&cmspb.Draft{Name: d.Name, Title: "Other"}),
		"not_found VERSION_UNKNOWN":                  version("versions/9"),
		"invalid_argument FIELD_INVALID page_size":   list(-1, ""),
		"invalid_argument FIELD_INVALID page_token":  list(1, "nonsense"),
		"invalid_argument FIELD_INVALID listener":    preview(&cmspb.PreviewHomeRequest{Listener: "a b"}),
		"invalid_argument FIELD_INVALID market":      preview(&cmspb.PreviewHomeRequest{Listener: "u1", Market: "sweden"}),
		"invalid_argument FIELD_INVALID platform":    preview(&cmspb.PreviewHomeRequest{Listener: "u1", Platform: "i OS"}),
		"invalid_argument FIELD_INVALID locale":      preview(&cmspb.PreviewHomeRequest{Listener: "u1", Locale: "Swedish"}),
		"failed_precondition DOCUMENT_INVALID shelves[0].shelf": preview(&cmspb.PreviewHomeRequest{Listener: "u1",
			Arrangement: &cmspb.PreviewHomeRequest_Document{Document: &cmspb.Document{Shelves: []*cmspb.Placement{{Shelf: "old"}}}}}),
	} {
		if got := failure(err); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if err := version("versions/one"); failure(err) != "invalid_argument FIELD_INVALID name" {
		t.Errorf("a version that is no number: %s", failure(err))
	}
	if _, err := c.Compare(ctx, &cmspb.CompareRequest{From: "versions/0", To: "else"}); failure(err) != "invalid_argument FIELD_INVALID to" {
		t.Errorf("comparing with nothing: %s", failure(err))
	}
}

// TestPages holds that lists are whole and in order over their pages, and no page is over the limit.
func TestPages(t *testing.T) {
	ctx, c := t.Context(), client(t, serve(t), "publisher:bob")
	for i := range 7 {
		d, err := c.CreateDraft(ctx, &cmspb.CreateDraftRequest{Draft: &cmspb.Draft{Title: fmt.Sprint(i)}})
		if err == nil && i < 5 {
			_, err = c.PublishDraft(ctx, &cmspb.PublishDraftRequest{Name: d.Name, Etag: d.Etag, ExpectedVersion: int64(i)})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	type page = func(token string) (names []string, next string, err error)
	for name, c := range map[string]struct {
		page page
		want string
	}{
		"drafts": {func(token string) (names []string, next string, err error) {
			r, err := c.ListDrafts(ctx, &cmspb.ListDraftsRequest{PageSize: 1, PageToken: token})
			for _, d := range r.GetDrafts() {
				names = append(names, d.Title)
			}
			return names, r.GetNextPageToken(), err
		}, "6 5"},
		"versions": {func(token string) (names []string, next string, err error) {
			r, err := c.ListVersions(ctx, &cmspb.ListVersionsRequest{PageSize: 2, PageToken: token})
			for _, v := range r.GetVersions() {
				names = append(names, v.Name)
			}
			return names, r.GetNextPageToken(), err
		}, "versions/5 versions/4 versions/3 versions/2 versions/1"},
		"audit entries": {func(token string) (names []string, next string, err error) {
			r, err := c.ListAuditEntries(ctx, &cmspb.ListAuditEntriesRequest{PageSize: 5, PageToken: token})
			for _, e := range r.GetAuditEntries() {
				names = append(names, e.Action.String())
			}
			return names, r.GetNextPageToken(), err
		}, "DRAFT_CREATED DRAFT_CREATED" + strings.Repeat(" PUBLISHED DRAFT_CREATED", 5)},
	} {
		var all []string
		token := ""
		for {
			names, next, err := c.page(token)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, names...)
			if token = next; token == "" {
				break
			}
		}
		if got := strings.Join(all, " "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestHTTP covers what is refused before a method is called, and JSON as a page sends it.
func TestHTTP(t *testing.T) {
	url := serve(t)
	for name, c := range map[string]struct {
		method, body string
		headers      []string
		status       int
		want         string
	}{
		"as a page sends it":    {"GetCaller", "{}", nil, 200, ""},
		"from the same site":    {"GetCaller", "{}", []string{"Sec-Fetch-Site", "same-origin"}, 200, ""},
		"from another site":     {"GetCaller", "{}", []string{"Sec-Fetch-Site", "cross-site"}, 403, "permission_denied CROSS_ORIGIN"},
		"another origin":        {"GetCaller", "{}", []string{"Origin", "https://evil.example"}, 403, "permission_denied CROSS_ORIGIN"},
		"an unknown method":     {"Nothing", "{}", nil, 501, "unimplemented METHOD_UNKNOWN"},
		"a body over the limit": {"CreateDraft", `{"draft":{"title":"` + strings.Repeat("x", 1<<20) + `"}}`, nil, 400, "invalid_argument BODY_TOO_LARGE"},
		"a form":                {"CreateDraft", "title=x", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, ""},
		"not JSON":              {"CreateDraft", "{", nil, 400, "invalid_argument"},
		"an unknown field":      {"GetCaller", `{"role":"admin"}`, nil, 200, ""}, // as AIP-180 asks of servers: it means nothing
	} {
		status, body := post(t, url, c.method, "publisher:bob", c.body, c.headers...)
		if status != c.status {
			t.Errorf("%s: %d %s, want %d", name, status, body, c.status)
		} else if c.status != 415 && reasonOf(t, status, body) != c.want {
			t.Errorf("%s: %s, want %s", name, body, c.want)
		}
	}
	// Chunked, so that its length isn't known, and compressed bodies are limited too.
	r, err := http.NewRequest("POST", url+server.Path+"CreateDraft", io.MultiReader(bytes.NewReader(make([]byte, 2<<20))))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer publisher:bob")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 429 && answer.StatusCode != 400 {
		t.Errorf("a long body in chunks: %d", answer.StatusCode)
	}
}

// TestRate holds that one person can't take what is there for all.
func TestRate(t *testing.T) {
	url := serve(t)
	refused := 0
	for range 250 { // a burst is of 200, and the clock stands still
		if status, body := post(t, url, "GetCaller", "editor:ann", "{}"); status == 429 {
			refused++
			if got := reasonOf(t, status, body); got != "resource_exhausted RATE_EXCEEDED" {
				t.Fatal(got)
			}
		}
	}
	if refused != 50 {
		t.Errorf("%d of 250 calls were refused, want 50", refused)
	}
	if status, body := post(t, url, "GetCaller", "editor:bob", "{}"); status != 200 {
		t.Errorf("another person: %d %s", status, body)
	}
}

// TestGRPC calls with the client of grpc-go, which is another implementation than the server's.
func TestGRPC(t *testing.T) {
	conn, err := grpc.NewClient(strings.TrimPrefix(serve(t), "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer publisher:bob")
	got := new(cmspb.Caller)
	if err := conn.Invoke(ctx, server.Path+"GetCaller", &cmspb.GetCallerRequest{}, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&cmspb.Caller{Name: "bob", Roles: []string{"viewer", "editor", "publisher"}}, got, protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
