package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homefeed/cmd/dev/madeup"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/bus/local"
	"homefeed/pipeline/event"
	"homefeed/pipeline/pipelinetest"
	"homefeed/pipeline/trigger"
	"homefeed/services/songsplayed/localtable"
	"homefeed/shelves"
	"homefeed/shelves/shelf"
)

// Continuous integration kills a few times; testdata/figures.md has the result of -kills 50.
var (
	kills       = flag.Int("kills", 2, "how often each of the kill tests kills cmd/dev")
	killSeed    = flag.Uint64("kill-seed", 1, "seed of the moments at which it is killed")
	beamProgram = flag.String("beam-program", "", "the `program` of cmd/pipeline, for the kill test of the Beam graph")
)

// TestKill kills cmd/dev with kill -9 at random moments while listeners play, and then looks at every single event:
// it is recorded, a trigger covers it for every shelf that it concerns, and Home is right.
func TestKill(t *testing.T) {
	t.Run("500 a second", func(t *testing.T) { testKill(t, 500) })
	t.Run("overload", func(t *testing.T) { testKill(t, 0) })
}

// TestKillBeam is TestKill for the Beam graph on Prism: the program that is killed is cmd/pipeline.
func TestKillBeam(t *testing.T) {
	if *beamProgram == "" {
		t.Skip("no -beam-program: build it with go build -o bin/pipeline ./cmd/pipeline")
	}
	program, err := filepath.Abs(*beamProgram)
	if err != nil {
		t.Fatal(err)
	}
	testKill(t, 500, "-driver", "beam", "-pipeline", program)
}

func testKill(t *testing.T, perSecond int, flags ...string) {
	dev := newInstance(t, append([]string{"-seed", "1"}, flags...)...)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	players := newPlayers(*killSeed)
	playing, stopPlaying := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var sendErr error
	wg.Go(func() { sendErr = players.play(ctx, playing, dev, perSecond) })

	random := rand.New(rand.NewPCG(*killSeed, 2))
	for n := range *kills {
		moment := time.NewTimer(time.Duration(200+random.IntN(3000)) * time.Millisecond)
		<-moment.C
		dev.proc.Kill()
		dev.start()
		t.Logf("kill %d of %d: %d events sent so far", n+1, *kills, players.count())
	}
	stopPlaying()
	wg.Wait()
	if sendErr != nil {
		t.Fatal(sendErr)
	}
	t.Logf("%d events of %d listeners", len(players.sent), len(players.users))
	checkHomes(t, ctx, dev, players)
	checkServed(t, dev, players)
	checkRecorded(t, dev.data, players)
}

// players make events up as time goes by, in order of time, and remember what was accepted.
type players struct {
	random *rand.Rand
	tracks []string
	users  []string
	mu     sync.Mutex
	sent   []event.Event
	last   map[string]int64 // ms, by user: none has two events at one time
	clock  func() time.Time
}

func newPlayers(seed uint64) *players {
	p := &players{clock: time.Now, last: map[string]int64{}, random: rand.New(rand.NewPCG(seed, 1)), users: madeup.New(1, madeup.Sizes{}).Listeners()[:50]}
	for e := range madeup.New(1, madeup.Sizes{}).History(time.Unix(1e9, 0), time.Unix(1e9+86400, 0)) {
		if e.Kind == event.Played && !slices.Contains(p.tracks, e.Object) && len(p.tracks) < 500 {
			p.tracks = append(p.tracks, e.Object)
		}
	}
	return p
}

func (p *players) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sent)
}

// play sends batches until playing ends: perSecond events a second, or as many as are taken when that is 0.
func (p *players) play(ctx, playing context.Context, dev *instance, perSecond int) error {
	size, pause := 500, time.Millisecond
	if perSecond > 0 {
		size, pause = perSecond/20, time.Second/20
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-playing.Done():
			return nil
		case <-tick.C:
		}
		batch := make([]event.Event, size)
		for i := range batch {
			batch[i] = p.next()
		}
		if err := dev.send(ctx, batch); err != nil {
			return err
		}
		p.mu.Lock()
		p.sent = append(p.sent, batch...)
		p.mu.Unlock()
	}
}

func (p *players) next() event.Event {
	user := p.users[p.random.IntN(len(p.users))]
	// Times keep to the clock however many events there are: those ahead of it are refreshed when it gets there.
	at := max(p.last[user]+1, p.clock().UnixMilli())
	p.last[user] = at
	e := event.Event{
		ID: fmt.Sprintf("%s-%d", user, at), Kind: event.Played, Market: "SE",
		User: user, Object: p.tracks[p.random.IntN(len(p.tracks))], Time: time.UnixMilli(at).UTC(),
	}
	switch p.random.IntN(20) {
	case 0:
		e.Kind = event.Hearted
	case 1:
		e.Kind, e.Object = event.Followed, "an-artist-"+e.Object
	}
	return e
}

