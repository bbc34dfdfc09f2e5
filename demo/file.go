package demo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	ent "canopy/ent/generated"
	"canopy/store"
)

// mark is SQLite's application_id of a database that this package made: "CnpD" in ASCII. It stands in the first bytes of
// the file, so whether a file is ours is known without opening it as a database.
const mark = 0x436e7044

// Where SQLite writes down what a file is.
const (
	magic    = "SQLite format 3\x00"
	markFrom = 68
	headerTo = 72
)

// Options say where the demo database is.
type Options struct {
	File   string
	Reset  bool   // throw away what is there
	Making func() // called before the database is made, which takes seconds; may be nil
}

// Open opens the demo database and says whether it had to be made: it is when there is no such file, and with Reset. A
// file that this package did not make is an error and stays as it is.
func Open(ctx context.Context, o Options) (db *store.DB, made bool, err error) {
	file := o.File
	if strings.Contains(file, "://") || strings.HasPrefix(file, "file:") || strings.HasPrefix(file, "sqlite") && strings.Contains(file, ":") {
		return nil, false, fmt.Errorf("the demo keeps its data in a file of its own; %s is not the name of a file", withoutSecrets(file))
	}
	there, err := ours(file)
	if err != nil {
		return nil, false, err
	}
	if there && o.Reset {
		if err := remove(file); err != nil {
			return nil, false, err
		}
		there = false
	}
	if !there {
		if o.Making != nil {
			o.Making()
		}
		if err := create(ctx, file); err != nil {
			return nil, false, err
		}
	}
	db, err = store.Open(ctx, store.Options{URL: file, Synchronous: "NORMAL"})
	if err != nil {
		return nil, false, err
	}
	if err := db.Migrate(ctx); err != nil {
		return nil, false, errors.Join(fmt.Errorf("the demo database is of another version; make it anew with --reset: %w", err), db.Close())
	}
	return db, !there, nil
}

// withoutSecrets is the scheme of an address, which may hold a password.
func withoutSecrets(address string) string {
	scheme, _, _ := strings.Cut(address, ":")
	return "an address that begins with " + scheme + ":"
}

// ours says whether the file is there. A file that is there and is not a demo database is an error. It only reads.
func ours(file string) (bool, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking at the demo database: %w", err)
	}
	defer f.Close()
	header := make([]byte, headerTo)
	if _, err := io.ReadFull(f, header); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, fmt.Errorf("looking at the demo database: %w", err)
	}
	if !bytes.HasPrefix(header, []byte(magic)) || binary.BigEndian.Uint32(header[markFrom:]) != mark {
		return false, fmt.Errorf("%s is not a demo database, so the demo leaves it alone; name another file by --database", file)
	}
	return true, nil
}

// besides are the files that SQLite keeps beside a database.
func besides(file string) []string { return []string{file + "-wal", file + "-shm", file + "-journal"} }

func remove(file string) error {
	for _, name := range append([]string{file}, besides(file)...) {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("throwing the demo database away: %w", err)
		}
	}
	return nil
}

// create makes the demo database under another name first, so that a demo that is broken off leaves nothing behind that
// looks like a whole one.
func create(ctx context.Context, file string) (err error) {
	for _, name := range besides(file) {
		if _, err := os.Lstat(name); err == nil {
			return fmt.Errorf("%s belongs to a database that is gone; remove it, or name another file by --database", name)
		}
	}
	folder, err := os.MkdirTemp(filepath.Dir(file), ".canopy-demo-")
	if err != nil {
		return fmt.Errorf("making the demo database: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	draft := filepath.Join(folder, "demo.db")
	if err := fill(ctx, draft); err != nil {
		return err
	}
	// Link, unlike Rename, does not replace what somebody else made meanwhile.
	err = os.Link(draft, file)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = os.Rename(draft, file) // not every file system has links
	}
	if errors.Is(err, fs.ErrExist) {
		_, err = ours(file)
	}
	return err
}

// fill makes a database that is whole or not there: nothing is waited for until it reaches the disk.
func fill(ctx context.Context, file string) (err error) {
	db, err := store.Open(ctx, store.Options{URL: file, Synchronous: "OFF"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	err = db.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
		_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", mark))
		return err
	})
	if err != nil {
		return err
	}
	return Seed(ctx, db)
}
