package testdb_test

import (
	"context"
	"testing"

	"canopy/authz"
	"canopy/internal/testdb"
	"canopy/store"
)

func TestEachDatabaseIsEmptyAndCounts(t *testing.T) {
	for range 2 {
		testdb.Each(t, func(t *testing.T, db *store.DB) {
			t.Parallel()
			ctx := authz.Trusted(context.Background())
			statements := testdb.Statements(db)
			statements.Reset()
			n, err := db.Read.Account.Query().Count(ctx)
			if err != nil || n != 0 {
				t.Fatalf("got %d accounts, %v", n, err)
			}
			if statements.Count() != 1 {
				t.Errorf("one query counts as %q", statements.List())
			}
		})
	}
}
