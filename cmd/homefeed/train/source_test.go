package train

import (
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"homefeed/pipeline/event"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed"
	"homefeed/services/songsplayed/localtable"
	"homefeed/services/word2vec/vectors"
)

// serve is the address of a songs-played service that recorded 20 listeners in two groups.
func serve(t *testing.T) string {
	t.Helper()
	table, err := localtable.Open("table", localtable.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	service, err := songsplayed.NewServer(songsplayed.Options{Table: table})
	if err != nil {
		t.Fatal(err)
	}
	server, err := rpc.NewServer(rpc.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	songsplayed.Register(server, service)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(t.Context(), ln) }()
	t.Cleanup(func() { // after t.Context() has ended
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	})
	conn, err := rpc.Dial(ln.Addr().String(), rpc.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var events []event.Event
	for u := range 20 {
		for i := range 40 {
			// Ten plays in a sitting, a sitting a day.
			at := time.UnixMilli(0).Add(time.Duration(i/10)*24*time.Hour + time.Duration(i%10)*3*time.Minute)
			track := fmt.Sprintf("%c%d", "ab"[u%2], (u+i*i)%12)
			events = append(events, event.Event{ID: fmt.Sprint(u, i), Kind: event.Played, User: fmt.Sprint("u", u), Object: track, Time: at})
		}
	}
	if err := songsplayed.NewClient(conn).Record(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	return ln.Addr().String()
}

func TestRunLearnsFromWhatWasPlayed(t *testing.T) {
	cfg := Config{Source: Source{SongsPlayed: serve(t)}, Out: filepath.Join(t.TempDir(), "model.bin"), Config: small()}
	var out bytes.Buffer
	if err := Run(t.Context(), cfg, &out); err != nil {
		t.Fatal(err)
	}
	if want := ": 80 playlists, "; !strings.Contains(out.String(), want) {
		t.Errorf("%q is not in\n%s", want, out.String())
	}
	v, err := vectors.Load(cfg.Out)
	if err != nil {
		t.Fatal(err)
	}
	for i := range v.Len() {
		if id := v.ID(i); id[0] != 'a' && id[0] != 'b' {
			t.Errorf("a track %s", id)
		}
	}
	// The two days' worth of pause is one sitting of everything.
	cfg.Pause = 48 * time.Hour
	out.Reset()
	if err := Run(t.Context(), cfg, &out); err != nil || !strings.Contains(out.String(), ": 20 playlists, ") {
		t.Errorf("with a long pause: %v\n%s", err, out.String())
	}
}

func TestSourceThatIsAway(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	cfg := Config{Source: Source{SongsPlayed: ln.Addr().String()}, Out: filepath.Join(t.TempDir(), "model.bin"), Config: small()}
	if err := Run(t.Context(), cfg, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "reading sessions: listing everybody's plays") {
		t.Errorf("nobody there: %v", err)
	}
}
