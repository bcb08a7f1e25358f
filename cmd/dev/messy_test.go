package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"homefeed/api/homepb"
	"homefeed/cmd/dev/madeup"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/bus/local"
	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
	"homefeed/shelves/shelfpb"
)

// twoDays is what 40 made-up listeners did in two days that ended a while ago, and which of them played something.
func twoDays() (events []event.Event, players []string) {
	world := madeup.New(1, madeup.Sizes{Listeners: 40})
	end := time.Now().UTC().Add(-2 * time.Hour).Truncate(time.Hour)
	for e := range world.History(end.AddDate(0, 0, -2), end) {
		events = append(events, e)
		if e.Kind == event.Played && !slices.Contains(players, e.User) {
			players = append(players, e.User)
		}
	}
	return events, players
}

// TestMessy sends the same events to two instances, to one in order and once each, to the other shuffled within ten
// minutes and one to five times each: everybody's Home comes out the same.
func TestMessy(t *testing.T) {
	tidy, users := twoDays()
	random := rand.New(rand.NewPCG(1, 1))
	type sent struct {
		event.Event
		at time.Time
	}
	var order []sent
	for _, e := range tidy {
		for range 1 + random.IntN(5) {
			order = append(order, sent{e, e.Time.Add(time.Duration(random.Int64N(int64(10 * time.Minute))))})
		}
	}
	slices.SortStableFunc(order, func(a, b sent) int { return a.at.Compare(b.at) })
	messy := make([]event.Event, len(order))
	for i := range order {
		messy[i] = order[i].Event
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	one, other := newInstance(t), newInstance(t)
	for dev, events := range map[*instance][]event.Event{one: tidy, other: messy} {
		for batch := range slices.Chunk(events, 500) {
			if err := dev.send(ctx, batch); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d events, and the same as %d", len(tidy), len(messy))
	for _, user := range users {
		eventually(t, 3*time.Minute, func() error {
			a, err := one.rows(ctx, user)
			if err != nil {
				return err
			}
			b, err := other.rows(ctx, user)
			if err != nil {
				return err
			}
			if len(a.GetShelves()) == 0 || a.GetShelves()[0].GetStatus() == shelfpb.Status_LEFT_OUT {
				return fmt.Errorf("Home of %s is empty", user)
			}
			if diff := cmp.Diff(a, b, protocmp.Transform()); diff != "" {
				return fmt.Errorf("Home of %s (-tidy +messy):\n%s", user, diff)
			}
			return nil
		})
	}
	one.stop()
	other.stop()
}

// rows is Home without what tells of the way there: which trigger made a row depends on how events were grouped.
func (i *instance) rows(ctx context.Context, user string) (*homepb.Home, error) {
	var home homepb.Home
	err := i.call(ctx, "GET", "/v1/home", "dev-user:"+user, nil, &home)
	for _, s := range home.GetShelves() {
		s.Trigger = ""
		for _, c := range s.Cards {
			c.Context = "" // each process has a secret of its own
		}
	}
	return &home, err
}

// TestMalformed puts 1% of nonsense among good events, behind the intake's back: each piece ends in the dead-letter
// topic with a reason, and every good event on Home.
func TestMalformed(t *testing.T) {
	events, users := twoDays()
	dev := newInstance(t)
	dev.stop()
	bad := publishWithNonsense(t, dev.data, events)
	dev.start()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	p := players{sent: events}
	for _, user := range users {
		want, _ := p.recent(user)
		eventually(t, 2*time.Minute, func() error {
			home, err := dev.home(ctx, user)
			if err != nil {
				return err
			}
			if diff := cmp.Diff(want, uris(home["recently_played"])); diff != "" {
				return fmt.Errorf("recently_played of %s (-events +home):\n%s", user, diff)
			}
			return nil
		})
	}
	dev.stop()
	letters := map[string]string{}
	for _, e := range readLog(t, dev.data, event.DeadLetterTopic) {
		var letter eventpb.DeadLetter
		if err := proto.Unmarshal(e.Data, &letter); err != nil {
			t.Fatal(err)
		}
		letters[string(letter.GetPayload())] = letter.GetReason()
	}
	for payload := range bad {
		if letters[payload] == "" {
			t.Errorf("no dead letter with a reason for %q", payload)
		}
	}
	if len(letters) != len(bad) {
		t.Errorf("%d dead letters, want %d", len(letters), len(bad))
	}
	t.Logf("%d good events, %d dead letters", len(events), len(letters))
}

func publishWithNonsense(t *testing.T, data string, events []event.Event) map[string]bool {
	t.Helper()
	b, err := local.Open(t.Context(), local.Options{Dir: filepath.Join(data, "bus")})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	random := rand.New(rand.NewPCG(1, 1))
	bad := map[string]bool{}
	publish := func(topic string, m bus.Message) {
		if err := b.Publish(t.Context(), topic, m); err != nil {
			t.Fatal(err)
		}
	}
	for i, e := range events {
		good, err := event.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		publish(e.Kind.Topic(), bus.Message{ID: e.ID, Key: e.User, Time: e.Time, Data: good})
		if i%100 != 0 {
			continue
		}
		worse := e
		worse.ID = fmt.Sprintf("bad-%d", i)
		switch random.IntN(3) {
		case 0:
			worse.User = "no such/user"
		case 1:
			worse.Time = time.Now().AddDate(1, 0, 0)
		case 2:
			worse.Object = ""
		}
		nonsense, err := event.Encode(worse)
		if err != nil {
			t.Fatal(err)
		}
		if random.IntN(4) == 0 {
			nonsense = fmt.Appendf(nil, "\xff not protobuf %d", i)
		}
		bad[string(nonsense)] = true
		publish(e.Kind.Topic(), bus.Message{ID: worse.ID, Key: e.User, Data: nonsense})
	}
	return bad
}
