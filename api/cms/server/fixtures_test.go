package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"homefeed/api/cms"
	"homefeed/api/cms/check"
	"homefeed/api/cms/cmspb"
	"homefeed/api/cms/locallog"
	"homefeed/api/cms/server"
	"homefeed/api/homepb"
	"homefeed/api/identity"
	"homefeed/api/placement"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
)

// tokens knows "role:name", and tokens that are bad in several ways.
type tokens struct{}

func (tokens) Verify(_ context.Context, r *http.Request) (identity.Identity, error) {
	token, err := identity.Bearer(r)
	if err != nil {
		return identity.Identity{}, err
	}
	role, name, _ := strings.Cut(token, ":")
	switch role {
	case "bad":
		return identity.Identity{}, fmt.Errorf("%w: secret", identity.ErrInvalid)
	case "expired":
		return identity.Identity{}, identity.ErrExpired
	case "away":
		return identity.Identity{}, errors.New("no route to secret")
	case "listener":
		return identity.Identity{User: name}, nil
	}
	return identity.Identity{Service: true, Roles: []identity.Role{identity.Role(role)}, Name: name}, nil
}

func shelves() []*shelf.Shelf {
	fill := func(context.Context, *shelf.Request) ([]shelf.Card, error) { return nil, nil }
	return []*shelf.Shelf{
		{Name: "recent", Doc: "What was played.", Title: "Recently played", Fill: fill},
		{Name: "trending", Doc: "What all play.", Scope: shelf.Market, Fill: fill},
	}
}

// preview is a Home that says what it was asked for.
func preview(_ context.Context, v check.View, p placement.Placements) (*homepb.Home, error) {
	h := &homepb.Home{}
	for _, one := range p.Shelves {
		h.Shelves = append(h.Shelves, &shelfpb.Shelf{Name: one.Shelf, Title: strings.Join([]string{v.User, v.Market, v.Platform, v.Locale, v.At.Format(time.DateOnly)}, " ")})
	}
	return h, nil
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// serve starts a CMS that only knows recent as Home, over HTTP/1 and HTTP/2 without TLS.
func serve(t *testing.T) string {
	t.Helper()
	log, err := locallog.Open("cms", locallog.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	now := func() time.Time { return noon }
	desk, err := cms.NewDesk(cms.Config{Log: log, Start: placement.Placements{Shelves: []placement.Placement{{Shelf: "recent"}}}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	h, err := server.New(server.Config{
		Desk: desk, Verifier: tokens{}, Now: now,
		Checker: check.Checker{
			Shelves: shelves(), Preview: preview,
			Sample: func(context.Context, int) ([]string, error) { return []string{"u1", "u2"}, nil },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = server.Protocols()
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// client calls as the token; over JSON unless options say otherwise.
func client(t *testing.T, url, token string, options ...connect.ClientOption) cmspb.CmsClient {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	if len(options) == 0 {
		options = []connect.ClientOption{connect.WithProtoJSON()}
		transport.Protocols.SetHTTP1(true)
	} else {
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	t.Cleanup(transport.CloseIdleConnections)
	as := connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			r.Header().Set("Authorization", "Bearer "+token)
			return next(ctx, r)
		}
	})
	return cmspb.NewCmsClient(&http.Client{Transport: transport}, url, append(options, connect.WithInterceptors(as))...)
}

// failure is an error's code and reason, and the fields it names.
func failure(err error) string {
	if err == nil {
		return ""
	}
	var e *connect.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	parts := []string{e.Code().String()}
	for _, d := range e.Details() {
		switch m, _ := d.Value(); m := m.(type) {
		case *errdetails.ErrorInfo:
			if m.Domain == "homefeed" {
				parts = append(parts, m.Reason)
			}
		case *errdetails.BadRequest:
			for _, v := range m.FieldViolations {
				parts = append(parts, v.Field)
			}
		}
	}
	return strings.Join(parts, " ")
}

func post(t *testing.T, url, method, token, body string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", url+server.Path+method, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode == 401 && answer.Header.Get("WWW-Authenticate") == "" {
		t.Error("401 without WWW-Authenticate")
	}
	return answer.StatusCode, string(data)
}

// reasonOf is the code and the reason of connect's JSON.
func reasonOf(t *testing.T, status int, body string) string {
	t.Helper()
	if status == 200 {
		return ""
	}
	var e struct {
		Code    string
		Details []struct{ Debug struct{ Reason string } }
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("%d with %s", status, body)
	}
	if len(e.Details) == 0 {
		return e.Code
	}
	return e.Code + " " + e.Details[0].Debug.Reason
}
