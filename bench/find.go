package main

import (
	"context"
	"database/sql"
	"fmt"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/user"
	"canopy/tree"
)

// as returns the context in which that user asks, as loaded now.
func (d *dataset) as(ctx context.Context, email string) (context.Context, error) {
	u, err := d.db.Read.User.Query().Where(user.EmailKey(email)).Only(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", email, err)
	}
	v, err := d.directory.LoadViewer(ctx, d.db.Read, u.ID)
	if err != nil {
		return nil, err
	}
	return authz.NewContext(ctx, v), nil
}

func (d *dataset) root(ctx context.Context) (*ent.Group, error) {
	return d.db.Read.Group.Query().Where(group.AccountID(d.account.ID), group.ParentIDIsNil()).Only(authz.Trusted(ctx))
}

func (d *dataset) group(ctx context.Context, id int64) (*ent.Group, error) {
	return d.db.Read.Group.Get(authz.Trusted(ctx), id)
}

// branchOf returns the group at that depth or a few levels further down that comes closest to so many groups below it,
// not counting what is below the other path.
func (d *dataset) branchOf(ctx context.Context, groups, depth int, not string) (*ent.Group, error) {
	var id int64
	err := d.plain.QueryRowContext(ctx, `SELECT g.id FROM groups AS g
		JOIN (SELECT p.id, (SELECT COUNT(*) FROM groups AS b WHERE b.account_id = p.account_id AND b.path > p.path AND b.path < p.path || '~') AS below
			FROM groups AS p WHERE p.account_id = $1 AND p.depth BETWEEN $2 AND $2 + 4 AND NOT (p.path >= $3 AND p.path < $3 || '~')) AS n ON n.id = g.id
		ORDER BY ABS(n.below - $4), g.id LIMIT 1`, d.account.ID, depth, not, groups).Scan(&id)
	if err != nil {
		return nil, fmt.Errorf("finding a branch of %d groups: %w", groups, err)
	}
	return d.group(ctx, id)
}

// cold returns the branch where nothing has moved for long.
func (d *dataset) cold(ctx context.Context) (*ent.Group, error) {
	return d.branchOf(ctx, min(1000, d.groups/10), 2, "none")
}

// middle returns a branch of about 1,000 groups.
func (d *dataset) middle(ctx context.Context) (*ent.Group, error) {
	cold, err := d.cold(ctx)
	if err != nil {
		return nil, err
	}
	return d.branchOf(ctx, 1000, 0, cold.Path)
}

// scatter returns up to so many branches from all over the tree, none below another one.
func (d *dataset) scatter(ctx context.Context, n int) ([]int64, error) {
	var disjoint []int64
	last := "none"
	err := d.ask(ctx, func(rows *sql.Rows) error {
		var id int64
		var path string
		if err := rows.Scan(&id, &path); err != nil {
			return err
		}
		if !tree.Under(path, last) {
			disjoint, last = append(disjoint, id), path
		}
		return nil
	}, `SELECT g.id, g.path FROM groups AS g JOIN group_counters AS n ON n.group_id = g.id
		WHERE g.account_id = $1 AND g.depth >= 2 AND n.descendants BETWEEN 1 AND $2 ORDER BY g.path`, d.account.ID, max(20, d.groups/100))
	if err != nil {
		return nil, err
	}
	var some []int64
	n = min(n, len(disjoint))
	for i := range n {
		some = append(some, disjoint[i*len(disjoint)/n])
	}
	return some, nil
}

// ask runs a query that is no part of what is measured.
func (d *dataset) ask(ctx context.Context, scan func(*sql.Rows) error, query string, args ...any) error {
	s, err := d.plain.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer s.Close()
	return each(ctx, s, scan, args...)
}
