// Package madeup makes up a world of music: artists, tracks, playlists, and listeners who play them, the same for
// the same seed. A fresh machine needs no data of anybody's to show a Home that looks like somebody's.
//
// All names are invented. What listeners do is a pure function of the seed, the listener and the local day, so
// any stretch of a history can be had without what came before it: History from a to b and then from b to c is
// History from a to c. Live differs: it trades the natural pace for a rate that the caller chooses.
package madeup