// recent is what Home must show as recently played, newest first, and when the last play was.
func (p *players) recent(user string) (tracks []string, last time.Time) {
	for _, e := range slices.Backward(p.sent) {
		if e.User == user && e.Kind == event.Played && !slices.Contains(tracks, e.Object) && len(tracks) < 30 {
			tracks = append(tracks, e.Object)
		}
		if e.User == user && e.Kind == event.Played && e.Time.After(last) {
			last = e.Time
		}
	}
	return tracks, last
}

// checkHomes waits until every listener's Home shows the newest tracks, the shelves that may lag are as of the
// listener's last play, and no shelf may lag any more.
func checkHomes(t *testing.T, ctx context.Context, dev *instance, p *players) {
	t.Helper()
	for _, user := range p.users {
		want, last := p.recent(user)
		eventually(t, 5*time.Minute, func() error {
			home, err := dev.home(ctx, user)
			if err != nil {
				return err
			}
			if diff := cmp.Diff(want, uris(home["recently_played"])); diff != "" {
				return fmt.Errorf("recently_played of %s (-events +home):\n%s", user, diff)
			}
			for _, shelf := range []string{"heavy_rotation", "discover"} {
				if got := home[shelf].GetAsOf().AsTime(); !got.Equal(last) {
					return fmt.Errorf("%s of %s is as of %v, want %v", shelf, user, got, last)
				}
			}
			return nil
		})
	}
	// Not every shelf shows cards by which to tell, but each is promised by now: the process runs on until then.
	promised := time.NewTimer(time.Until(p.sent[len(p.sent)-1].Time.Add(20 * time.Second)))
	<-promised.C
}

// checkServed stops dev and looks whether every event is in a trigger for each shelf that listens to its kind, and each trigger
// covers at least as many events as there are from its first to its last: that it skipped none.
func checkServed(t *testing.T, dev *instance, p *players) {
	t.Helper()
	listening := map[event.Kind][]string{}
	for _, s := range shelves.All() {
		if s.Scope == shelf.Listener {
			for _, sig := range s.Signals() {
				listening[event.Kind(sig.Kind)] = append(listening[event.Kind(sig.Kind)], s.Name)
			}
		}
	}
	dev.stop() // what is published can be read while the process is down only
	published := readTriggers(t, dev.data)
	if lost := pipelinetest.Uncovered(p.sent, published, listening); len(lost) > 0 {
		t.Fatalf("%d of %d events are in no trigger, the first %v", len(lost), len(p.sent), lost[0])
	}
	t.Logf("%d triggers cover all events", len(published))
	byUser := map[string][]event.Event{}
	for _, e := range p.sent {
		byUser[e.User] = append(byUser[e.User], e)
	}
	for _, tr := range published {
		for _, d := range tr.Due {
			if n := between(byUser[tr.User], d, listening); d.Count < n {
				t.Errorf("a run of %s has %d events, and there are %d from its first to its last", d.Shelf, d.Count, n)
			}
		}
	}
}

func readTriggers(t *testing.T, data string) []trigger.Trigger {
	t.Helper()
	var all []trigger.Trigger
	for _, e := range readLog(t, data, trigger.Topic) {
		tr, err := trigger.Decode(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tr)
	}
	return all
}

// readLog is everything on a topic of a process that has ended.
func readLog(t *testing.T, data, topic string) []bus.Entry {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b, err := local.Open(ctx, local.Options{Dir: filepath.Join(data, "bus")})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	log, err := b.OpenLogAt(ctx, []string{topic}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var all []bus.Entry
	for {
		n, err := log.Waiting(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return all
		}
		entries, err := log.Read(ctx, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entries...)
	}
}

// between counts the events from d's first to its last that concern its shelf.
func between(events []event.Event, d trigger.Due, listening map[event.Kind][]string) int64 {
	n := int64(0)
	for _, e := range events {
		if !e.Time.Before(d.First.Time) && !e.Time.After(d.Last.Time) && slices.Contains(listening[e.Kind], d.Shelf) {
			n++
		}
	}
	return n
}

// checkRecorded looks for each event in the files of the songs-played service, which has ended.
func checkRecorded(t *testing.T, data string, p *players) {
	t.Helper()
	table, err := localtable.Open(filepath.Join(data, "songsplayed"), localtable.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	recorded := map[string]bool{}
	err = table.Scan(t.Context(), []byte("u#"), []byte("u$"), 1<<30, func(key []byte) bool {
		// u#<hash>#<user>#<kind>#<inverted ms>#<object>
		col := strings.SplitN(string(key), "#", 6)
		recorded[strings.Join(col[2:6], "#")] = true
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	letters := map[event.Kind]string{event.Played: "p", event.Hearted: "h", event.Followed: "f"}
	for _, e := range p.sent {
		key := fmt.Sprintf("%s#%s#%013d#%s", e.User, letters[e.Kind], 9999999999999-e.Time.UnixMilli(), e.Object)
		if !recorded[key] {
			t.Fatalf("event %v is not recorded", e)
		}
	}
	if len(recorded) != len(p.sent) {
		t.Errorf("%d actions are recorded, and %d events were sent", len(recorded), len(p.sent))
	}
}
