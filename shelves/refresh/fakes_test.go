package refresh_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/eventpb"
	"homefeed/pipeline/trigger"
	"homefeed/shelves"
	"homefeed/shelves/refresh"
	"homefeed/shelves/shelf"
	"homefeed/shelves/shelfpb"
	"homefeed/shelves/shelftest"
	"homefeed/shelves/store"
)

// lease is that of fakeBus.
const lease = 30 * time.Second

// elapse lets d of a synctest bubble's time pass, which takes no time outside.
func elapse(d time.Duration) { time.Sleep(d) }

// fakeBus is a bus in memory with leases. The zero value works.
type fakeBus struct {
	uncounted  bool                        // Delivery.Attempt is 0
	onAck      func() error                // what Ack answers, before it does anything
	onDead     func(context.Context) error // what publishing a dead letter answers
	pullErrors int                         // how many pulls fail at first

	mu            sync.Mutex
	messages      []*message
	acked, nacked int
	pulls         []int // what each Pull was allowed
	dead          []*eventpb.DeadLetter
	wake          chan struct{}
}

type message struct {
	bus.Message
	visible  time.Time // not before
	attempts int
	handle   string // of the last delivery
	done     bool
}

func (b *fakeBus) publish(ts ...trigger.Trigger) {
	for _, t := range ts {
		data, err := trigger.Encode(t)
		if err != nil {
			panic(err)
		}
		b.publishRaw(t.ID, data)
	}
}

func (b *fakeBus) publishRaw(id string, data []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = append(b.messages, &message{Message: bus.Message{ID: id, Data: data}})
	b.signal()
}

func (b *fakeBus) signal() {
	if b.wake != nil {
		close(b.wake)
		b.wake = nil
	}
}

