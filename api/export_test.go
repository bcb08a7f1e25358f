package api

// RouteNames lists the routes as "METHOD path".
func RouteNames(a *API) []string {
	var names []string
	for _, r := range a.routes() {
		names = append(names, r.Method+" "+r.Path)
	}
	return names
}
