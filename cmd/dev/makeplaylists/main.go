// Command makeplaylists writes made-up playlists of any size, one a line, to measure training with:
//
//	go run ./cmd/dev/makeplaylists -tracks 200000 -artists 20000 -playlists 300000 > playlists.txt
package main

import (
	"flag"
	"fmt"
	"os"

	"homefeed/cmd/dev/madeup"
)

func main() {
	var sizes madeup.Sizes
	seed := flag.Uint64("seed", 1, "the same seed and sizes make the same playlists")
	flag.IntVar(&sizes.Artists, "artists", 0, "how many artists; 0: 250")
	flag.IntVar(&sizes.Tracks, "tracks", 0, "how many tracks; 0: 2,000")
	flag.IntVar(&sizes.Playlists, "playlists", 0, "how many playlists; 0: 4,000. Fewer than tracks leave tracks out")
	flag.Parse()
	if err := madeup.New(*seed, sizes).WritePlaylists(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "makeplaylists:", err)
		os.Exit(1)
	}
}
