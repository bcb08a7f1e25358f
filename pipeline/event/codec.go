package event

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"homefeed/pipeline/eventpb"
)

// Encode is the event as it travels on its topic.
func Encode(e Event) ([]byte, error) {
	b, err := proto.Marshal(ToProto(e))
	if err != nil {
		return nil, fmt.Errorf("encoding event %s: %w", e.ID, err)
	}
	return b, nil
}

// Decode reads what Encode wrote and validates it against now. It never panics, whatever the bytes; the error
// names the field that is wrong, and belongs in the dead letter.
func Decode(data []byte, now time.Time) (Event, error) {
	var m eventpb.UserEvent
	if err := proto.Unmarshal(data, &m); err != nil {
		return Event{}, fmt.Errorf("not a UserEvent: %w", err)
	}
	e := FromProto(&m)
	return e, e.Validate(now)
}

// ToProto is the one conversion out.
func ToProto(e Event) *eventpb.UserEvent {
	m := &eventpb.UserEvent{Id: e.ID, User: e.User, Time: timestamppb.New(e.Time), Market: e.Market}
	switch e.Kind {
	case Played:
		m.Action = &eventpb.UserEvent_SongPlayed{SongPlayed: &eventpb.SongPlayed{Track: e.Object}}
	case Followed:
		m.Action = &eventpb.UserEvent_ArtistFollowed{ArtistFollowed: &eventpb.ArtistFollowed{Artist: e.Object}}
	case Hearted:
		m.Action = &eventpb.UserEvent_SongHearted{SongHearted: &eventpb.SongHearted{Track: e.Object}}
	}
	return m
}

// FromProto is the one conversion in; it does not validate. An absent time becomes one that Validate refuses.
func FromProto(m *eventpb.UserEvent) Event {
	e := Event{ID: m.GetId(), User: m.GetUser(), Market: m.GetMarket()}
	if t := m.GetTime(); t.IsValid() {
		e.Time = t.AsTime().Truncate(time.Millisecond)
	}
	switch a := m.GetAction().(type) {
	case *eventpb.UserEvent_SongPlayed:
		e.Kind, e.Object = Played, a.SongPlayed.GetTrack()
	case *eventpb.UserEvent_ArtistFollowed:
		e.Kind, e.Object = Followed, a.ArtistFollowed.GetArtist()
	case *eventpb.UserEvent_SongHearted:
		e.Kind, e.Object = Hearted, a.SongHearted.GetTrack()
	}
	return e
}
