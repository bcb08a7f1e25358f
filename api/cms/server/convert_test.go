package server

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"homefeed/api/cms/cmspb"
	"homefeed/api/placement"
	"homefeed/shelves/shelfpb"
)

// TestConversion holds that a document is the same after both conversions, with every field set: one that is added
// to placement.Placement must be added here, too.
func TestConversion(t *testing.T) {
	whole := placement.Placement{
		Shelf: "discover", Title: "New", Titles: map[string]string{"sv": "Nytt"}, PlainTitle: "New", PlainTitles: map[string]string{"sv": "N"},
		Component: placement.Grid, Markets: []string{"SE"}, Platforms: []string{"ios"}, AudiencePercent: 10,
		From: time.Date(2026, 3, 1, 0, 0, 0, 5000000, time.UTC), To: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC),
		MinCards: 3, MaxCards: 10, MaxAgeSeconds: 3600, Repeat: placement.RepeatNever,
		Pins: placement.Cards{{Uri: "track:p", Title: "P"}}, Blocks: []string{"track:b"}, DefaultCards: placement.Cards{{Uri: "track:d", Title: "D", Image: &shelfpb.Image{Alt: "D"}}},
	}
	v := reflect.ValueOf(whole)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not set here", v.Type().Field(i).Name)
		}
	}
	if fields := (&cmspb.Placement{}).ProtoReflect().Descriptor().Fields().Len(); fields != v.NumField() {
		t.Errorf("the proto has %d fields, a placement %d", fields, v.NumField())
	}
	want := placement.Placements{Shelves: []placement.Placement{whole, {Shelf: "again"}}}
	data, err := proto.Marshal(document(want))
	if err != nil {
		t.Fatal(err)
	}
	sent := new(cmspb.Document)
	if err := proto.Unmarshal(data, sent); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, placements(sent), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
