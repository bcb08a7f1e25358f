package gcppubsub_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"homefeed/deploy/emulator"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/bus/bustest"
	"homefeed/pipeline/bus/gcppubsub"
)

const lease = 10 * time.Second // the shortest that Pub/Sub can do

func newBus(t testing.TB, addr, project string, ordered ...string) *gcppubsub.Bus {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	b, err := gcppubsub.New(t.Context(), gcppubsub.Options{
		Project:       project,
		OrderedTopics: ordered,
		ClientOptions: []option.ClientOption{option.WithGRPCConn(conn)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return b
}

// fixture makes the contract's buses, each in a project of its own on the server at addr.
func fixture(addr string, counts bool) func(t *testing.T) bustest.Fixture {
	var projects atomic.Int64
	return func(t *testing.T) bustest.Fixture {
		project := fmt.Sprintf("project-%d", projects.Add(1))
		return onProject(t, addr, project, counts)
	}
}

func onProject(t testing.TB, addr, project string, counts bool) bustest.Fixture {
	const topic, deadLetter = "refresh-triggers", "refresh-dead-letter"
	b := newBus(t, addr, project, topic)
	return bustest.Fixture{
		Publisher:      b,
		Topic:          topic,
		Lease:          lease,
		CountsAttempts: counts,
		Subscribe: func(t testing.TB, name string, lease time.Duration) bus.Subscription {
			t.Helper()
			name = "sub-" + name
			err := b.EnsureTopology(t.Context(), []string{topic, deadLetter}, gcppubsub.SubscriptionConfig{
				Name: name, Topic: topic, Lease: lease, Ordered: true,
				DeadLetterTopic: deadLetter, MaxAttempts: 2 * bus.MaxAttempts,
			})
			if err != nil {
				t.Fatal(err)
			}
			s, err := b.Subscribe(name, gcppubsub.SubscriptionOptions{Topic: topic, Lease: lease})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Reopen: func(t testing.TB) bustest.Fixture {
			t.Helper()
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			return onProject(t, addr, project, counts)
		},
	}
}

// TestContractPstest runs against Google's in-process fake, whose clock goes five times as fast so that leases run
// out sooner.
func TestContractPstest(t *testing.T) {
	t.Parallel()
	server := pstest.NewServer()
	start := time.Now()
	server.SetTimeNowFunc(func() time.Time { return start.Add(5 * time.Since(start)) })
	t.Cleanup(func() { server.Close() })
	bustest.TestPublishSubscribe(t, fixture(server.Addr, false))
}

// TestContractEmulator runs against Google's emulator, where the Cloud SDK is installed.
func TestContractEmulator(t *testing.T) {
	t.Parallel()
	bustest.TestPublishSubscribe(t, fixture(emulator.PubSub(t), true))
}
