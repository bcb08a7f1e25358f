package bigtable_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gbigtable "cloud.google.com/go/bigtable"
	"cloud.google.com/go/bigtable/bttest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"homefeed/deploy/emulator"
	"homefeed/shelves/store"
	"homefeed/shelves/store/bigtable"
	"homefeed/shelves/store/storetest"
)

func TestContract(t *testing.T) {
	testContract(t, serve(t))
}

// TestContractOnEmulator is the same against Google's emulator, where it is installed.
func TestContractOnEmulator(t *testing.T) {
	testContract(t, emulator.Bigtable(t))
}

func testContract(t *testing.T, addr string) {
	var tables atomic.Int64
	storetest.Test(t, func(t *testing.T) storetest.Opener {
		table := fmt.Sprintf("home-%d", tables.Add(1))
		return func(t *testing.T) store.Store { return open(t, config(t, addr, table)) }
	})
}

// serve starts Bigtable in this process. What it doesn't implement panics, which here becomes an error. Calls take
// turns: it sorts the columns of a row while somebody reads them.
func serve(t *testing.T, interceptors ...grpc.UnaryServerInterceptor) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var turn sync.Mutex
	recovered := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = status.Errorf(codes.Unimplemented, "not in this fake: %v", p)
			}
		}()
		turn.Lock()
		defer turn.Unlock()
		return next(ctx, req)
	}
	inTurn := func(impl any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		turn.Lock()
		defer turn.Unlock()
		return next(impl, stream)
	}
	server, err := bttest.NewServerWithListener(listener,
		grpc.ChainUnaryInterceptor(append(interceptors, recovered)...), grpc.StreamInterceptor(inTurn), grpc.MaxRecvMsgSize(1<<28))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		listener.Close() // first, or the server's Close hangs
		server.Close()
	})
	return listener.Addr().String()
}

func config(t *testing.T, addr, table string) bigtable.Config {
	t.Helper()
	t.Setenv("BIGTABLE_EMULATOR_HOST", addr) // every client dials it by itself
	cfg := bigtable.Config{Project: "p", Instance: "i", Table: table, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
	for range 2 { // the second time it is there
		if err := bigtable.EnsureTable(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

func open(t *testing.T, cfg bigtable.Config) *bigtable.Store {
	t.Helper()
	s, err := bigtable.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rawRow is what the table holds, whatever a Store makes of it.
func rawRow(t *testing.T, key string) gbigtable.Row {
	t.Helper()
	client, err := gbigtable.NewClientWithConfig(t.Context(), "p", "i",
		gbigtable.ClientConfig{MetricsProvider: gbigtable.NoopMetricsProvider{}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	row, err := client.Open("home").ReadRow(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func administrator(t *testing.T) *gbigtable.AdminClient {
	t.Helper()
	admin, err := gbigtable.NewAdminClient(t.Context(), "p", "i")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close() })
	return admin
}

var bob = func() store.Key {
	key, err := store.UserKey("bob")
	if err != nil {
		panic(err)
	}
	return key
}()

func cellAt(ms int64) store.Cell {
	return store.Cell{Shelf: "discover", AsOf: time.UnixMilli(ms).UTC(), Data: []byte("cards")}
}

func TestOpenRefuses(t *testing.T) {
	good := bigtable.Config{Project: "p", Instance: "i"}
	for _, tt := range []struct {
		change func(*bigtable.Config)
		want   string
	}{
		{func(c *bigtable.Config) { c.Project = "" }, "project"},
		{func(c *bigtable.Config) { c.Instance = "" }, "instance"},
		{func(c *bigtable.Config) { c.ReadTimeout = -1 }, "timeouts"},
	} {
		cfg := good
		tt.change(&cfg)
		if _, err := bigtable.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Open(%+v): got %v, want an error about %s", cfg, err, tt.want)
		}
	}
}

// TestSchema holds that the table is as DESIGN says, because deployment and other readers rely on it.
func TestSchema(t *testing.T) {
	cfg := config(t, serve(t), "home")
	s := open(t, cfg)
	defer s.Close()
	if err := s.Write(t.Context(), bob, cellAt(1234)); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), bob, time.UnixMilli(1000)); err != nil {
		t.Fatal(err)
	}
	row := rawRow(t, "u#81b6#bob")
	got := map[string]int64{}
	for _, items := range row {
		for _, item := range items {
			got[item.Column] = int64(item.Timestamp)
		}
	}
	if len(got) != 2 || got["s:discover"] != 1234_000 || got["m:deleted_at"] != 1000_000 {
		t.Errorf("the row's cells and their times are %v", got)
	}
	admin := administrator(t)
	info, err := admin.TableInfo(t.Context(), "home")
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]string{}
	for _, f := range info.FamilyInfos {
		rules[f.Name] = f.GCPolicy
	}
	if len(rules) != 2 || rules["s"] != "versions() > 3" || rules["m"] != "versions() > 1" {
		t.Errorf("the families' rules are %q", rules)
	}
}

// TestDeleteRemoves holds that what a Delete hides leaves the table, columns that end up empty with it.
func TestDeleteRemoves(t *testing.T) {
	cfg := config(t, serve(t), "home")
	s := open(t, cfg)
	defer s.Close()
	old := store.Cell{Shelf: "old", AsOf: time.UnixMilli(1), Data: []byte("x")}
	if err := s.Write(t.Context(), bob, old, cellAt(1), cellAt(2), cellAt(3)); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), bob, time.UnixMilli(2)); err != nil {
		t.Fatal(err)
	}
	if items := rawRow(t, string(bob))["s"]; len(items) != 1 || items[0].Column != "s:discover" || items[0].Timestamp != 3000 {
		t.Errorf("after the Delete, family s holds %v, want discover of 3 ms only", items)
	}
}

// TestLateWriteIsTakenBack holds that nothing of a refresh that was under way when its listener was deleted stays in the
// table, in whatever order the two get there.
func TestLateWriteIsTakenBack(t *testing.T) {
	cfg := config(t, serve(t), "home")
	s := open(t, cfg)
	defer s.Close()
	for i := range 20 {
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Write(t.Context(), bob, cellAt(1), store.Cell{Shelf: "other", AsOf: time.UnixMilli(2), Data: []byte("x")}); err != nil {
				t.Error(err)
			}
		})
		if i%2 == 1 {
			wg.Wait()
		}
		if err := s.Delete(t.Context(), bob, time.UnixMilli(2)); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if items := rawRow(t, string(bob))["s"]; len(items) > 0 {
			t.Fatalf("round %d: family s holds %v, want nothing", i, items)
		}
	}
	if err := s.Write(t.Context(), bob, cellAt(2), cellAt(3)); err != nil {
		t.Fatal(err)
	}
	if items := rawRow(t, string(bob))["s"]; len(items) != 1 || items[0].Timestamp != 3000 {
		t.Errorf("after a Write of one hidden and one later cell: %v, want the later one", items)
	}
}

