package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"canopy/authz"
	"canopy/bulk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/user"
	"canopy/ent/schema"
	"canopy/generate"
	"canopy/store"
)

type generateCommand struct {
	databaseFlags
	Account  string         `required:"" placeholder:"SLUG" help:"Word that names the account that gets the groups, users and contacts."`
	Groups   int            `required:"" help:"How many groups to make below the root."`
	Depth    int            `help:"Depth of the deepest group, 1 to 64; left out, 8, or 1 for a star."`
	Users    int            `help:"How many users to invite, agents at their home group."`
	Contacts int            `help:"How many contacts to make."`
	Seed     uint64         `default:"1" help:"The same seed makes the same company."`
	Shape    generate.Shape `default:"branching" enum:"branching,chain,star" help:"branching: few groups with much below them, many with little; chain: one below the other; star: all below the root."`
}

// Validate refuses what no company can be made of.
func (c *generateCommand) Validate() error { return c.options().Check() }

func (c *generateCommand) options() generate.Options {
	depth := c.Depth
	switch {
	case depth != 0:
	case c.Shape == generate.Star:
		depth = 1
	default:
		depth = min(8, c.Groups)
	}
	return generate.Options{Groups: c.Groups, Depth: depth, Users: c.Users, Contacts: c.Contacts, Seed: c.Seed, Shape: c.Shape}
}

// Run makes the company, as the primary owner of the account would import it.
func (c *generateCommand) Run(ctx context.Context, std streams) (err error) {
	db, err := open(ctx, store.Options{URL: c.Database})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s := newServices(db, 0, schema.MaxDepth)
	ctx, err = asPrimaryOwner(ctx, db, s.directory, c.Account)
	if err != nil {
		return err
	}
	p := progress{out: std.out}
	o := c.options()
	err = o.Into(ctx, &bulk.Service{DB: db, Directory: s.directory, Desk: s.desk, Now: time.Now}, p.count)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "Account %s has %d groups, %d users and %d contacts more.\n", c.Account, o.Groups, o.Users, o.Contacts)
	return nil
}

// asPrimaryOwner returns the context in which the primary owner of the account acts.
func asPrimaryOwner(ctx context.Context, db *store.DB, d *directory.Service, slug string) (context.Context, error) {
	a, err := db.Read.Account.Query().Where(account.Slug(slug)).Only(authz.Trusted(ctx))
	if ent.IsNotFound(err) || err == nil && a.PrimaryOwnerID == nil {
		return nil, fmt.Errorf("there is no account %q with an owner; make one with canopy account create", slug)
	}
	if err != nil {
		return nil, err
	}
	u, err := db.Read.User.Get(authz.Trusted(ctx), *a.PrimaryOwnerID)
	if err != nil {
		return nil, err
	}
	if u.Status != user.StatusACTIVE {
		return nil, fmt.Errorf("the primary owner of %q, %s, is not active; they have to set a password first", slug, u.Email)
	}
	v, err := d.LoadViewer(ctx, db.Read, u.ID)
	if err != nil {
		return nil, err
	}
	return authz.NewContext(ctx, v), nil
}

// progress says now and then how far a long command has come.
type progress struct {
	out  io.Writer
	kind bulk.Kind
	n    int
	told time.Time
}

func (p *progress) count(kind bulk.Kind) {
	if kind != p.kind {
		p.kind, p.n = kind, 0
	}
	p.n++
	if p.told.IsZero() {
		p.told = time.Now()
	}
	if time.Since(p.told) > 5*time.Second {
		fmt.Fprintf(p.out, "%s: %d\n", p.kind, p.n)
		p.told = time.Now()
	}
}
