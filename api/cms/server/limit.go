package server

import (
	"fmt"
	"hash/maphash"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/genproto/googleapis/rpc/code"

	"homefeed/api/apierror"
)

// How often one person may call: the pages ask some times a second while somebody types.
const (
	defaultRate = 20 // a second for long
	burst       = 10 * time.Second
)

// limiter bounds how often each person may call. Names share a fixed number of buckets, so it needs no upkeep; two
// people whose names fall into one, which is rare, get half each.
type limiter struct {
	seed    maphash.Seed
	rate    float64
	buckets [1024]*rate.Limiter
}

func newLimiter(perSecond float64) *limiter {
	if perSecond <= 0 {
		perSecond = defaultRate
	}
	l := &limiter{seed: maphash.MakeSeed(), rate: perSecond}
	for i := range l.buckets {
		l.buckets[i] = rate.NewLimiter(rate.Limit(perSecond), max(int(perSecond*burst.Seconds()), 1))
	}
	return l
}

// admit is nil, or RESOURCE_EXHAUSTED.
func (l *limiter) admit(name string, now time.Time) error {
	if l.buckets[maphash.String(l.seed, name)%uint64(len(l.buckets))].AllowN(now, 1) {
		return nil
	}
	return &apierror.Error{
		Code: code.Code_RESOURCE_EXHAUSTED, Reason: "RATE_EXCEEDED", RetryAfter: time.Second,
		Message: fmt.Sprintf("want at most %g calls a second", l.rate),
	}
}
