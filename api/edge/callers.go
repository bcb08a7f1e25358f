package edge

import (
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
	"google.golang.org/genproto/googleapis/rpc/code"

	"homefeed/api/apierror"
	"homefeed/api/identity"
)

// Rates are how often one caller may ask.
type Rates struct {
	Listener float64       // requests a second for long
	Service  float64       // the same of a service
	Burst    time.Duration // for how long of its rate a caller who was quiet may ask at once
}

// callers bounds how often each caller may ask, so that one can't take what is there for all. Of more callers
// than are remembered those who ask seldom are forgotten, and have their whole burst again.
type callers struct {
	buckets  *otter.Cache[string, *rate.Limiter]
	listener rate.Limit
	service  rate.Limit
	burst    float64 // in seconds of the rate
}

// remembered is how many callers are told apart at once, at about 200 bytes each.
const remembered = 200_000

func newCallers(r Rates) (*callers, error) {
	c := &callers{listener: rate.Limit(r.Listener), service: rate.Limit(r.Service), burst: r.Burst.Seconds()}
	var err error
	c.buckets, err = otter.New(&otter.Options[string, *rate.Limiter]{
		MaximumSize: remembered,
		Executor:    func(upkeep func()) { upkeep() }, // a goroutine for it would cost more than it does
	})
	if err != nil {
		return nil, fmt.Errorf("making limiter of callers: %w", err)
	}
	return c, nil
}

// admit is nil, or RESOURCE_EXHAUSTED with the time after which asking again is right. Services are told apart by
// their roles, which is all that is known of them.
func (c *callers) admit(who identity.Identity, now time.Time) error {
	key, limit := who.User, c.listener
	if who.Service {
		key, limit = fmt.Sprint("#", who.Roles), c.service // no listener's id has a #
	}
	bucket, known := c.buckets.GetIfPresent(key)
	if !known {
		bucket, _ = c.buckets.SetIfAbsent(key, rate.NewLimiter(limit, max(int(float64(limit)*c.burst), 1)))
	}
	if bucket.AllowN(now, 1) {
		return nil
	}
	return &apierror.Error{
		Code: code.Code_RESOURCE_EXHAUSTED, Reason: "RATE_EXCEEDED", RetryAfter: time.Second,
		Message: fmt.Sprintf("want at most %g requests a second", float64(limit)),
	}
}
