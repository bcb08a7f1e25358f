// Package sessions makes playlists of what people played: what somebody played in one sitting is a playlist that
// nobody had to write.
package sessions

import (
	"iter"
	"slices"
	"time"

	"homefeed/services/songsplayed"
)

// Pause is the default time without a play that ends a session: half an hour, as web analytics has it.
const Pause = 30 * time.Minute

// longest is the most tracks of a session. Somebody who leaves music on for days gets several.
const longest = 1_000

// Playlists are the sessions of everybody's plays, which come as songsplayed.Client.Everybody has them: listener after
// listener, newest first. A session ends before a play that comes more than pause after the one before. A track
// that is played again and again counts once in a row, and a session of one track is none. It ends with the first
// error of plays.
func Playlists(plays iter.Seq2[songsplayed.Played, error], pause time.Duration) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		var session []string // newest first
		var oldest time.Time
		finish := func() bool {
			done := session
			session = nil
			slices.Reverse(done)
			return len(done) < 2 || yield(done, nil)
		}
		for p, err := range plays {
			if err != nil {
				yield(nil, err)
				return
			}
			if p.First || oldest.Sub(p.Time) > pause || len(session) == longest {
				if !finish() {
					return
				}
			}
			oldest = p.Time
			if n := len(session); n == 0 || session[n-1] != p.Track {
				session = append(session, p.Track)
			}
		}
		finish()
	}
}
