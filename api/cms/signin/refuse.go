package signin

import (
	"embed"
	"html/template"
	"net/http"
)

//go:embed refused.html
var files embed.FS

var refused = template.Must(template.ParseFS(files, "refused.html"))

// trouble is why somebody isn't signed in, in words for them.
type trouble struct {
	Status int
	Title  string
	Text   string
	Other  bool // another account may do
}

var (
	notBegun = trouble{http.StatusBadRequest, "This sign-in can’t be used",
		"It was not begun in this browser, took longer than ten minutes, or was used already. Begin it again.", false}
	denied = trouble{http.StatusForbidden, "You are not signed in",
		"The sign-in was refused or called off. Nothing happened.", false}
	issuerFailed = trouble{http.StatusBadGateway, "You can’t be signed in",
		"The sign-in service answered with something that is not right. If it does so again, tell whoever runs homefeed: the reason is in its log.", false}
	issuerAway = trouble{http.StatusServiceUnavailable, "You can’t be signed in just now",
		"The sign-in service can’t be reached. Try again in a minute.", false}
	tooLarge = trouble{http.StatusBadGateway, "You can’t be signed in",
		"Your token is larger than the 4 KB that a browser keeps. Ask whoever runs the sign-in service to put fewer claims (such as groups) into the tokens for homefeed.", false}
)

func noRole(name string) trouble {
	return trouble{http.StatusForbidden, "You have no role here",
		"You are " + name + ", who has none of the roles viewer, editor and publisher. Ask whoever runs homefeed to give you one, and then sign in again.", true}
}

// refuse answers with a page that looks like the others. page is where the editor was.
func (s *SignIn) refuse(w http.ResponseWriter, why trouble, page string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(why.Status)
	// Its error is the connection's: there is nobody left to tell.
	_ = refused.Execute(w, struct {
		trouble
		Page string
	}{why, page})
}
