package main

import (
	"context"
	"slices"
	"strings"
	"sync"

	"homefeed/cmd/dev/page"
	"homefeed/pipeline/bus"
)

// maxListeners is how many the page offers to choose from.
const maxListeners = 1000

// listeners is a bus.Publisher that notes whose events pass, so that the page can offer them: the row store, as in
// production, can't list its listeners.
type listeners struct {
	bus.Publisher
	mu    sync.Mutex
	known map[string]struct{}
}

func newListeners(next bus.Publisher, known []string) *listeners {
	l := &listeners{Publisher: next, known: map[string]struct{}{}}
	for _, user := range known {
		l.known[user] = struct{}{}
	}
	return l
}

// Publish notes the messages' keys, which are listeners, once they are published.
func (l *listeners) Publish(ctx context.Context, topic string, msgs ...bus.Message) error {
	if err := l.Publisher.Publish(ctx, topic, msgs...); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range msgs {
		if _, has := l.known[msgs[i].Key]; !has && len(l.known) < maxListeners {
			l.known[msgs[i].Key] = struct{}{}
		}
	}
	return nil
}

// sample is some of them, no matter which.
func (l *listeners) sample(_ context.Context, n int) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	users := make([]string, 0, min(n, len(l.known)))
	for u := range l.known {
		if len(users) == n {
			break
		}
		users = append(users, u)
	}
	return users, nil
}

// forPage is everybody, by id.
func (l *listeners) forPage(context.Context) ([]page.Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	users := make([]page.Listener, 0, len(l.known))
	for u := range l.known {
		users = append(users, page.Listener{ID: u})
	}
	slices.SortFunc(users, func(a, b page.Listener) int { return strings.Compare(a.ID, b.ID) })
	return users, nil
}
