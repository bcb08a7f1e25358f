package pull_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"homefeed/pipeline/bus/local/embedded"
	"homefeed/pipeline/bus/local/pull"
)

const messages = 300

// rig is a stream of one subject and a consumer of it.
type rig struct {
	js     jetstream.JetStream
	puller *pull.Puller
	cut    context.CancelFunc // says that the connection is lost
}

func newRig(t *testing.T, consumer jetstream.ConsumerConfig) *rig {
	t.Helper()
	server, err := embedded.Start(t.Context(), embedded.Options{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	nc, err := nats.Connect("", server.Connection()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateConsumer(t.Context(), "S", consumer); err != nil {
		t.Fatal(err)
	}
	link, cut := context.WithCancel(context.Background())
	t.Cleanup(cut)
	return &rig{js: js, cut: cut, puller: &pull.Puller{
		Conn: nc, Link: func() context.Context { return link }, Stream: "S", Consumer: consumer.Durable,
	}}
}

func (r *rig) publish(t *testing.T, n int) {
	for range n {
		if _, err := r.js.Publish(t.Context(), "s", []byte("x")); err != nil {
			t.Errorf("publishing: %v", err)
			return
		}
	}
}

// TestContextEndsWhileMessagesCome ends contexts at all moments while messages are being delivered. With leases of an
// hour nothing may stay leased to nobody, and without leases nothing may get lost.
func TestContextEndsWhileMessagesCome(t *testing.T) {
	for name, test := range map[string]struct {
		consumer jetstream.ConsumerConfig
		keep     bool
	}{
		"Leases": {jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Hour}, false},
		"Kept":   {jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckNonePolicy}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, test.consumer)
			r.puller.Keep = test.keep
			published := make(chan struct{})
			go func() { defer close(published); r.publish(t, messages) }()
			patient, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			seen := map[uint64]int{}
			for round := 0; len(seen) < messages; round++ {
				ctx, cancel := context.WithTimeout(patient, time.Duration(round%20)*50*time.Microsecond)
				msgs, err := r.puller.Pull(ctx, 7)
				cancel()
				if patient.Err() != nil {
					t.Fatalf("%d of %d messages came", len(seen), messages)
				}
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("Pull: %v, want context.DeadlineExceeded", err)
				}
				for _, m := range msgs {
					meta, err := m.Metadata()
					if err != nil {
						t.Fatal(err)
					}
					if seen[meta.Sequence.Stream]++; seen[meta.Sequence.Stream] > 1 {
						t.Errorf("message %d came twice", meta.Sequence.Stream)
					}
				}
			}
			<-published
		})
	}
}

// TestNoMoreThanMayBeOut: a request for more than the consumer may have out ends with what it may.
func TestNoMoreThanMayBeOut(t *testing.T) {
	r := newRig(t, jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 5})
	r.puller.Linger = 20 * time.Millisecond
	r.publish(t, 8)
	msgs, err := r.puller.Pull(t.Context(), 100)
	if err != nil || len(msgs) != 5 {
		t.Fatalf("Pull = %d messages, %v, want 5", len(msgs), err)
	}
	for _, m := range msgs {
		if err := m.AckSync(); err != nil {
			t.Fatal(err)
		}
	}
	if msgs, err = r.puller.Pull(t.Context(), 100); err != nil || len(msgs) != 3 {
		t.Fatalf("Pull = %d messages, %v, want the other 3", len(msgs), err)
	}
}

// TestWhatEndsAPull names what ends a Pull that waits.
func TestWhatEndsAPull(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*testing.T, *rig)
		want error
	}{
		"ConsumerDeleted": {func(t *testing.T, r *rig) {
			if err := r.js.DeleteConsumer(t.Context(), "S", "c"); err != nil {
				t.Error(err)
			}
		}, pull.ErrNoConsumer},
		"ConnectionLost": {func(_ *testing.T, r *rig) { r.cut() }, pull.ErrLinkLost},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
			ended := make(chan error, 1)
			go func() {
				_, err := r.puller.Pull(t.Context(), 1)
				ended <- err
			}()
			waiting(t, r)
			test.end(t, r)
			if err := <-ended; !errors.Is(err, test.want) {
				t.Errorf("Pull: %v, want %v", err, test.want)
			}
		})
	}
}

// waiting returns when the server has the request.
func waiting(t *testing.T, r *rig) {
	t.Helper()
	c, err := r.js.Consumer(t.Context(), "S", "c")
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		info, err := c.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.NumWaiting > 0 {
			return
		}
		<-tick.C
	}
}
