package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/code"

	"homefeed/api/apierror"
	"homefeed/api/identity"
)

// needs is the role that each method needs; a method that isn't here answers nobody.
func needs() map[string]identity.Role {
	return map[string]identity.Role{
		"GetCaller":        "", // of anybody who may do anything here
		"ListShelves":      identity.Viewer,
		"SampleListeners":  identity.Viewer,
		"ListDrafts":       identity.Viewer,
		"GetDraft":         identity.Viewer,
		"CreateDraft":      identity.Editor,
		"UpdateDraft":      identity.Editor,
		"DeleteDraft":      identity.Editor,
		"CheckDraft":       identity.Viewer,
		"PublishDraft":     identity.Publisher,
		"ListVersions":     identity.Viewer,
		"GetVersion":       identity.Viewer,
		"RollBack":         identity.Publisher,
		"Compare":          identity.Viewer,
		"ListAuditEntries": identity.Viewer,
		"PreviewHome":      identity.Viewer,
	}
}

type callerKey struct{}

// caller is who guard let in.
func caller(ctx context.Context) identity.Identity {
	who, _ := ctx.Value(callerKey{}).(identity.Identity)
	return who
}

// guard lets in who may, and refuses requests that a page of another site made a browser send: behind a proxy the
// browser's cookies alone say who somebody is.
func guard(next http.Handler, c Config) http.Handler {
	table, rates := needs(), newLimiter(c.Rate)
	foreign := http.NewCrossOriginProtection()
	out := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		who, err := admit(r, table, c.Verifier, foreign)
		if err == nil {
			err = rates.admit(who.Name, c.Now())
		}
		if err == nil {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
			return
		}
		e := apierror.From(err)
		if e.Code == code.Code_UNAVAILABLE {
			c.Log.Warn("callers can't be verified", "error", err)
		}
		if e.Challenge != "" {
			h.Set("WWW-Authenticate", e.Challenge)
		}
		// Its error is the connection's: there is nobody left to tell.
		_ = out.Write(w, r, connectError(e))
	})
}

func admit(r *http.Request, table map[string]identity.Role, verifier identity.Verifier, foreign *http.CrossOriginProtection) (identity.Identity, error) {
	role, known := table[method(r.URL.Path)]
	if !known {
		return identity.Identity{}, &apierror.Error{Code: code.Code_UNIMPLEMENTED, Reason: "METHOD_UNKNOWN", Message: "there is no such method"}
	}
	if err := foreign.Check(r); err != nil {
		return identity.Identity{}, apierror.Denied("CROSS_ORIGIN", "a page of another site may not call this")
	}
	if r.ContentLength > maxBody {
		return identity.Identity{}, apierror.BadRequest("BODY_TOO_LARGE", fmt.Sprintf("want a body of at most %d bytes", maxBody))
	}
	who, err := verifier.Verify(r.Context(), r)
	switch {
	case err != nil:
		return who, unverified(err)
	case !who.Service || !who.Has(identity.Viewer):
		return who, apierror.Denied("ROLE_NEEDED", "this needs the role viewer, editor or publisher")
	case role != "" && !who.Has(role):
		return who, apierror.Denied("ROLE_NEEDED", fmt.Sprintf("this needs the role %s", role))
	case who.Name == "":
		return who, apierror.Denied("NAME_NEEDED", "this needs a token with a name for the audit log")
	}
	return who, nil
}

// unverified is a Verifier's error as the caller sees it.
func unverified(err error) error {
	e := &apierror.Error{Code: code.Code_UNAUTHENTICATED, Cause: err, Challenge: "Bearer"}
	switch {
	case errors.Is(err, identity.ErrNoToken):
		e.Reason, e.Message = "TOKEN_MISSING", "want to know who you are: sign in, or send a token"
	case errors.Is(err, identity.ErrExpired):
		e.Reason, e.Message = "TOKEN_EXPIRED", identity.ErrExpired.Error()
	case errors.Is(err, identity.ErrInvalid):
		e.Reason, e.Message = "TOKEN_INVALID", identity.ErrInvalid.Error()
	default:
		return apierror.Unavailable("IDENTITY_UNAVAILABLE", "tokens can't be verified just now", time.Second, err)
	}
	return e
}

// connectError is any error as the caller sees it: an *apierror.Error with its details, and of others no more than
// apierror.From shows.
func connectError(err error) *connect.Error {
	e := apierror.From(err)
	shown := connect.NewError(connect.Code(e.Code), errors.New(e.Message)) // connect's codes are gRPC's
	for _, m := range e.Details() {
		if d, err := connect.NewErrorDetail(m); err == nil { // fails on texts that aren't UTF-8: then without
			shown.AddDetail(d)
		}
	}
	return shown
}
