package edge

import (
	"net/http"
	"strings"
)

// place is the routes of one pattern, by verb and method. http.ServeMux knows neither verbs nor our way of saying that
// a method is wrong.
type place struct {
	wildcard string                             // the name of the last one, which a verb stands behind
	verbs    map[string]map[string]http.Handler // by method; "" is for all others
	unknown  http.Handler
}

func (p *place) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	verb := ""
	if p.wildcard != "" {
		var name string
		name, verb, _ = strings.Cut(r.PathValue(p.wildcard), ":")
		r.SetPathValue(p.wildcard, name)
	}
	methods, known := p.verbs[verb]
	if !known {
		p.unknown.ServeHTTP(w, r)
		return
	}
	handler, known := methods[r.Method]
	if !known {
		handler = methods[""]
	}
	handler.ServeHTTP(w, r)
}

// cutVerb takes "/v1/users/{user}:export" apart.
func cutVerb(path string) (pattern, verb string) {
	if at := strings.LastIndex(path, "}:"); at >= 0 {
		return path[:at+1], path[at+2:]
	}
	return path, ""
}

func joinVerb(pattern, verb string) string {
	if verb == "" {
		return pattern
	}
	return pattern + ":" + verb
}

// lastWildcard is the name of the wildcard that a pattern ends with.
func lastWildcard(pattern string) string {
	if !strings.HasSuffix(pattern, "}") {
		return ""
	}
	return pattern[strings.LastIndex(pattern, "{")+1 : len(pattern)-1]
}
