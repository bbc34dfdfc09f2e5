// Package migrations holds the files that build and change Canopy's database, one folder per dialect, in the format
// of goose. They are written by `go run ./ent/migrations/new.go NAME`, read and completed by hand, and never changed
// once they are released: a database remembers their checksums. Package store applies them.
package migrations

import "embed"

// Files holds sqlite/*.sql and postgres/*.sql.
//
//go:embed sqlite/*.sql postgres/*.sql
var Files embed.FS
