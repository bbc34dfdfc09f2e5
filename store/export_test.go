package store

import (
	"context"
	"io/fs"
)

// MigrateFrom migrates with other files than those of Canopy.
func (db *DB) MigrateFrom(ctx context.Context, files fs.FS) error { return db.migrate(ctx, files) }

// StatusFrom is MigrationStatus with other files.
func (db *DB) StatusFrom(ctx context.Context, files fs.FS) ([]Migration, error) {
	return db.status(ctx, files)
}
