package local_test

import (
	"fmt"
	"testing"
	"time"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/bus/local"
	"homefeed/pipeline/event"
)

// batch makes events as the pipeline publishes them: 200 bytes, with an id, a listener as key, and a time.
func batch(from, n int) []bus.Message {
	msgs := make([]bus.Message, n)
	for i := range msgs {
		msgs[i] = bus.Message{
			ID:   fmt.Sprintf("event-%012d", from+i),
			Key:  fmt.Sprintf("listener-%d", (from+i)%5000),
			Time: time.UnixMilli(1_700_000_000_000 + int64(from+i)),
			Data: make([]byte, 200),
		}
	}
	return msgs
}

func publish(tb testing.TB, b *local.Bus, n int) {
	tb.Helper()
	for from := 0; from < n; from += 1000 {
		if err := b.Publish(tb.Context(), event.Played.Topic(), batch(from, min(1000, n-from))...); err != nil {
			tb.Fatal(err)
		}
	}
}

func perSecond(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

// BenchmarkPublish publishes b.N messages in batches of 1,000.
func BenchmarkPublish(b *testing.B) {
	for _, bench := range []struct {
		name    string
		options local.Options
	}{{"default", local.Options{}}, {"sync_always", local.Options{SyncAlways: true}}} {
		b.Run(bench.name, func(b *testing.B) {
			lb := openBus(b, bench.options)
			b.ResetTimer()
			publish(b, lb, b.N)
			perSecond(b)
		})
	}
}

// BenchmarkPublishOne publishes one message at a time.
func BenchmarkPublishOne(b *testing.B) {
	lb := openBus(b, local.Options{})
	msgs := batch(0, b.N)
	b.ResetTimer()
	for i := range msgs {
		if err := lb.Publish(b.Context(), event.Played.Topic(), msgs[i]); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b)
}

// BenchmarkLogRead reads b.N messages that are there.
func BenchmarkLogRead(b *testing.B) {
	lb := openBus(b, local.Options{})
	publish(b, lb, b.N)
	log, err := lb.OpenLog(b.Context(), "bench", event.Topics())
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	b.ResetTimer()
	for read := 0; read < b.N; {
		entries, err := log.Read(b.Context(), 4096)
		if err != nil {
			b.Fatal(err)
		}
		read += len(entries)
	}
	perSecond(b)
}

// BenchmarkSubscribeAck takes and acknowledges b.N messages that are there, 256 at a time.
func BenchmarkSubscribeAck(b *testing.B) {
	lb := openBus(b, local.Options{})
	publish(b, lb, b.N)
	s, err := lb.Subscribe(b.Context(), "bench", event.Topics(), local.SubscriptionOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ResetTimer()
	for got := 0; got < b.N; {
		ds, err := s.Pull(b.Context(), 256)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Ack(b.Context(), ds...); err != nil {
			b.Fatal(err)
		}
		got += len(ds)
	}
	perSecond(b)
}

// BenchmarkWaiting asks how far a log is behind.
func BenchmarkWaiting(b *testing.B) {
	lb := openBus(b, local.Options{})
	publish(b, lb, 1)
	log, err := lb.OpenLog(b.Context(), "bench", event.Topics())
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	b.ResetTimer()
	for range b.N {
		if n, err := log.Waiting(b.Context()); err != nil || n != 1 {
			b.Fatal(n, err)
		}
	}
}
