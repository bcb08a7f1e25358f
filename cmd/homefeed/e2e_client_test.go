package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"google.golang.org/protobuf/encoding/protojson"

	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
	"homefeed/services/songsplayed/songsplayedpb"
)

// audience is whom the tokens are for.
const audience = "homefeed"

// issuer is an OpenID Connect issuer on this machine.
type issuer struct {
	url    string
	signer jose.Signer
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private := jose.JSONWebKey{Key: key, KeyID: "1", Algorithm: string(jose.ES256), Use: "sig"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, nil)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for path, document := range map[string]any{
		"/.well-known/openid-configuration": map[string]any{
			"issuer": server.URL, "jwks_uri": server.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"},
		},
		"/keys": jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}},
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(document); err != nil {
				t.Error(err)
			}
		})
	}
	return &issuer{server.URL, signer}
}

// token is a listener's.
func (i *issuer) token(user string) (string, error) {
	return jwt.Signed(i.signer).Claims(map[string]any{
		"iss": i.url, "aud": audience, "sub": user,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}).Serialize()
}

// ask sends a request with a listener's token, and reads the answer.
func (p *production) ask(ctx context.Context, method, path, user string, body []byte) (int, []byte, error) {
	token, err := p.issuer.token(user)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.addr["api"]+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// byListener keeps the order of each listener's events.
func byListener(events []event.Event) map[string][]event.Event {
	theirs := map[string][]event.Event{}
	for _, e := range events {
		theirs[e.User] = append(theirs[e.User], e)
	}
	return theirs
}

// post has each listener send what is theirs, as phones do: without a name, and again until it is accepted.
func (p *production) post(t *testing.T, events []event.Event) {
	t.Helper()
	for user, theirs := range p.events {
		p.before[user] = slices.Clone(theirs)
	}
	for user, theirs := range byListener(events) {
		for batch := range slices.Chunk(theirs, 500) {
			request := &eventpb.WriteEventsRequest{}
			for _, e := range batch {
				e.User = ""
				request.Events = append(request.Events, event.ToProto(e))
			}
			body, err := protojson.Marshal(request)
			if err != nil {
				t.Fatal(err)
			}
			await(t, "events are accepted", func(ctx context.Context) error { return p.postBatch(ctx, user, body, len(batch)) })
		}
		p.events[user] = append(p.events[user], theirs...)
	}
}

func (p *production) postBatch(ctx context.Context, user string, body []byte, n int) error {
	code, answer, err := p.ask(ctx, http.MethodPost, "/v1/events", user, body)
	if err != nil || code != http.StatusOK {
		return fmt.Errorf("POST /v1/events: %d %s %w", code, answer, err)
	}
	var results eventpb.WriteEventsResponse
	if err := protojson.Unmarshal(answer, &results); err != nil {
		return fmt.Errorf("POST /v1/events: %w", err)
	}
	for _, r := range results.GetResults() {
		if r.GetError() != "" {
			return fmt.Errorf("event %s is refused: %s: %s", r.GetId(), r.GetField(), r.GetError())
		}
	}
	if len(results.GetResults()) != n {
		return fmt.Errorf("%d results for %d events", len(results.GetResults()), n)
	}
	return nil
}

// home is Home as an app sees it.
type home struct {
	Shelves []homeShelf
}

type homeShelf struct {
	Name, Status string
	Cards        []struct{ URI string }
}

// shelf is the one with the name, the zero shelf if Home lacks it.
func (h home) shelf(name string) homeShelf {
	for _, s := range h.Shelves {
		if s.Name == name {
			return s
		}
	}
	return homeShelf{}
}

func (s homeShelf) uris() []string {
	var all []string
	for _, c := range s.Cards {
		all = append(all, c.URI)
	}
	return all
}

func (p *production) home(ctx context.Context, user string) (home, error) {
	var h home
	code, answer, err := p.ask(ctx, http.MethodGet, "/v1/home", user, nil)
	if err != nil || code != http.StatusOK {
		return h, fmt.Errorf("GET /v1/home: %d %s %w", code, answer, err)
	}
	if err := json.Unmarshal(answer, &h); err != nil {
		return h, fmt.Errorf("GET /v1/home: %w", err)
	}
	return h, nil
}

// recorded is everything that the songs-played service knows of a listener, the newest first.
func (p *production) recorded(ctx context.Context, user string) (map[event.Kind][]deed, error) {
	const all = 10_000
	plays, err := p.songsPlayed.ListPlays(ctx, &songsplayedpb.ListPlaysRequest{User: user, PageSize: all})
	if err != nil {
		return nil, fmt.Errorf("listing plays: %w", err)
	}
	hearts, err := p.songsPlayed.ListHearts(ctx, &songsplayedpb.ListHeartsRequest{User: user, PageSize: all})
	if err != nil {
		return nil, fmt.Errorf("listing hearts: %w", err)
	}
	follows, err := p.songsPlayed.ListFollows(ctx, &songsplayedpb.ListFollowsRequest{User: user, PageSize: all})
	if err != nil {
		return nil, fmt.Errorf("listing follows: %w", err)
	}
	known := map[event.Kind][]deed{}
	for _, one := range plays.GetPlays() {
		known[event.Played] = append(known[event.Played], deed{one.GetTrack(), one.GetTimeMs()})
	}
	for _, one := range hearts.GetHearts() {
		known[event.Hearted] = append(known[event.Hearted], deed{one.GetTrack(), one.GetTimeMs()})
	}
	for _, one := range follows.GetFollows() {
		known[event.Followed] = append(known[event.Followed], deed{one.GetArtist(), one.GetTimeMs()})
	}
	for _, ds := range known {
		slices.SortFunc(ds, newestFirst)
	}
	return known, nil
}

// checkRefused holds that only good tokens open the API, and that those of development are none.
func (p *production) checkRefused(t *testing.T) {
	t.Helper()
	other := newIssuer(t)
	other.url = p.issuer.url // says so, and can't sign so
	forged, err := other.token("ann")
	if err != nil {
		t.Fatal(err)
	}
	for what, authorization := range map[string]string{
		"no token": "", "a dev token": "Bearer dev-user:ann", "a dev service": "Bearer dev-service:admin", "a forged token": "Bearer " + forged,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.addr["api"]+"/v1/home", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", authorization)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s, want 401", what, resp.Status)
		}
	}
}

