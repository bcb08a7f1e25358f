package intake

import (
	"strconv"

	"google.golang.org/protobuf/proto"

	"homefeed/api/cardtoken"
	"homefeed/api/placement"
	"homefeed/pipeline/bus"
	"homefeed/pipeline/event"
	"homefeed/pipeline/eventpb"
)

// Feedback is what a listener did to a card of Home.
type Feedback struct {
	Kind string         // "seen", "tapped" or "hidden"
	Card cardtoken.Card // which, where and from what
	Hide string         // when hidden: the URI of the track or artist
	Undo bool           // show Hide again
	At   int            // of its result

	message bus.Message // for event.FeedbackTopic
}

// MaxHidden is how many things one request may hide.
const MaxHidden = 100

// isFeedback reports whether the event is about a card.
func isFeedback(m *eventpb.UserEvent) bool {
	return m.GetCardSeen() != nil || m.GetCardTapped() != nil || m.GetCardHidden() != nil
}

// feedback checks an event about a card.
func (r Reader) feedback(b *Batch, m *eventpb.UserEvent) {
	f := Feedback{At: len(b.Results)}
	var uri, context, field string
	switch action := m.GetAction().(type) {
	case *eventpb.UserEvent_CardSeen:
		f.Kind, field, uri, context = "seen", "cardSeen", action.CardSeen.GetUri(), action.CardSeen.GetContext()
	case *eventpb.UserEvent_CardTapped:
		f.Kind, field, uri, context = "tapped", "cardTapped", action.CardTapped.GetUri(), action.CardTapped.GetContext()
	case *eventpb.UserEvent_CardHidden:
		f.Kind, field, uri, context = "hidden", "cardHidden", action.CardHidden.GetUri(), action.CardHidden.GetContext()
		f.Hide, f.Undo = uri, action.CardHidden.GetUndo()
		if artist := action.CardHidden.GetArtist(); artist != "" {
			f.Hide = artist
		}
	}
	card, err := r.checkCard(m, &f, field, uri, context, b.hidden)
	if err == nil {
		f.message, err = r.feedbackMessage(m, card)
	}
	if err != nil {
		b.rejectAs(f.Kind, m.GetId(), err)
		return
	}
	f.Card = card
	if f.Hide != "" {
		b.hidden++
	}
	b.Feedback = append(b.Feedback, f)
	b.Results = append(b.Results, &eventpb.EventResult{Id: m.GetId()})
}

// feedbackMessage is the event as it travels, with what its context says.
func (r Reader) feedbackMessage(m *eventpb.UserEvent, card cardtoken.Card) (bus.Message, error) {
	m.User = r.User
	e := event.FromProto(m)
	if err := e.ValidateOrigin(r.Now); err != nil {
		return bus.Message{}, err
	}
	data, err := proto.Marshal(m)
	if err != nil {
		return bus.Message{}, &event.FieldError{Want: "want texts in UTF-8"}
	}
	return bus.Message{ID: e.ID, Key: e.User, Time: e.Time, Data: data, Attributes: map[string]string{
		event.AttrShelf: card.Shelf, event.AttrPlace: strconv.Itoa(card.Place), event.AttrPosition: strconv.Itoa(card.Position),
		event.AttrStatus: card.Status.String(), event.AttrTrigger: card.Trigger,
	}}, nil
}

func (r Reader) checkCard(m *eventpb.UserEvent, f *Feedback, field, uri, context string, hidden int) (cardtoken.Card, error) {
	switch {
	case r.Open == nil || r.User == "":
		return cardtoken.Card{}, &event.FieldError{Field: field, Want: "want the token of the listener whose Home it was"}
	case m.GetUser() != "" && m.GetUser() != r.User:
		return cardtoken.Card{}, errOtherUser
	case !placement.ValidURI(uri):
		return cardtoken.Card{}, &event.FieldError{Field: field + ".uri", Want: "want track:<id> or artist:<id>, as the card has it"}
	case f.Hide != "" && !placement.ValidURI(f.Hide):
		return cardtoken.Card{}, &event.FieldError{Field: field + ".artist", Want: "want artist:<id>, as the card has it"}
	case f.Hide != "" && hidden >= MaxHidden:
		return cardtoken.Card{}, &event.FieldError{Field: field, Want: "want at most 100 in one request"}
	}
	card, err := r.Open(r.User, uri, context)
	if err != nil {
		return cardtoken.Card{}, &event.FieldError{Field: field + ".context", Want: "want the card's context, as this listener's Home had it"}
	}
	return card, nil
}
