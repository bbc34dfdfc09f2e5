package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/store"
	"canopy/tree"
)

type rebuildCommand struct{ existingFlags }

// Help takes part in kong.HelpProvider.
func (rebuildCommand) Help() string {
	return "Paths, boxes, lists and counters are written anew where they do not follow from parents, visibility, groups of " +
		"contacts, homes of users and conversations. It can run beside a working server: an account in which nothing is wrong " +
		"is only read; while another one is mended, in one transaction, whoever changes something there waits.\n\n" +
		"Exit status: 0 all that it mends is right now, 1 it failed, 2 wrong usage, 3 an account needs a person."
}

// Run mends account by account, and then what belongs to none.
func (c *rebuildCommand) Run(ctx context.Context, std streams) error {
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(c.rebuild(ctx, std, db), db.Close())
}

func (c *rebuildCommand) rebuild(ctx context.Context, std streams, db *store.DB) error {
	query := db.Read.Account.Query().Order(account.ByID()).Select(account.FieldSlug)
	if c.Account != "" {
		query.Where(account.Slug(c.Account))
	}
	list, err := query.All(authz.Trusted(ctx))
	if err != nil {
		return err
	}
	if c.Account != "" && len(list) == 0 {
		return fmt.Errorf("there is no account with the slug %q", c.Account)
	}
	var left error
	for _, a := range list {
		mended, err := mend(ctx, db, a.ID)
		switch {
		case errors.Is(err, tree.ErrUnreachable), errors.Is(err, tree.ErrTooDeep):
			complain(std.err, fmt.Errorf("account %s needs a person, and is as it was: %w; canopy doctor says more", a.Slug, err))
			left = errFaults
		case err != nil:
			return fmt.Errorf("account %s: %w", a.Slug, err)
		default:
			fmt.Fprintf(std.out, "%s: %s\n", a.Slug, mended)
		}
	}
	if c.Account == "" {
		if err := sweep(ctx, std, db); err != nil {
			return err
		}
	}
	return left
}

// mend rebuilds an account in which something is wrong, and says what it mended.
func mend(ctx context.Context, db *store.DB, accountID int64) (string, error) {
	faults, err := tree.Check(ctx, db.Read, accountID)
	if err != nil {
		return "", err
	}
	if len(faults) == 0 {
		return "nothing to mend", nil
	}
	var mended tree.Mended
	err = db.Write(authz.Trusted(ctx), func(ctx context.Context, tx *ent.Tx) (err error) {
		mended, err = tree.Rebuild(ctx, tx, accountID)
		return err
	})
	if err != nil {
		return "", err
	}
	var parts []string
	for _, kind := range []tree.FaultKind{tree.WrongPlace, tree.WrongBox, tree.ScopeSurplus, tree.ScopeMissing, tree.WrongCount} {
		if n := mended[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", kind, n))
		}
	}
	if len(parts) == 0 {
		return "nothing to mend", nil // somebody else was faster
	}
	return "mended " + strings.Join(parts, ", "), nil
}

func sweep(ctx context.Context, std streams, db *store.DB) error {
	faults, err := tree.CheckStray(ctx, db.Read)
	if err != nil || len(faults) == 0 {
		return err
	}
	return db.Write(authz.Trusted(ctx), func(ctx context.Context, tx *ent.Tx) error {
		n, err := tree.Sweep(ctx, tx)
		if err == nil {
			fmt.Fprintf(std.out, "mended %s %d\n", tree.ScopeStray, n)
		}
		return err
	})
}
