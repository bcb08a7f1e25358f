package beamgraph

import (
	"context"
	"errors"
	"testing"
)

func TestProvidedConnections(t *testing.T) {
	given := &Connections{}
	withdraw, err := Provide("a job", given)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Provide("a job", &Connections{}); err == nil {
		t.Error("two jobs got one name")
	}
	got, release, err := connect(t.Context(), Endpoints{Job: "a job"})
	if err != nil || got != given {
		t.Errorf("got %p, %v; want %p", got, err, given)
	}
	withdraw()
	if err := release(); err != nil {
		t.Error(err)
	}
	if _, _, err := connect(t.Context(), Endpoints{Job: "a job"}); err == nil {
		t.Error("the connections are there after they were withdrawn")
	}
	if _, err := Provide("", given); err == nil {
		t.Error("a job without a name was accepted")
	}
}

// A worker opens its connections once for all of its DoFns, and closes them with the last one.
func TestOpenedConnections(t *testing.T) {
	opened, closed := 0, 0
	OpenWith(func(_ context.Context, e Endpoints) (*Connections, func() error, error) {
		if e.Project != "p" {
			return nil, nil, errors.New("want the endpoints of the DoFn")
		}
		opened++
		return &Connections{}, func() error { closed++; return nil }, nil
	})
	t.Cleanup(func() { OpenWith(nil) })
	var users [2]wired
	for i := range users {
		if err := users[i].connect(t.Context(), Endpoints{Job: "remote", Project: "p"}); err != nil {
			t.Fatal(err)
		}
	}
	if opened != 1 || users[0].conns != users[1].conns {
		t.Errorf("opened %d times, want once for both", opened)
	}
	for i := range users {
		if closed != 0 {
			t.Error("closed while in use")
		}
		for range 2 { // the second time does nothing
			if err := users[i].disconnect(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if closed != 1 {
		t.Errorf("closed %d times, want once", closed)
	}
	if err := users[0].connect(t.Context(), Endpoints{Job: "other"}); err == nil {
		t.Error("an error of opening was lost")
	}
}
