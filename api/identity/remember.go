package identity

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/maypok86/otter/v2" // bounded memory of tokens
)

// Remembering is a Verifier that asks another one about each token once a minute: checking a signature costs several
// times what Home does. Only good tokens are remembered, and never beyond their expiry; a key that the issuer
// withdraws is therefore taken for a minute more. They are kept as they are: by a cryptographic hash of theirs, looking
// one up would cost as much as the rest of a Home that is in memory.
type Remembering struct {
	verifier Verifier
	now      func() time.Time
	known    *otter.Cache[string, remembered]
}

type remembered struct {
	who   Identity
	until time.Time
}

// rememberFor bounds how long a token is good without being looked at, and maxRemembered the bytes that are kept: some
// 100,000 tokens.
const (
	rememberFor   = time.Minute
	maxRemembered = 96 << 20
)

// Remember puts a memory in front of v; now is nil for time.Now. Close ends it.
func Remember(v Verifier, now func() time.Time) (*Remembering, error) {
	if now == nil {
		now = time.Now
	}
	known, err := otter.New(&otter.Options[string, remembered]{
		MaximumWeight: maxRemembered, // and no expiry, whose upkeep every look would pay for: until says it
		Weigher:       func(token string, _ remembered) uint32 { return uint32(len(token) + 256) },
		Executor:      func(upkeep func()) { upkeep() }, // a goroutine for it would cost more than it does
	})
	if err != nil {
		return nil, fmt.Errorf("making memory of tokens: %w", err)
	}
	return &Remembering{v, now, known}, nil
}

// Verify is the Verifier's, or its answer of a moment ago.
func (m *Remembering) Verify(ctx context.Context, r *http.Request) (Identity, error) {
	token, err := Bearer(r)
	if err != nil {
		return Identity{}, err
	}
	now := m.now()
	if who, known := m.recall(token, now); known {
		return who, nil
	}
	who, err := m.verifier.Verify(ctx, r)
	if err != nil || who.Until.IsZero() {
		return who, err
	}
	until := now.Add(rememberFor)
	if who.Until.Before(until) {
		until = who.Until
	}
	m.known.Set(token, remembered{who, until})
	return who, nil
}

// Recall is what Verify would return now without asking the Verifier; known is false when it would have to. Its error is
// ErrNoToken.
func (m *Remembering) Recall(r *http.Request, now time.Time) (who Identity, known bool, err error) {
	token, err := Bearer(r)
	if err != nil {
		return Identity{}, false, err
	}
	who, known = m.recall(token, now)
	return who, known, nil
}

func (m *Remembering) recall(token string, now time.Time) (Identity, bool) {
	known, ok := m.known.GetIfPresent(token)
	if !ok || !now.Before(known.until) {
		return Identity{}, false
	}
	return known.who, true
}

// Close ends the memory's upkeep.
func (m *Remembering) Close() { m.known.StopAllGoroutines() }
