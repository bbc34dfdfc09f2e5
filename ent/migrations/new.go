//go:build ignore

// Writes the migration that brings the newest files up to ent/schema, for both dialects:
//
//	export CANOPY_TEST_POSTGRES=$(scripts/postgres.sh)
//	go run ./ent/migrations/new.go NAME
//
// It builds a database from the present files, compares it with ent/schema and writes what is missing. Read the
// result before you keep it: a column that was renamed comes out as a loss of its data, and what Ent does not know
// (the tables of package tree) is left to the hand.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"canopy/internal/testdb"
	"canopy/store"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: go run ./ent/migrations/new.go NAME")
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, name string) error {
	dir, err := os.MkdirTemp("", "canopy-migration")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	postgres, drop, err := testdb.Database(ctx, os.Getenv("CANOPY_TEST_POSTGRES"), "")
	if err != nil {
		return fmt.Errorf("making a database on the server in CANOPY_TEST_POSTGRES: %w", err)
	}
	defer drop()
	version, err := nextVersion()
	if err != nil {
		return err
	}
	for folder, url := range map[string]string{"sqlite": filepath.Join(dir, "dev.db"), "postgres": postgres} {
		file := filepath.Join("ent", "migrations", folder, version+"_"+name+".sql")
		if err := write(ctx, file, url); err != nil {
			return fmt.Errorf("%s: %w", folder, err)
		}
	}
	return nil
}

// nextVersion counts on from the newest file of either dialect: a step has the same number in both.
func nextVersion() (string, error) {
	files, err := filepath.Glob("ent/migrations/*/*.sql")
	if err != nil {
		return "", err
	}
	newest := 0
	for _, file := range files {
		number, _, _ := strings.Cut(filepath.Base(file), "_")
		n, err := strconv.Atoi(number)
		if err != nil {
			return "", fmt.Errorf("%s does not begin with a number", file)
		}
		newest = max(newest, n)
	}
	return fmt.Sprintf("%04d", newest+1), nil
}

// write writes the file, if the present files leave anything to do.
func write(ctx context.Context, file, url string) error {
	statements, err := missing(ctx, url)
	if err != nil {
		return err
	}
	if len(statements) == 0 {
		fmt.Println("nothing to do for", filepath.Dir(file))
		return nil
	}
	fmt.Println("writing", file)
	return os.WriteFile(file, []byte("-- +goose Up\n\n"+strings.Join(statements, ";\n")+";\n"), 0o644)
}

// missing builds a database from the present files and returns the statements that it lacks.
func missing(ctx context.Context, url string) ([]string, error) {
	db, err := store.Open(ctx, store.Options{URL: url})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		return nil, err
	}
	return db.Drift(ctx)
}