// awaitMetric waits until a process' metric is above 0.
func (p *production) awaitMetric(t *testing.T, name, metric string) {
	t.Helper()
	await(t, metric+" is above 0", func(context.Context) error {
		page := answer(t, "http://"+p.admin[name]+"/metrics", http.StatusOK)
		_, rest, found := strings.Cut(page, "\n"+metric+" ")
		value, _, _ := strings.Cut(rest, "\n")
		if !found || value == "0" {
			return fmt.Errorf("it is %q", value)
		}
		return nil
	})
}

// checkMetrics holds that each process measures its hop, under names that dashboards and alerts may rely on.
func (p *production) checkMetrics(t *testing.T) {
	t.Helper()
	for name, metrics := range map[string][]string{
		"api":         {"homefeed_api_requests_total", "homefeed_api_events_accepted_total", "homefeed_bus_published_total", "homefeed_store_call_seconds"},
		"refresh":     {`homefeed_refresh_event_to_visible_seconds_bucket{shelf="recently_played"`, "homefeed_bus_delivered_total", "homefeed_store_call_seconds"},
		"songsplayed": {"homefeed_songsplayed_actions_total", "homefeed_rpc_"},
		"word2vec":    {"homefeed_rpc_"},
		"catalog":     {"homefeed_rpc_"},
		"pipeline":    {"homefeed_pipeline_beam_", "homefeed_pipeline_job_restarts_total"},
	} {
		page := answer(t, "http://"+p.admin[name]+"/metrics", http.StatusOK)
		for _, metric := range metrics {
			if !strings.Contains(page, "\n"+metric) {
				t.Errorf("%s has no metric %s", name, metric)
			}
		}
		for user := range p.events {
			if strings.Contains(page, `"`+user+`"`) {
				t.Errorf("the metrics of %s name the listener %s", name, user)
			}
		}
	}
}
