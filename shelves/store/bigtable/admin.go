package bigtable

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"cloud.google.com/go/bigtable"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"homefeed/shelves/store"
)

// adminTimeout bounds EnsureTable: making a table takes Bigtable some seconds.
const adminTimeout = time.Minute

// EnsureTable makes the table where it is missing, and reports a table that lacks a family. It is for tests,
// development and emulators; in production deployment makes the table, with the same families and rules.
func EnsureTable(ctx context.Context, cfg Config) error {
	table := cmp.Or(cfg.Table, DefaultTable)
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	admin, err := bigtable.NewAdminClient(ctx, cfg.Project, cfg.Instance, cfg.Options...)
	if err != nil {
		return fmt.Errorf("making table %s: %w", table, err)
	}
	defer admin.Close()
	err = admin.CreateTableFromConf(ctx, &bigtable.TableConf{
		TableID: table,
		Families: map[string]bigtable.GCPolicy{
			shelfFamily: bigtable.MaxVersionsPolicy(store.Versions),
			metaFamily:  bigtable.MaxVersionsPolicy(deletedVersion),
		},
	})
	if err == nil {
		return nil
	}
	if status.Code(err) != codes.AlreadyExists {
		return fmt.Errorf("making table %s: %w", table, err)
	}
	info, err := admin.TableInfo(ctx, table)
	if err != nil {
		return fmt.Errorf("looking at table %s: %w", table, err)
	}
	for _, family := range []string{shelfFamily, metaFamily} {
		if !slices.Contains(info.Families, family) {
			return fmt.Errorf("table %s lacks family %s: delete the table, or add the family", table, family)
		}
	}
	return nil
}
