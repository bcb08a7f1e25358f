package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"homefeed/api/homepb"
	"homefeed/shelves/shelfpb"
)

// cardWidth is how many columns of a terminal a card takes; five stand side by side in 100.
const (
	cardWidth    = 20
	cardsPerLine = 5
)

// printHome draws a Home as a terminal can: a line of titles and a line of artists for each shelf.
func printHome(out io.Writer, user string, home *homepb.Home, now time.Time) {
	fmt.Fprintf(out, "\nHome of %s\n", user)
	for _, s := range home.GetShelves() {
		if s.GetStatus() == shelfpb.Status_LEFT_OUT {
			continue
		}
		fmt.Fprintf(out, "\n  %s  (%s)\n", s.GetTitle(), age(s, now))
		cards := s.GetCards()
		more := ""
		if len(cards) > cardsPerLine {
			more = fmt.Sprintf("+%d", len(cards)-cardsPerLine)
			cards = cards[:cardsPerLine]
		}
		var titles, artists strings.Builder
		for _, c := range cards {
			titles.WriteString(cell(c.GetTitle()))
			artists.WriteString(cell(c.GetSubtitle()))
		}
		fmt.Fprintf(out, "    %s%s\n    %s\n", titles.String(), more, strings.TrimRight(artists.String(), " "))
	}
	fmt.Fprintln(out)
}

func age(s *shelfpb.Shelf, now time.Time) string {
	status := strings.ReplaceAll(strings.ToLower(s.GetStatus().String()), "_", " ")
	if !s.GetAsOf().IsValid() {
		return status
	}
	return fmt.Sprintf("%s, as of %v ago", status, max(0, now.Sub(s.GetAsOf().AsTime())).Round(time.Second))
}

// cell pads or cuts s to the width of a card, with a blank after it.
func cell(s string) string {
	if n := utf8.RuneCountInString(s); n < cardWidth {
		return s + strings.Repeat(" ", cardWidth-n)
	}
	return string([]rune(s)[:cardWidth-2]) + "… "
}
