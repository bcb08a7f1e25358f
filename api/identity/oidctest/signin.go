package oidctest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// Client is a program that the issuer signs people in for.
type Client struct{ ID, Secret, Redirect string }

// People makes the issuer sign in those named, each with claims of theirs, for the client alone. Its page asks who one
// is; ?account=<name> in the address answers that, and ?account= calls it off.
func (i *Issuer) People(c Client, people map[string]map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.client, i.people, i.codes = c, people, map[string]grant{}
}

// Lie changes the claims of every token from now on, behind what the flow would have there; nil takes one away.
func (i *Issuer) Lie(changes map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.lie = changes
}

// grant is what a code is good for, once.
type grant struct{ who, nonce, challenge string }

// authorize is the page on which people sign in.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	q := r.URL.Query()
	for name, want := range map[string]string{
		"client_id": i.client.ID, "redirect_uri": i.client.Redirect, "response_type": "code", "code_challenge_method": "S256",
	} {
		if q.Get(name) != want { // nobody is sent to an address that isn't the client's
			http.Error(w, fmt.Sprintf("%s: %q, want %q", name, q.Get(name), want), http.StatusBadRequest)
			return
		}
	}
	if !slices.Contains(strings.Fields(q.Get("scope")), "openid") || q.Get("code_challenge") == "" {
		http.Error(w, "want the scope openid and a code_challenge", http.StatusBadRequest)
		return
	}
	if !q.Has("account") {
		w.Header().Set("Content-Type", "text/html")
		for _, name := range append(slices.Sorted(maps.Keys(i.people)), "") {
			fmt.Fprintf(w, `<p><a data-account="%s" href="%s">I am %[1]s</a>`, name, r.URL.Path+"?"+r.URL.RawQuery+"&amp;account="+name)
		}
		return
	}
	back := url.Values{"state": {q.Get("state")}, "iss": {i.URL}}
	if who := q.Get("account"); who == "" {
		back.Set("error", "access_denied")
	} else {
		code := rand.Text()
		i.codes[code] = grant{who, q.Get("nonce"), q.Get("code_challenge")}
		back.Set("code", code)
	}
	http.Redirect(w, r, i.client.Redirect+"?"+back.Encode(), http.StatusFound)
}

// token redeems codes.
func (i *Issuer) token(t testing.TB, w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.away {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	id, secret, inHeader := r.BasicAuth()
	if !inHeader {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	g, known := i.codes[r.PostFormValue("code")]
	delete(i.codes, r.PostFormValue("code"))
	digest := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	refusal := ""
	switch {
	case id != i.client.ID || secret != i.client.Secret || inHeader != (secret != "" && !i.SecretInBody):
		refusal = "invalid_client"
	case !known, r.PostFormValue("redirect_uri") != i.client.Redirect, base64.RawURLEncoding.EncodeToString(digest[:]) != g.challenge:
		refusal = "invalid_grant"
	}
	if refusal != "" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":%q}`, refusal)
		return
	}
	claims := i.Claims(map[string]any{"sub": g.who, "aud": i.client.ID, "nonce": g.nonce})
	for _, changes := range []map[string]any{i.people[g.who], i.lie} {
		for name, v := range changes {
			if claims[name] = v; v == nil {
				delete(claims, name)
			}
		}
	}
	answer(t, w, map[string]any{"access_token": "opaque", "token_type": "Bearer", "id_token": Sign(t, jose.ES256, i.Keys[0], claims)})
}
