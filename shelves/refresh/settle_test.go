package refresh

import (
	"fmt"
	"testing"

	"homefeed/pipeline/bus"
	"homefeed/pipeline/trigger"
)

func TestAttemptsAreBounded(t *testing.T) {
	a := newAttempts(3)
	it := func(id int, counted int) item {
		return item{t: trigger.Trigger{ID: fmt.Sprint(id)}, d: bus.Delivery{Attempt: counted}}
	}
	if got := a.failed(it(1, 4)); got != 4 || len(a.n) != 0 {
		t.Errorf("a bus that counts: got %d, and %d remembered; want 4 and none", got, len(a.n))
	}
	for want := 1; want <= 3; want++ {
		if got := a.failed(it(1, 0)); got != want {
			t.Errorf("a bus that does not: got %d, want %d", got, want)
		}
	}
	a.forget(it(1, 0))
	if got := a.failed(it(1, 0)); got != 1 {
		t.Errorf("after a success: got %d, want 1", got)
	}
	for id := range 100 {
		a.failed(it(id, 0))
		if len(a.n) > 3 {
			t.Fatalf("%d remembered, want at most 3", len(a.n))
		}
	}
}
