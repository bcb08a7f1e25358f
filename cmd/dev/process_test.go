package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"homefeed/api/homepb"
	"homefeed/cmd/dev/demo"
	"homefeed/deploy/child"
	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
	"homefeed/shelves/shelfpb"
)

// asProcess makes this test's binary be cmd/dev, so that it can be killed.
const asProcess = "HOMEFEED_TEST_AS_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(asProcess) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// instance is a cmd/dev that can be killed and started again on the same directory and addresses.
type instance struct {
	t     testing.TB
	flags []string
	data  string
	url   string
	admin string
	proc  *child.Process
}

func newInstance(t testing.TB, flags ...string) *instance {
	t.Helper()
	addrs, err := child.FreeAddrs(3)
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{t: t, data: t.TempDir(), url: "http://" + addrs[0], admin: "http://" + addrs[1]}
	i.flags = append([]string{"-data", i.data, "-listen", addrs[0], "-admin", addrs[1], "-pipeline-admin", addrs[2]}, flags...)
	i.start()
	return i
}

// start returns when the process takes requests.
func (i *instance) start() {
	i.t.Helper()
	i.proc = child.Start(i.t, "cmd/dev", []string{asProcess + "=1"}, os.Args[0], i.flags...)
	ctx, cancel := context.WithTimeout(i.t.Context(), 2*time.Minute)
	defer cancel()
	if err := i.proc.Ready(ctx, i.url+"/"); err != nil {
		i.t.Fatalf("cmd/dev did not come up: %v", err)
	}
}

func (i *instance) stop() {
	i.t.Helper()
	if err := i.proc.Terminate(time.Minute); err != nil {
		i.t.Fatalf("cmd/dev did not end in order: %v", err)
	}
}

func (i *instance) call(ctx context.Context, method, path, token string, body []byte, answer proto.Message) error {
	return demo.NewClient(i.url).Call(ctx, method, path, token, body, answer)
}

// send posts a batch again and again until it is taken: the process may be dead just now.
func (i *instance) send(ctx context.Context, events []event.Event) error {
	req := &eventpb.WriteEventsRequest{}
	for _, e := range events {
		req.Events = append(req.Events, event.ToProto(e))
	}
	body, err := proto.Marshal(req)
	if err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var answer eventpb.WriteEventsResponse
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := i.call(attempt, "POST", "/v1/events", "dev-service:importer", body, &answer)
		cancel()
		if err == nil {
			for _, r := range answer.GetResults() {
				if r.GetError() != "" {
					return fmt.Errorf("event %s was refused: %s %s", r.GetId(), r.GetField(), r.GetError())
				}
			}
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", ctx.Err(), err)
		}
	}
}

// home is the listener's shelves by name.
func (i *instance) home(ctx context.Context, user string) (map[string]*shelfpb.Shelf, error) {
	var home homepb.Home
	if err := i.call(ctx, "GET", "/v1/home", "dev-user:"+user, nil, &home); err != nil {
		return nil, err
	}
	shelves := map[string]*shelfpb.Shelf{}
	for _, s := range home.GetShelves() {
		shelves[s.GetName()] = s
	}
	return shelves, nil
}

// uris is what the shelf's cards are of, without the scheme.
func uris(s *shelfpb.Shelf) []string {
	var ids []string
	for _, c := range s.GetCards() {
		ids = append(ids, strings.TrimPrefix(c.GetUri(), "track:"))
	}
	return ids
}

// eventually asks until ok has nothing to complain about any more, or fails with its last complaint.
func eventually(t testing.TB, within time.Duration, ok func() error) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(within)
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after %v: %v", within, err)
		}
	}
}
