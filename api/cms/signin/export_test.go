package signin

import (
	"maps"
	"slices"
)

// What the test of the whole flow looks at.
const (
	SessionCookie = sessionCookie
	AttemptCookie = attemptCookie
)

// RouteNames lists the routes as "METHOD path".
func RouteNames(s *SignIn) []string { return slices.Sorted(maps.Keys(s.routes())) }

// Address is where a page is.
func Address(page string) string { return address(page) }

// Kept is whether a cookie is an attempt, and the cookie that it would be written as.
func Kept(text string) (string, bool) {
	a, ok := decodeAttempt(text)
	return a.encode(), ok
}
