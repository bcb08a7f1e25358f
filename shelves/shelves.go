// Package shelves holds the shelves of Home, one short file each, and the list of them. To add one: write its
// file, add its name to All, run the tests.
package shelves

import "homefeed/shelves/shelf"

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

func neighbourIDs(near []shelf.Neighbour) []string {
	ids := make([]string, len(near))
	for i, n := range near {
		ids[i] = n.Track
	}
	return ids
}
