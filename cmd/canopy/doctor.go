package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"canopy/doctor"
	"canopy/relay"
	"canopy/store"
)

// existingFlags say which database, and what of it, a command that looks after one is about.
type existingFlags struct {
	Database string `default:"canopy.db" help:"File of an SQLite database, or a postgres:// address."`
	Account  string `placeholder:"SLUG" help:"Only the account with this slug; left out, all of the database."`
}

// open opens a database as it is. It does not migrate: a schema that is not this program's is refused.
func (f existingFlags) open(ctx context.Context) (*store.DB, error) {
	db, err := store.Open(ctx, store.Options{URL: f.Database, Existing: true})
	if err != nil {
		return nil, err
	}
	if err := current(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func current(ctx context.Context, db *store.DB) error {
	list, err := db.MigrationStatus(ctx)
	if err != nil {
		return err
	}
	for _, m := range list {
		switch m.State {
		case store.MigrationApplied:
		case store.MigrationPending:
			return fmt.Errorf("the schema of the database is older than this program: %s is pending; "+
				"apply it with canopy migrate up, or use the program that serves the database", m.Name)
		default:
			return fmt.Errorf("the schema of the database is not that of this program: %s is %s; "+
				"use the program that serves the database", m.Name, m.State)
		}
	}
	return nil
}

type doctorCommand struct{ existingFlags }

// Help takes part in kong.HelpProvider.
func (doctorCommand) Help() string {
	return "It can run beside a working server. Each fault is a line that names the thing, by the id that clients see " +
		"and by its number, what is and what should be; of each kind the first 20 are listed.\n\n" +
		"Exit status: 0 no faults, 1 it could not look everywhere, 2 wrong usage, 3 faults."
}

// Run prints what is wrong.
func (c *doctorCommand) Run(ctx context.Context, std streams) error {
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	faults := faultList{w: std.out}
	patient := doctor.Patient{DB: db, Now: time.Now()}
	moves, err := patient.Moves(ctx, c.Account)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	for _, m := range moves {
		fmt.Fprintf(std.out, "%s: group %s (%d) is being carried to its new place: %d of %d contacts.\n", m.Edges.Account.Slug,
			relay.NewID(relay.KindGroup, m.GroupID), m.GroupID, m.Carried, m.Total)
	}
	accounts, err := patient.Examine(ctx, c.Account, faults.add)
	if ctx.Err() != nil {
		err = errors.New("it was stopped before it had looked everywhere")
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	return faults.conclude(accounts)
}

// faultList prints faults as they are found.
type faultList struct {
	w     io.Writer
	order []doctor.Kind
	found map[doctor.Kind]int
}

// listed is how many faults of a kind are printed.
const listed = 20

func (l *faultList) add(f doctor.Fault) {
	if l.found == nil {
		l.found = map[doctor.Kind]int{}
	}
	if l.found[f.Kind] == 0 {
		l.order = append(l.order, f.Kind)
	}
	if l.found[f.Kind]++; l.found[f.Kind] <= listed {
		fmt.Fprintln(l.w, f)
	}
}

// conclude says how many faults there are of each kind, and what to do.
func (l *faultList) conclude(accounts int) error {
	if len(l.order) == 0 {
		fmt.Fprintf(l.w, "No faults in %s.\n", plural(accounts, "account"))
		return nil
	}
	total := 0
	fmt.Fprintln(l.w)
	for _, kind := range l.order {
		n := l.found[kind]
		total += n
		more := ""
		if n > listed {
			more = fmt.Sprintf(", %d more than are listed", n-listed)
		}
		if n >= doctor.MaxFaults {
			more += ", and there may be others"
		}
		fmt.Fprintf(l.w, "%s: %d%s; %s.\n", kind, n, more, kind.Advice())
	}
	fmt.Fprintf(l.w, "%s in %s.\n", plural(total, "fault"), plural(accounts, "account"))
	return errFaults
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
