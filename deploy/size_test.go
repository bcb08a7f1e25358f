package deploy_test

import (
	"maps"
	"slices"
	"testing"
)

// A file and a package are both less than these, so that one can be read at a sitting.
const (
	maxLines        = 400
	maxPackageLines = 1000 // without tests
)

// large are the packages of maxPackageLines or more: what each may have at most, and why it does. A limit goes down
// with its package, and never up.
var large = map[string]struct {
	most int
	why  string
}{
	"cmd/homefeed":         {1430, "a file for each subcommand; what all roles share (role.go, flags.go) is still unexported beside them"},
	"pipeline/beamgraph":   {1990, "Beam knows functions by their package's path, so moving one is a change for running jobs; connections and codec need no such name"},
	"pipeline/bus/local":   {1500, "the forms of a message in a stream (pack.go, envelope.go) could stand apart; log and subscription share the Bus"},
	"pipeline/local":       {1320, "the goroutines of one run, which share its state: listeners, outbox and snapshot are packages already"},
	"services/songsplayed": {1270, "client and server share the checks of an action, which have to stand apart before the server can"},
}

func TestFilesAreShort(t *testing.T) {
	for _, s := range sources(t) {
		if s.lines >= maxLines {
			t.Errorf("%s has %d lines: want less than %d", s.path, s.lines, maxLines)
		}
	}
}

func TestPackagesAreSmall(t *testing.T) {
	lines := map[string]int{}
	for _, s := range sources(t) {
		if !s.test {
			lines[s.pkg()] += s.lines
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(lines)) {
		n := lines[pkg]
		exception, isLarge := large[pkg]
		switch {
		case !isLarge && n >= maxPackageLines:
			t.Errorf("%s has %d lines: want less than %d", pkg, n, maxPackageLines)
		case isLarge && n > exception.most:
			t.Errorf("%s has %d lines: want at most %d, and fewer (%s)", pkg, n, exception.most, exception.why)
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(large)) {
		if lines[pkg] < maxPackageLines {
			t.Errorf("%s has %d lines and needs no exception any more", pkg, lines[pkg])
		}
	}
}
