package bigtabletable_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/bigtable"
	"cloud.google.com/go/bigtable/apiv2/bigtablepb"
	"cloud.google.com/go/bigtable/bttest"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/option"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"homefeed/deploy/emulator"
	"homefeed/services/songsplayed"
	"homefeed/services/songsplayed/bigtabletable"
	"homefeed/services/songsplayed/tabletest"
)

func TestContractInProcess(t *testing.T) {
	server, err := bttest.NewServer("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	runContract(t, server.Addr)
}

// TestContractEmulator is the same against Google's emulator, where it is installed.
func TestContractEmulator(t *testing.T) {
	runContract(t, emulator.Bigtable(t))
}

// runContract gives every table an instance of its own: the servers make them as they are named.
func runContract(t *testing.T, addr string) {
	var instances atomic.Int64
	tabletest.Run(t, func(t *testing.T) songsplayed.Table {
		instance := fmt.Sprintf("i%d", instances.Add(1))
		create(t, addr, instance)
		return bigtabletable.New(connect(t, addr, instance))
	})
}

func create(t *testing.T, addr, instance string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	admin, err := bigtable.NewAdminClient(ctx, "p", instance, dial(t, addr))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for range 2 { // the second time it is there already
		if err := bigtabletable.Create(ctx, admin); err != nil {
			t.Fatal(err)
		}
	}
}

func connect(t *testing.T, addr, instance string) *bigtable.Client {
	t.Helper()
	client, err := bigtable.NewClientWithConfig(t.Context(), "p", instance, bigtable.ClientConfig{
		MetricsProvider: bigtable.NoopMetricsProvider{}, DisableSession: true,
		DisableDynamicChannelPool: true, DisableConnectionRecycler: true,
	}, dial(t, addr))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func dial(t *testing.T, addr string) option.ClientOption {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return option.WithGRPCConn(conn)
}

// TestRowsThatFail asks for a family that isn't there, which no try again can help: the error says so.
func TestRowsThatFail(t *testing.T) {
	server, err := bttest.NewServer("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	admin, err := bigtable.NewAdminClient(ctx, "p", "i", dial(t, server.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.CreateTable(ctx, bigtabletable.TableName); err != nil {
		t.Fatal(err)
	}
	table := bigtabletable.New(connect(t, server.Addr, "i"))
	t.Cleanup(func() { table.Close() })
	err = table.Put(ctx, []songsplayed.Row{{Key: []byte("u#a")}, {Key: []byte("u#b")}})
	if err == nil || !strings.Contains(err.Error(), "2 of 2 failed") {
		t.Errorf("Put: %v, want an error that says 2 of 2 failed", err)
	}
}

// flaky says of every entry but the first of a bulk call that it failed, though it is stored.
type flaky struct {
	grpc.ServerStream
	entries *[]int // of each call
}

func (f flaky) RecvMsg(m any) error {
	err := f.ServerStream.RecvMsg(m)
	if req, ok := m.(*bigtablepb.MutateRowsRequest); ok && err == nil {
		*f.entries = append(*f.entries, len(req.GetEntries()))
	}
	return err
}

func (f flaky) SendMsg(m any) error {
	if resp, ok := m.(*bigtablepb.MutateRowsResponse); ok && len(resp.GetEntries()) > 1 {
		for _, e := range resp.GetEntries() {
			if e.GetIndex() > 0 {
				e.Status = &statuspb.Status{Code: int32(codes.Unavailable), Message: "try again"}
			}
		}
	}
	return f.ServerStream.SendMsg(m)
}

// TestRowsThatPass: rows that fail for a passing reason are tried again, and only those.
func TestRowsThatPass(t *testing.T) {
	var entries []int
	server, err := bttest.NewServer("127.0.0.1:0", grpc.StreamInterceptor(
		func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return next(srv, flaky{stream, &entries})
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	create(t, server.Addr, "i")
	table := bigtabletable.New(connect(t, server.Addr, "i"))
	t.Cleanup(func() { table.Close() })
	if err := table.Put(t.Context(), []songsplayed.Row{{Key: []byte("u#a")}, {Key: []byte("u#b")}, {Key: []byte("u#c")}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{3, 2, 1}, entries); diff != "" {
		t.Errorf("entries of each call (-want +got):\n%s", diff)
	}
}
