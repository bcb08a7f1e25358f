// Package shelves holds the shelves of Home, one short file each, and the list of them. To add one: write its
// file, add its name to All, run the tests.
package shelves

import (
	"time"

	"homefeed/shelves/shelf"
)

// All lists the shelves in the order in which Home shows them until editors say otherwise.
func All() []*shelf.Shelf {
	return []*shelf.Shelf{
		RecentlyPlayed,
		BecauseYouHearted,
		MoreLikeArtist,
		HeavyRotation,
		FromArtistsYouFollow,
		Discover,
		JumpBackIn,
		Trending,
	}
}

// Cooldown is the refreshpolicy.Config.Cooldown for these shelves: those of 5 s ride along with those of 2 s, so that
// one play makes two refreshes, the second after 15 s, and not three.
const Cooldown = 3 * time.Second

func playIDs(plays []shelf.Play) []string {
	ids := make([]string, len(plays))
	for i, p := range plays {
		ids[i] = p.Track
	}
	return ids
}

func countIDs(counts []shelf.Count) []string {
	ids := make([]string, len(counts))
	for i, c := range counts {
		ids[i] = c.ID
	}
	return ids
}

// neighbourIDs leaves out what points the other way: it is among the nearest only where little is near.
func neighbourIDs(near []shelf.Neighbour) []string {
	ids := make([]string, 0, len(near))
	for _, n := range near {
		if n.Similarity > 0 {
			ids = append(ids, n.Track)
		}
	}
	return ids
}
