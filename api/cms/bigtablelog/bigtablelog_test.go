package bigtablelog_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/bigtable"
	"cloud.google.com/go/bigtable/bttest"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"homefeed/api/cms"
	"homefeed/api/cms/bigtablelog"
	"homefeed/api/cms/logtest"
	"homefeed/deploy/emulator"
)

func TestContractInProcess(t *testing.T) {
	server, err := bttest.NewServer("127.0.0.1:0", grpc.MaxRecvMsgSize(2*cms.MaxEntry))
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

// runContract gives every log an instance of its own: the servers make them as they are named.
func runContract(t *testing.T, addr string) {
	var instances atomic.Int64
	logtest.Run(t, func(t *testing.T) cms.Log {
		instance := fmt.Sprintf("i%d", instances.Add(1))
		create(t, addr, instance)
		client, err := bigtable.NewClientWithConfig(t.Context(), "p", instance, bigtable.ClientConfig{
			MetricsProvider: bigtable.NoopMetricsProvider{}, DisableSession: true,
			DisableDynamicChannelPool: true, DisableConnectionRecycler: true,
		}, dial(t, addr))
		if err != nil {
			t.Fatal(err)
		}
		return bigtablelog.New(client)
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
		if err := bigtablelog.Create(ctx, admin); err != nil {
			t.Fatal(err)
		}
	}
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
