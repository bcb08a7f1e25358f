package bigtable

import (
	"context"
	"fmt"
	"strings"

	"cloud.google.com/go/bigtable"
)

// Sample returns at most n listeners who have a row: those whose keys follow a point from 0 to 65535, which a caller
// draws by lot, and from the first key on where too few follow. Keys begin with a hash, so neighbours have nothing in
// common but that.
func (s *Store) Sample(ctx context.Context, n int, from uint16) ([]string, error) {
	if n <= 0 {
		return nil, nil // Bigtable takes 0 as no limit
	}
	start := fmt.Sprintf("u#%04x", from)
	var users []string
	err := s.call(ctx, s.read, func(ctx context.Context) error {
		for _, keys := range []bigtable.RowRange{bigtable.NewRange(start, "u$"), bigtable.NewRange("u#", start)} {
			if len(users) == n {
				return nil
			}
			err := s.table.ReadRows(ctx, keys, func(row bigtable.Row) bool {
				if _, user, ok := strings.Cut(strings.TrimPrefix(row.Key(), "u#"), "#"); ok {
					users = append(users, user)
				}
				return true
			}, bigtable.LimitRows(int64(n-len(users))), bigtable.RowFilter(bigtable.ChainFilters(
				bigtable.FamilyFilter(shelfFamily), bigtable.CellsPerRowLimitFilter(1), bigtable.StripValueFilter())))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sampling rows: %w", err)
	}
	return users, nil
}
