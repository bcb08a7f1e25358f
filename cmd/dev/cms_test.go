package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"

	"homefeed/api/cms/cmspb"
	"homefeed/api/homepb"
)

// TestPublish arranges Home as an editor does, by the API of the running process, and finds it so for a listener: at
// once, and after the process was killed.
func TestPublish(t *testing.T) {
	i := newInstance(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	pia := connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			r.Header().Set("Authorization", "Bearer dev-service:publisher:pia")
			return next(ctx, r)
		}
	})
	cms := cmspb.NewCmsClient(http.DefaultClient, i.url, connect.WithInterceptors(pia))
	d, err := cms.CreateDraft(ctx, &cmspb.CreateDraftRequest{Draft: &cmspb.Draft{Title: "The other way round"}})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(d.Document.Shelves)
	var want []string
	for _, p := range d.Document.Shelves {
		want = append(want, p.Shelf)
	}
	if d, err = cms.UpdateDraft(ctx, &cmspb.UpdateDraftRequest{Draft: d}); err != nil {
		t.Fatal(err)
	}
	if _, err := cms.PublishDraft(ctx, &cmspb.PublishDraftRequest{Name: d.Name, Etag: d.Etag}); err != nil {
		t.Fatal(err)
	}
	arranged := func() error {
		var home homepb.Home
		if err := i.call(ctx, "GET", "/v1/home", "dev-user:somebody", nil, &home); err != nil {
			return err
		}
		var got []string
		for _, s := range home.Shelves {
			got = append(got, s.Name)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("Home is %v, want %v", got, want)
		}
		return nil
	}
	eventually(t, time.Minute, arranged)
	i.proc.Kill()
	i.start()
	eventually(t, time.Minute, arranged)
	i.stop()
}
