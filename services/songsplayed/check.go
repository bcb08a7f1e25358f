package songsplayed

import (
	"homefeed/pipeline/event"
	"homefeed/services/rpc"
	"homefeed/services/songsplayed/rowkey"
	"homefeed/services/songsplayed/songsplayedpb"
)

// actions are the families that erasing empties.
var actions = [...]rowkey.Family{rowkey.Plays, rowkey.Hearts, rowkey.Follows}

// check says which family an action belongs to, or which of its fields may not become part of a key.
func check(a *songsplayedpb.Action) (rowkey.Family, *rpc.FieldError) {
	var f rowkey.Family
	switch a.GetKind() {
	case songsplayedpb.Kind_KIND_PLAYED:
		f = rowkey.Plays
	case songsplayedpb.Kind_KIND_HEARTED:
		f = rowkey.Hearts
	case songsplayedpb.Kind_KIND_FOLLOWED:
		f = rowkey.Follows
	default:
		return 0, &rpc.FieldError{Field: "kind", Want: "want KIND_PLAYED, KIND_FOLLOWED or KIND_HEARTED"}
	}
	switch {
	case !event.ValidUser(a.GetUser()):
		return 0, &rpc.FieldError{Field: "user", Want: wantUser}
	case !event.ValidObject(a.GetObject()):
		return 0, &rpc.FieldError{Field: "object", Want: "want 1–128 of A–Z a–z 0–9 . _ : -"}
	case a.GetTimeMs() < 0 || a.GetTimeMs() > rowkey.MaxMillis:
		return 0, &rpc.FieldError{Field: "time_ms", Want: "want milliseconds since 1970, 0 to 9999999999999"}
	}
	return f, nil
}

const wantUser = "want 1–64 of A–Z a–z 0–9 . _ -"
