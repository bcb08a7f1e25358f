package gcppubsub_test

import (
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/pstest"

	"homefeed/pipeline/bus/gcppubsub"
)

// TestChecks holds that what is missing, or is not what a process takes it for, is said by its name.
func TestChecks(t *testing.T) {
	server := pstest.NewServer()
	t.Cleanup(func() { server.Close() })
	b := newBus(t, server.Addr, "project-checks")
	if err := b.EnsureTopology(t.Context(), []string{"one", "two"},
		gcppubsub.SubscriptionConfig{Name: "sub-one", Topic: "one", Lease: 20 * time.Second}); err != nil {
		t.Fatal(err)
	}
	subscription := func(name, topic string, lease time.Duration) error {
		return b.CheckSubscription(t.Context(), name, topic, lease)
	}
	for name, c := range map[string]struct {
		err  error
		want string // in the error; empty: no error
	}{
		"topics":               {b.CheckTopics(t.Context(), "one", "two"), ""},
		"a missing topic":      {b.CheckTopics(t.Context(), "one", "three"), "three"},
		"subscription":         {subscription("sub-one", "one", 20*time.Second), ""},
		"shorter lease":        {subscription("sub-one", "one", 10*time.Second), ""},
		"longer lease":         {subscription("sub-one", "one", 30*time.Second), "20s: want at least the lease, 30s"},
		"another topic":        {subscription("sub-one", "two", 20*time.Second), "topics/two"},
		"missing subscription": {subscription("sub-two", "one", 20*time.Second), "sub-two"},
	} {
		if c.want == "" && c.err != nil || c.want != "" && (c.err == nil || !strings.Contains(c.err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", name, c.err, c.want)
		}
	}
}