func TestTableThatLacksAFamily(t *testing.T) {
	cfg := config(t, serve(t), "home")
	admin := administrator(t)
	cfg.Table = "other"
	if err := admin.CreateTable(t.Context(), cfg.Table); err != nil {
		t.Fatal(err)
	}
	if err := bigtable.EnsureTable(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "family s") {
		t.Errorf("EnsureTable: got %v, want an error about family s", err)
	}
	s := open(t, cfg)
	defer s.Close()
	if err := s.Write(t.Context(), bob, cellAt(1)); err == nil || !strings.Contains(err.Error(), "writing row") {
		t.Errorf("Write: got %v, want an error", err)
	}
}

// TestPassingFailure holds that a Write outlives a server that is away for a moment.
func TestPassingFailure(t *testing.T) {
	var calls atomic.Int64
	addr := serve(t, func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if strings.HasSuffix(info.FullMethod, "/MutateRow") && calls.Add(1) <= 2 {
			return nil, status.Error(codes.Unavailable, "away")
		}
		return next(ctx, req)
	})
	s := open(t, config(t, addr, "home"))
	defer s.Close()
	if err := s.Write(t.Context(), bob, cellAt(1)); err != nil || calls.Load() != 3 {
		t.Errorf("Write: %v after %d calls, want none after 3", err, calls.Load())
	}
	row, err := s.Read(t.Context(), bob, 1)
	if err != nil || len(row.Cells) != 1 {
		t.Errorf("Read: %v, %v, want one cell", row, err)
	}
}

// TestNoAnswer holds that a call ends at its own deadline, and at the caller's when that is earlier.
func TestNoAnswer(t *testing.T) {
	addr := serve(t, func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if strings.HasSuffix(info.FullMethod, "/MutateRow") {
			<-ctx.Done()
		}
		return next(ctx, req)
	})
	cfg := config(t, addr, "home")
	cfg.WriteTimeout = 50 * time.Millisecond
	s := open(t, cfg)
	defer s.Close()
	if err := s.Write(context.Background(), bob, cellAt(1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a server that doesn't answer: got %v, want %v", err, context.DeadlineExceeded)
	}
	cfg.WriteTimeout = time.Hour
	patient := open(t, cfg)
	defer patient.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := patient.Delete(ctx, bob, time.UnixMilli(1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller's deadline: got %v, want %v", err, context.DeadlineExceeded)
	}
}

// TestSample holds that listeners are found wherever the lot falls, each once, and nothing else is.
func TestSample(t *testing.T) {
	s := open(t, config(t, serve(t), "sampled"))
	if got, err := s.Sample(t.Context(), 5, 0); len(got) > 0 || err != nil {
		t.Errorf("of an empty table: %v, %v", got, err)
	}
	market, err := store.MarketKey("SE")
	if err != nil {
		t.Fatal(err)
	}
	keys := []store.Key{market}
	want := map[string]bool{}
	for i := range 6 {
		user := fmt.Sprint("user-", i)
		key, err := store.UserKey(user)
		if err != nil {
			t.Fatal(err)
		}
		keys, want[user] = append(keys, key), true
	}
	for _, key := range keys {
		if err := s.Write(t.Context(), key, store.Cell{Shelf: "discover", AsOf: time.UnixMilli(1000), Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []uint16{0, 1, 0x7fff, 0xffff} {
		for n, most := range map[int]int{0: 0, 1: 1, 4: 4, 6: 6, 50: 6} {
			got, err := s.Sample(t.Context(), n, from)
			found := map[string]bool{}
			for _, user := range got {
				found[user] = want[user]
			}
			if err != nil || len(got) != most || len(found) != most {
				t.Errorf("%d from %d: %v, %v", n, from, got, err)
			}
		}
	}
}
