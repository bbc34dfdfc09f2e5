package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"canopy/authz"
	"canopy/bulk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/role"
	"canopy/generate"
	"canopy/internal/fold"
	"canopy/tree"
)

// The account of a data set and who is in it besides those who are generated.
const (
	slug     = "bench"
	password = "not-a-secret-2027"

	owner     = "owner@bench.example"
	atRoot    = "root@bench.example"      // dashboard administrator of everything
	atMiddle  = "middle@bench.example"    // of about 1,000 groups
	atCold    = "cold@bench.example"      // of a branch where nothing has moved for long
	scattered = "scattered@bench.example" // of 20 branches, none above another
	gateway   = "gateway@bench.example"   // brings messages
)

const wideName = "Wide" // has 100 children

// fill makes the company in an empty database.
func fill(ctx context.Context, address string, s size) (err error) {
	d, err := openDataset(ctx, address, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	created, err := d.directory.CreateAccount(ctx, directory.CreateAccount{
		Name: "Bench (generated)", Slug: slug, OwnerName: "Olive Bencher", OwnerEmail: owner,
	})
	if err != nil {
		return err
	}
	if err := d.directory.SetPassword(ctx, directory.SetPassword{Token: created.SetupToken, Password: password}); err != nil {
		return err
	}
	d.account = created.Account
	for _, step := range []func(context.Context) error{d.load, d.serve, d.rebuild, d.analyze, d.widen, d.invite} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *dataset) options() generate.Options {
	return generate.Options{Groups: d.groups, Depth: 8, Users: d.groups / 10, Contacts: d.contacts, Seed: 1, Shape: generate.Branching}
}

// load puts the generated company into the account, as an import would.
func (d *dataset) load(ctx context.Context) error {
	ctx, err := d.as(ctx, owner)
	if err != nil {
		return err
	}
	importer := &bulk.Service{DB: d.db, Directory: d.directory, Desk: d.desk, Now: time.Now}
	return d.options().Into(ctx, importer, func(bulk.Kind) {})
}

// serve gives the contacts a past: two of five are served and open, one is served and closed, one waits in a
// conversation, one waits without. What moved last is spread over all groups, but for the cold branch, where nothing
// has moved for ten years.
func (d *dataset) serve(ctx context.Context) error {
	cold, err := d.cold(ctx)
	if err != nil {
		return err
	}
	from, to := tree.Range(cold.Path)
	for _, s := range []string{
		`UPDATE contacts SET sort_key = sort_key - (id * 7919 % 1000003) * 1000000`,
		`UPDATE contacts SET sort_key = sort_key - CAST(315360000000000 AS BIGINT) WHERE group_id IN (SELECT id FROM groups WHERE path >= $1 AND path < $2)`,
		`UPDATE contacts SET waiting_since = NULL, box = CASE id % 5 WHEN 4 THEN 5 ELSE 3 END,
			assigned_user_id = (SELECT MIN(id) FROM users) + 1 + id % (SELECT COUNT(*) - 1 FROM users) WHERE id % 5 >= 2`,
		`UPDATE contacts SET box = 2 WHERE id % 5 = 1`,
		`UPDATE users SET status = 'ACTIVE'`,
		`INSERT INTO conversations (number, subject, opened_at, closed_at, account_id, contact_id, agent_id)
			SELECT ROW_NUMBER() OVER (ORDER BY id), 'Order', created_at, CASE WHEN box = 5 THEN created_at END, account_id, id, assigned_user_id
			FROM contacts WHERE box > 0`,
		`INSERT INTO contact_assignments (method, explanation, started_at, account_id, contact_id, user_id)
			SELECT 'ASSIGNED', 'Generated.', created_at, account_id, id, assigned_user_id FROM contacts WHERE assigned_user_id IS NOT NULL`,
		`UPDATE accounts SET next_conversation_number = 1 + (SELECT COUNT(*) FROM conversations)`,
	} {
		var args []any
		if strings.Contains(s, "$1") {
			args = []any{from, to}
		}
		if _, err := d.plain.ExecContext(ctx, s, args...); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func (d *dataset) rebuild(ctx context.Context) error {
	return d.db.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
		_, err := tree.Rebuild(ctx, tx, d.account.ID)
		return err
	})
}

// analyze lets PostgreSQL look at what there is, as it does by itself sooner or later. SQLite has its statistics from
// the migrations.
func (d *dataset) analyze(ctx context.Context) error {
	if !d.postgres() {
		return nil
	}
	_, err := d.plain.ExecContext(ctx, "VACUUM ANALYZE")
	return err
}

// widen adds a group with 100 children.
func (d *dataset) widen(ctx context.Context) error {
	return d.db.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
		root, err := d.root(ctx)
		if err != nil {
			return err
		}
		wide, err := d.create(ctx, tx, root.ID, wideName)
		for i := 0; i < 100 && err == nil; i++ {
			_, err = d.create(ctx, tx, wide, fmt.Sprintf("Narrow %d", i+1))
		}
		return err
	})
}

func (d *dataset) create(ctx context.Context, c tree.Conn, parent int64, name string) (int64, error) {
	return tree.Create(ctx, c, tree.NewGroup{AccountID: d.account.ID, ParentID: &parent, Name: name, NameKey: fold.Key(name), Now: time.Now()}, generate.MaxDepth)
}

// invite lets those in who are measured as viewers.
func (d *dataset) invite(ctx context.Context) error {
	root, err := d.root(ctx)
	if err != nil {
		return err
	}
	middle, err := d.middle(ctx)
	if err != nil {
		return err
	}
	cold, err := d.cold(ctx)
	if err != nil {
		return err
	}
	branches, err := d.scatter(ctx, 20)
	if err != nil {
		return err
	}
	for _, p := range []struct {
		email, role string
		homes       []int64
	}{
		{atRoot, authz.RoleDashboardAdministrator, []int64{root.ID}},
		{atMiddle, authz.RoleDashboardAdministrator, []int64{middle.ID}},
		{atCold, authz.RoleDashboardAdministrator, []int64{cold.ID}},
		{scattered, authz.RoleDashboardAdministrator, branches},
		{gateway, authz.RoleDeveloper, []int64{root.ID}},
	} {
		if err := d.hire(ctx, p.email, p.role, p.homes); err != nil {
			return fmt.Errorf("hiring %s: %w", p.email, err)
		}
	}
	return nil
}

// hire invites somebody to the first of the groups, with the role there and at the others.
func (d *dataset) hire(ctx context.Context, email, key string, groups []int64) error {
	ctx, err := d.as(ctx, owner)
	if err != nil {
		return err
	}
	r, err := d.db.Read.Role.Query().Where(role.Key(key)).Only(ctx)
	if err != nil {
		return err
	}
	invited, err := d.directory.InviteUser(ctx, directory.InviteUser{
		Name: "Bencher " + email, Email: email, HomeGroupID: groups[0], RoleIDs: []int64{r.ID}, Reason: "bench",
	})
	if err != nil {
		return err
	}
	if err := d.directory.SetPassword(ctx, directory.SetPassword{Token: invited.SetupToken, Password: password}); err != nil {
		return err
	}
	for _, g := range groups[1:] {
		if _, err := d.directory.GrantRole(ctx, directory.GrantRole{UserID: invited.User.ID, RoleID: r.ID, GroupID: &g, Reason: "bench"}); err != nil {
			return err
		}
	}
	return nil
}
