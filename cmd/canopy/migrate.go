package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"canopy/store"
)

type migrateCommand struct {
	Up     migrateUpCommand     `cmd:"" help:"Apply the migrations that are pending. Serving does it too."`
	Status migrateStatusCommand `cmd:"" help:"List the migrations, and which of them are applied."`
}

type migrateUpCommand struct{ databaseFlags }

// Run applies what is pending and lists everything.
func (c *migrateUpCommand) Run(ctx context.Context, std streams) error {
	db, err := open(ctx, store.Options{URL: c.Database})
	if err != nil {
		return err
	}
	return errors.Join(listMigrations(ctx, std.out, db), db.Close())
}

type migrateStatusCommand struct{ databaseFlags }

// Run lists the migrations.
func (c *migrateStatusCommand) Run(ctx context.Context, std streams) error {
	db, err := store.Open(ctx, store.Options{URL: c.Database})
	if err != nil {
		return err
	}
	return errors.Join(listMigrations(ctx, std.out, db), db.Close())
}

func listMigrations(ctx context.Context, w io.Writer, db *store.DB) error {
	list, err := db.MigrationStatus(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "MIGRATION\tSTATE\tAPPLIED")
	for _, m := range list {
		applied := ""
		if !m.AppliedAt.IsZero() {
			applied = m.AppliedAt.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", m.Name, m.State, applied)
	}
	return table.Flush()
}
