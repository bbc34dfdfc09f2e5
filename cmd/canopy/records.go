package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"canopy/authz"
	"canopy/bulk"
	"canopy/ent/schema"
	"canopy/store"
)

// recordFlags say whose records, of what kind, and how they are written down.
type recordFlags struct {
	databaseFlags
	Account string `required:"" help:"Word that names the account."`
	As      string `required:"" placeholder:"EMAIL" help:"E-mail address of the user in whose name it is done: with their rights, and recorded as theirs."`
	Kind    string `required:"" enum:"groups,users,contacts" help:"What the records are: groups, users or contacts."`
	Format  string `placeholder:"FORMAT" help:"csv or jsonl; left out, by the end of the file's name."`
}

// Validate refuses what the flags' types let through.
func (f *recordFlags) Validate() error {
	if f.Format != "" && f.Format != "csv" && f.Format != "jsonl" {
		return errors.New("--format is csv or jsonl")
	}
	return nil
}

func (f *recordFlags) kind() bulk.Kind { return bulk.Kind(strings.ToUpper(f.Kind)) }

// format is the one that was asked for, or that of the file.
func (f *recordFlags) format(file string) (bulk.Format, error) {
	name := f.Format
	if name == "" {
		name = strings.ToLower(strings.TrimPrefix(filepath.Ext(file), "."))
	}
	switch name {
	case "csv":
		return bulk.CSV, nil
	case "jsonl", "ndjson":
		return bulk.JSONLines, nil
	}
	return "", errors.New("the name of the file does not say what it is; give --format csv or --format jsonl")
}

// work opens the database and runs fn in the user's name.
func (f *recordFlags) work(ctx context.Context, maxDepth int, fn func(context.Context, *bulk.Service) error) (err error) {
	db, err := open(ctx, store.Options{URL: f.Database})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s := newServices(db, 0, maxDepth)
	viewer, err := s.directory.ViewerByEmail(ctx, f.Account, f.As)
	if err != nil {
		return err
	}
	b := &bulk.Service{DB: db, Directory: s.directory, Desk: s.desk, Now: time.Now}
	return fn(authz.NewContext(ctx, viewer), b)
}

const deepest = schema.MaxDepth
