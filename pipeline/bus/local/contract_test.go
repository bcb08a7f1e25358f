package local_test

import (
	"testing"
	"time"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/bus/bustest"
	"homefeed/pipeline/bus/local"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
)

// fixture holds the contract's tests against a topic of b, which reopen closes and opens again.
func fixture(topic string, b *local.Bus, reopen func(t testing.TB) *local.Bus) bustest.Fixture {
	topics := []string{topic}
	if topic == event.Played.Topic() {
		topics = event.Topics()
	}
	return bustest.Fixture{
		Publisher:      b,
		Topic:          topic,
		Lease:          2 * time.Second,
		CountsAttempts: true,
		Subscribe: func(t testing.TB, name string, lease time.Duration) bus.Subscription {
			t.Helper()
			s, err := b.Subscribe(t.Context(), name, topics, local.SubscriptionOptions{Lease: lease})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		OpenLog: func(t testing.TB, name string) bus.Log {
			t.Helper()
			l, err := b.OpenLog(t.Context(), name, topics)
			if err != nil {
				t.Fatal(err)
			}
			return l
		},
		Reopen: func(t testing.TB) bustest.Fixture {
			t.Helper()
			return fixture(topic, reopen(t), reopen)
		},
	}
}

// inProcess opens a bus; Reopen closes and opens it.
func inProcess(t *testing.T, topic string) bustest.Fixture {
	dir := t.TempDir()
	b := openBus(t, local.Options{Dir: dir})
	return fixture(topic, b, func(t testing.TB) *local.Bus {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = openBus(t, local.Options{Dir: dir})
		return b
	})
}

// connected opens a bus and joins it over TCP; Reopen ends and repeats the joining alone, as when only the second
// process is started again.
func connected(t *testing.T, topic string) bustest.Fixture {
	dir := t.TempDir()
	host := openBus(t, local.Options{Dir: dir, Listen: "127.0.0.1:0"})
	b := join(t, host.Addr(), dir)
	return fixture(topic, b, func(t testing.TB) *local.Bus {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = join(t, host.Addr(), dir)
		return b
	})
}

// TestContract: triggers have leases, events travel in packs; both can be read as a log.
func TestContract(t *testing.T) {
	for name, open := range map[string]func(*testing.T, string) bustest.Fixture{"InProcess": inProcess, "Connected": connected} {
		on := func(topic string) func(*testing.T) bustest.Fixture {
			return func(t *testing.T) bustest.Fixture { return open(t, topic) }
		}
		t.Run(name, func(t *testing.T) {
			t.Run("PublishSubscribe", func(t *testing.T) { bustest.TestPublishSubscribe(t, on(trigger.Topic)) })
			t.Run("Log", func(t *testing.T) { bustest.TestLog(t, on(trigger.Topic)) })
			t.Run("PackedLog", func(t *testing.T) { bustest.TestLog(t, on(event.Played.Topic())) })
		})
	}
}
