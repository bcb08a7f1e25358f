package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"homefeed/api/identity"
)

// attempt is a sign-in that was begun, as the browser that began it keeps it.
type attempt struct {
	state    string // what the issuer has to send back through that browser
	nonce    string // what has to be in the token
	verifier string // what the code can be redeemed with
	page     string // where the editor goes then
}

func (a attempt) encode() string {
	return url.Values{"state": {a.state}, "nonce": {a.nonce}, "verifier": {a.verifier}, "page": {a.page}}.Encode()
}

// decodeAttempt is false for what encode never wrote.
func decodeAttempt(text string) (attempt, bool) {
	v, err := url.ParseQuery(text)
	a := attempt{v.Get("state"), v.Get("nonce"), v.Get("verifier"), v.Get("page")}
	return a, err == nil && a.state != "" && a.nonce != "" && a.verifier != ""
}

// pageName is what the pages of the CMS are called behind "#/".
var pageName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_/-]{0,199}$`)

// address is a page's. A name that is none leads to the first page, never to another server.
func address(page string) string {
	if !pageName.MatchString(page) {
		return "/cms/"
	}
	return "/cms/#/" + page
}

// begin sends the editor to the issuer: with ?other to choose another account than the one they use there, with ?page
// to come back to that page.
func (s *SignIn) begin(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query()
	a := attempt{state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier()}
	if pageName.MatchString(asked.Get("page")) {
		a.page = asked.Get("page")
	}
	options := []oauth2.AuthCodeOption{gooidc.Nonce(a.nonce), oauth2.S256ChallengeOption(a.verifier)}
	if asked.Has("other") {
		options = append(options, oauth2.SetAuthURLParam("prompt", "select_account"))
	}
	setCookie(w, attemptCookie, a.encode(), attemptFor)
	http.Redirect(w, r, s.oauth.AuthCodeURL(a.state, options...), http.StatusFound)
}

// callback ends the sign-in that this browser began, with a session or a page that says why there is none.
func (s *SignIn) callback(w http.ResponseWriter, r *http.Request) {
	answer := r.URL.Query()
	var a attempt
	begun := false
	if cookie, err := r.Cookie(attemptCookie); err == nil {
		a, begun = decodeAttempt(cookie.Value)
	}
	if !begun || !equal(answer.Get("state"), a.state) {
		s.refuse(w, notBegun, a.page)
		return
	}
	setCookie(w, attemptCookie, "", -1) // each is good once
	switch {
	case answer.Has("iss") && answer.Get("iss") != s.issuer: // RFC 9207
		s.refuse(w, notBegun, a.page)
	case answer.Get("error") == "access_denied":
		s.refuse(w, denied, a.page)
	case answer.Has("error"):
		s.log.Warn("the issuer refuses a sign-in", "error", answer.Get("error"))
		s.refuse(w, issuerFailed, a.page)
	default:
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		session, lasts, why := s.redeem(ctx, answer.Get("code"), a)
		if why != (trouble{}) {
			s.refuse(w, why, a.page)
			return
		}
		setCookie(w, sessionCookie, session, lasts)
		http.Redirect(w, r, address(a.page), http.StatusSeeOther)
	}
}

// redeem gets the token for the code: the session and how long it lasts, or why there is none.
func (s *SignIn) redeem(ctx context.Context, code string, a attempt) (session string, lasts time.Duration, why trouble) {
	tokens, err := s.oauth.Exchange(context.WithValue(ctx, oauth2.HTTPClient, s.client), code, oauth2.VerifierOption(a.verifier))
	if refused := new(oauth2.RetrieveError); errors.As(err, &refused) {
		s.log.Warn("the issuer redeems no code", "status", refused.Response.StatusCode, "error", refused.ErrorCode)
		if refused.ErrorCode == "invalid_grant" {
			return "", 0, notBegun
		}
		return "", 0, issuerFailed
	} else if err != nil {
		s.log.Warn("codes can't be redeemed", "error", err)
		return "", 0, issuerAway
	}
	raw, _ := tokens.Extra("id_token").(string)
	person, err := s.tokens.Person(ctx, raw)
	switch wrong := errors.Is(err, identity.ErrInvalid) || errors.Is(err, identity.ErrExpired); {
	case wrong:
		s.log.Warn("the issuer's token is not good", "error", err)
		return "", 0, issuerFailed
	case err != nil:
		s.log.Warn("tokens can't be verified", "error", err)
		return "", 0, issuerAway
	case !equal(person.Nonce, a.nonce):
		return "", 0, notBegun
	case !person.Has(identity.Viewer):
		return "", 0, noRole(person.Name)
	case len(sessionCookie)+len(raw) > maxCookie:
		return "", 0, tooLarge
	}
	if lasts = ends(person).Sub(s.now()); lasts < time.Second {
		return "", 0, issuerFailed
	}
	return raw, lasts, trouble{}
}

// end signs out here. Somebody who is signed in at the issuer still is.
func (s *SignIn) end(w http.ResponseWriter, r *http.Request) {
	if s.foreign.Check(r) != nil {
		http.Error(w, "a page of another site may not sign anybody out", http.StatusForbidden)
		return
	}
	setCookie(w, sessionCookie, "", -1)
	w.WriteHeader(http.StatusNoContent)
}

// setCookie has the browser keep a value for so long; less than nothing: no more.
func setCookie(w http.ResponseWriter, name, value string, lasts time.Duration) {
	seconds := int(lasts / time.Second)
	if lasts < 0 {
		seconds = -1
	}
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, MaxAge: seconds,
		Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
