package api_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"

	"homefeed/api"
	"homefeed/api/homepb"
	"homefeed/api/rowcache"
	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/store"
)

// sendCards posts events about cards as a listener and returns "field" of each result that is refused, "" else.
func sendCards(t *testing.T, a *api.API, token string, events ...string) (code int, fields []string) {
	t.Helper()
	for i := range events {
		events[i] = fmt.Sprintf(`{"id":"e%d","time":"2026-03-04T05:00:00Z",%s}`, i, events[i])
	}
	w := call(a, "POST", "/v1/events", token, `{"events":[`+strings.Join(events, ",")+`]}`, "Content-Type", "application/json")
	if w.Code != 200 {
		return w.Code, nil
	}
	for _, r := range decodeResults(t, "application/json", w.Body.Bytes()).Results {
		if (r.Field == "") != (r.Error == "") {
			t.Errorf("%v", r)
		}
		fields = append(fields, r.Field)
	}
	return w.Code, fields
}

// cardsOf is the first shelf of Home.
func cardsOf(t *testing.T, a *api.API) []*shelfpb.Card {
	t.Helper()
	home := new(homepb.Home)
	get(t, a, "/v1/home", home)
	return home.Shelves[0].Cards
}

func uris(cards []*shelfpb.Card) string {
	var all []string
	for _, c := range cards {
		all = append(all, c.Uri)
	}
	return strings.Join(all, " ")
}

// TestHide holds that what is hidden is gone from the very next Home, also when rows are cached, and stays away.
func TestHide(t *testing.T) {
	s, clock := &rows{}, now
	tick := func() time.Time { return clock }
	cached, err := rowcache.New(s, rowcache.Options{Now: tick})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cached.Close)
	s.put(t, userKey(t, "ann"), "recently_played", now, nil, "a", "b", "c")
	reg := prometheus.NewPedanticRegistry()
	p := &publisher{}
	a := newAPI(t, api.Config{Rows: cached, Bus: p, Registerer: reg, Now: tick})
	cards := cardsOf(t, a)
	about := func(kind string, c *shelfpb.Card, more string) string {
		return fmt.Sprintf(`%q:{"uri":%q,"context":%q%s}`, kind, c.Uri, c.Context, more)
	}
	code, fields := sendCards(t, a, "listener:ann",
		about("cardSeen", cards[0], ""), about("cardTapped", cards[1], ""), about("cardHidden", cards[0], ""))
	if code != 200 || strings.Join(fields, "") != "" {
		t.Fatalf("%d %q", code, fields)
	}
	if got := uris(cardsOf(t, a)); got != "track:b track:c" {
		t.Errorf("after hiding a: %s", got)
	}
	s.put(t, userKey(t, "ann"), "recently_played", now.Add(1e9), nil, "d", "a", "b")
	clock = clock.Add(time.Hour) // what is cached is old
	if got := uris(cardsOf(t, a)); got != "track:d track:b" {
		t.Errorf("in a newer row: %s", got)
	}
	if code, fields = sendCards(t, a, "listener:ann", about("cardHidden", cards[0], `,"undo":true`)); code != 200 || fields[0] != "" {
		t.Fatalf("%d %q", code, fields)
	}
	if got := uris(cardsOf(t, a)); got != "track:d track:a track:b" {
		t.Errorf("shown again: %s", got)
	}
	var published []string
	for _, m := range p.published[event.FeedbackTopic] {
		e := new(eventpb.UserEvent)
		if err := proto.Unmarshal(m.Data, e); err != nil || e.User != "ann" || m.Key != "ann" || m.ID != e.Id || m.Time.IsZero() {
			t.Errorf("%+v of %v, %v", m, e, err)
		}
		published = append(published, fmt.Sprintf("%T %s %s", e.Action, m.Attributes[event.AttrShelf], m.Attributes[event.AttrPosition]))
	}
	if diff := cmp.Diff([]string{
		"*eventpb.UserEvent_CardSeen recently_played 0", "*eventpb.UserEvent_CardTapped recently_played 1",
		"*eventpb.UserEvent_CardHidden recently_played 0", "*eventpb.UserEvent_CardHidden recently_played 0",
	}, published); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP homefeed_api_card_feedback_total What listeners did to cards, by shelf: seen, tapped or hidden.
# TYPE homefeed_api_card_feedback_total counter
homefeed_api_card_feedback_total{action="hidden",shelf="recently_played"} 2
homefeed_api_card_feedback_total{action="seen",shelf="recently_played"} 1
homefeed_api_card_feedback_total{action="tapped",shelf="recently_played"} 1
`), "homefeed_api_card_feedback_total"); err != nil {
		t.Error(err)
	}
}

// TestFeedbackRefused holds that nobody speaks of cards that were not theirs.
func TestFeedbackRefused(t *testing.T) {
	s := &rows{}
	s.put(t, userKey(t, "ann"), "recently_played", now, nil, "a", "b")
	p := &publisher{}
	a := newAPI(t, api.Config{Rows: s, Bus: p})
	c := cardsOf(t, a)[0]
	own := fmt.Sprintf(`"cardHidden":{"uri":%q,"context":%q}`, c.Uri, c.Context)
	for _, x := range []struct{ name, token, event, field string }{
		{"another listener's card", "listener:bob", own, "cardHidden.context"},
		{"a service", "service:importer", own, "cardHidden"},
		{"in another's name", "listener:ann", `"user":"bob",` + own, "user"},
		{"another card's context", "listener:ann", fmt.Sprintf(`"cardSeen":{"uri":"track:b","context":%q}`, c.Context), "cardSeen.context"},
		{"no context", "listener:ann", `"cardTapped":{"uri":"track:a"}`, "cardTapped.context"},
		{"no uri", "listener:ann", `"cardTapped":{}`, "cardTapped.uri"},
		{"not an artist", "listener:ann", fmt.Sprintf(`"cardHidden":{"uri":%q,"context":%q,"artist":"x"}`, c.Uri, c.Context), "cardHidden.artist"},
	} {
		code, fields := sendCards(t, a, x.token, x.event)
		if code != 200 || fields[0] != x.field {
			t.Errorf("%s: %d %q, want a mistake in %s", x.name, code, fields, x.field)
		}
	}
	if got := uris(cardsOf(t, a)); got != "track:a track:b" {
		t.Errorf("a refused event hid something: %s", got)
	}
	for field, bad := range map[string]string{
		"id":   fmt.Sprintf(`{"id":"a b","time":"2026-03-04T05:00:00Z",%s}`, own),
		"time": fmt.Sprintf(`{"id":"e","time":"2036-03-04T05:00:00Z",%s}`, own),
	} {
		w := call(a, "POST", "/v1/events", "listener:ann", `{"events":[`+bad+`]}`, "Content-Type", "application/json")
		if r := decodeResults(t, "application/json", w.Body.Bytes()).Results[0]; r.Field != field {
			t.Errorf("a bad %s: %v", field, r)
		}
	}
	if n := len(p.published[event.FeedbackTopic]); n > 0 {
		t.Errorf("%d refused events were published", n)
	}
	s.before = func(context.Context, store.Key) error { return errors.New("away") }
	if code, _ := sendCards(t, a, "listener:ann", own); code != 503 {
		t.Errorf("the store away: %d, want 503", code)
	}
}