func (b *fakeBus) Pull(ctx context.Context, most int) ([]bus.Delivery, error) {
	b.mu.Lock()
	b.pulls = append(b.pulls, most)
	b.pullErrors--
	away := b.pullErrors >= 0
	b.mu.Unlock()
	if away {
		return nil, errAway
	}
	for {
		b.mu.Lock()
		now, next := time.Now(), time.Hour
		var ds []bus.Delivery
		for i, m := range b.messages {
			switch wait := m.visible.Sub(now); {
			case m.done:
			case wait > 0:
				next = min(next, wait)
			case len(ds) < most:
				m.attempts++
				m.visible = now.Add(lease)
				m.handle = fmt.Sprintf("%d.%d", i, m.attempts)
				d := bus.Delivery{Message: m.Message, Topic: trigger.Topic, Attempt: m.attempts, Handle: m.handle}
				if b.uncounted {
					d.Attempt = 0
				}
				ds = append(ds, d)
			}
		}
		if b.wake == nil {
			b.wake = make(chan struct{})
		}
		wake := b.wake
		b.mu.Unlock()
		if len(ds) > 0 {
			return ds, nil
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// each calls f for the messages whose leases the deliveries still hold.
func (b *fakeBus) each(ds []bus.Delivery, f func(*message)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range ds {
		for _, m := range b.messages {
			if m.handle == d.Handle && time.Now().Before(m.visible) {
				f(m)
			}
		}
	}
	b.signal()
}

func (b *fakeBus) Ack(_ context.Context, ds ...bus.Delivery) error {
	if b.onAck != nil {
		if err := b.onAck(); err != nil {
			return err
		}
	}
	b.each(ds, func(m *message) { m.done = true; b.acked++ })
	return nil
}

func (b *fakeBus) Nack(_ context.Context, delay time.Duration, ds ...bus.Delivery) error {
	b.each(ds, func(m *message) { m.visible = time.Now().Add(delay); b.nacked++ })
	return nil
}

func (b *fakeBus) Extend(_ context.Context, ds ...bus.Delivery) error {
	b.each(ds, func(m *message) { m.visible = time.Now().Add(lease) })
	return nil
}

func (b *fakeBus) Waiting(context.Context) (int, bool, error) { return 0, false, nil }

func (b *fakeBus) Close() error { return nil }

// Publish takes dead letters.
func (b *fakeBus) Publish(ctx context.Context, topic string, ms ...bus.Message) error {
	if topic != trigger.DeadLetterTopic {
		return fmt.Errorf("topic %s: want %s", topic, trigger.DeadLetterTopic)
	}
	if b.onDead != nil {
		if err := b.onDead(ctx); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range ms {
		letter := &eventpb.DeadLetter{}
		if err := proto.Unmarshal(m.Data, letter); err != nil {
			return err
		}
		b.dead = append(b.dead, letter)
	}
	return nil
}

// state is how many messages are acked, how many are not, and the dead letters' reasons.
func (b *fakeBus) state() (acked, left int, dead []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.messages {
		if !m.done {
			left++
		}
	}
	for _, l := range b.dead {
		dead = append(dead, l.GetReason())
	}
	return b.acked, left, dead
}

// fakeStore keeps rows in memory.
type fakeStore struct {
	onWrite func(ctx context.Context) error // what Write answers, before it does anything
	onRead  func() error

	mu      sync.Mutex
	rows    map[store.Key]map[string][]store.Cell // newest first
	deleted map[store.Key]time.Time
	writes  [][]store.Cell
}

func (s *fakeStore) Write(ctx context.Context, key store.Key, cells ...store.Cell) error {
	if s.onWrite != nil {
		if err := s.onWrite(ctx); err != nil {
			return err
		}
	}
	if err := store.CheckWrite(key, cells); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows == nil {
		s.rows = map[store.Key]map[string][]store.Cell{}
	}
	if s.rows[key] == nil {
		s.rows[key] = map[string][]store.Cell{}
	}
	for _, c := range cells {
		column := slices.DeleteFunc(s.rows[key][c.Shelf], func(o store.Cell) bool { return o.AsOf.Equal(c.AsOf) })
		column = append(column, c)
		slices.SortFunc(column, func(a, b store.Cell) int { return b.AsOf.Compare(a.AsOf) })
		s.rows[key][c.Shelf] = column[:min(len(column), store.Versions)]
	}
	s.writes = append(s.writes, cells)
	return nil
}

func (s *fakeStore) Read(_ context.Context, key store.Key, versions int) (store.Row, error) {
	if s.onRead != nil {
		if err := s.onRead(); err != nil {
			return store.Row{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	row := store.Row{DeletedAt: s.deleted[key]}
	for _, column := range s.rows[key] {
		for _, c := range column[:min(len(column), versions)] {
			if c.AsOf.After(row.DeletedAt) {
				row.Cells = append(row.Cells, c)
			}
		}
	}
	slices.SortFunc(row.Cells, func(a, b store.Cell) int {
		return cmp.Or(strings.Compare(a.Shelf, b.Shelf), b.AsOf.Compare(a.AsOf))
	})
	return row, nil
}

func (s *fakeStore) writeCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.writes)
}

// fixture is a runner with its surroundings.
type fixture struct {
	world *shelftest.World
	store *fakeStore
	bus   *fakeBus
	reg   *prometheus.Registry
	cfg   refresh.Config
}

func newFixture(more ...*shelf.Shelf) *fixture {
	f := &fixture{
		world: &shelftest.World{Plays: shelftest.Played("mozart.k525", "haydn.h104", "mozart.k525")},
		store: &fakeStore{}, bus: &fakeBus{}, reg: prometheus.NewRegistry(),
	}
	f.cfg = refresh.Config{
		Shelves: append(shelves.All(), more...), Store: f.store,
		Plays:   func(_ string, asOf time.Time) shelf.SongsPlayed { return f.world.SongsPlayed(asOf) },
		Vectors: f.world.Word2Vec(), Catalog: f.world.Catalog(), DeadLetters: f.bus, Registerer: f.reg,
	}
	return f
}

func (f *fixture) runner(t *testing.T) *refresh.Runner {
	t.Helper()
	r, err := refresh.New(f.cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// start runs the runner until the returned function is called, which gives Run's error.
func (f *fixture) start(t *testing.T) (stop func() error) {
	r := f.runner(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, f.bus) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// stopped stops the runner and wants no error.
func stopped(t *testing.T, stop func() error) {
	t.Helper()
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// due asks for shelves of a listener as of ago before Noon.
func due(user string, ago time.Duration, names ...string) trigger.Trigger {
	asOf := shelftest.Noon.Add(-ago)
	t := trigger.Trigger{User: user, Cause: trigger.Streaming, FireTime: asOf.Add(2 * time.Second)}
	for _, name := range names {
		ref := trigger.Ref{ID: "e" + asOf.Format("150405"), Time: asOf}
		t.Due = append(t.Due, trigger.Due{Shelf: name, First: ref, Last: ref, Count: 1})
	}
	return t.WithID()
}

func userKey(t *testing.T, user string) store.Key {
	t.Helper()
	key, err := store.UserKey(user)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// decoded is a cell as a reader sees it.
type decoded struct {
	AsOf    time.Time
	Trigger string
	Title   map[string]string
	URIs    []string
}

func decode(t *testing.T, c store.Cell) decoded {
	t.Helper()
	var m shelfpb.Shelf
	if err := proto.Unmarshal(c.Data, &m); err != nil {
		t.Fatal(err)
	}
	if m.GetName() != "" || m.GetTitle() != "" || m.GetStatus() != 0 || m.GetAgeSeconds() != 0 {
		t.Errorf("cell of %s has fields that belong to the API: %v", c.Shelf, &m)
	}
	if !m.GetAsOf().AsTime().Equal(c.AsOf) {
		t.Errorf("cell of %s: as of %v inside, %v outside", c.Shelf, m.GetAsOf().AsTime(), c.AsOf)
	}
	d := decoded{AsOf: c.AsOf, Trigger: m.GetTrigger(), Title: m.GetTitleArgs()}
	for _, card := range m.GetCards() {
		d.URIs = append(d.URIs, card.GetUri())
	}
	return d
}

// row is the newest generation of a listener's shelves.
func (f *fixture) row(t *testing.T, user string) map[string]decoded {
	t.Helper()
	row, err := f.store.Read(context.Background(), userKey(t, user), 1)
	if err != nil {
		t.Fatal(err)
	}
	byShelf := map[string]decoded{}
	for _, c := range row.Cells {
		byShelf[c.Shelf] = decode(t, c)
	}
	return byShelf
}

// filling is a shelf of its own for tests of failure.
func filling(name string, fill func(context.Context, *shelf.Request) ([]shelf.Card, error)) *shelf.Shelf {
	return &shelf.Shelf{Name: name, Doc: "A shelf for a test.", Fill: fill, Guard: shelf.Guard{Timeout: time.Second}}
}

var oneCard = []shelf.Card{{URI: "track:a", Title: "A"}}

var errAway = errors.New("away")
