package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/role"
	"canopy/ent/generated/user"
	"canopy/internal/fold"
	"canopy/refusal"
)

// ImportUser is a user to invite, unless there is one with that e-mail address.
type ImportUser struct {
	Name   string
	Email  string
	Home   []string // path of the home group
	Grants []ImportGrant
}

// ImportGrant is a role to begin with.
type ImportGrant struct {
	Role    string // key of a built-in role, or name
	AtGroup bool   // false: the grant follows the home group
	Group   []string
	Until   *time.Time
}

// ImportUsers invites the users who are not there yet, and says of each row what became of it. A row needs what
// InviteUser needs; a grant at a group or with an end needs what GrantRole needs.
func (b *Batch) ImportUsers(ctx context.Context, rows []ImportUser) ([]Imported, error) {
	known, err := b.before(ctx, rows)
	if err != nil {
		return nil, err
	}
	out, users, at := make([]Imported, len(rows)), []newUser{}, []int{}
	for i, in := range rows {
		key := EmailKey(in.Email)
		if id, seen := known.seen[key]; seen || b.plan.emails[key] {
			out[i] = Imported{ID: id, Existed: true}
			continue
		}
		u, err := b.planUser(in, known)
		if err != nil {
			if !isRefusal(err) {
				return nil, err
			}
			out[i].Refused = err
			continue
		}
		b.plan.emails[key] = true
		users, at = append(users, u), append(at, i)
	}
	if b.dry || len(users) == 0 {
		return out, nil
	}
	made, err := b.s.createUsers(ctx, b.d, users, b.reason)
	if err != nil {
		return nil, err
	}
	for i, u := range made {
		out[at[i]] = Imported{ID: u.User.ID, SetupToken: u.SetupToken}
	}
	return out, nil
}

// EmailKey is what an e-mail address is found by.
func EmailKey(address string) string { return fold.Key(strings.TrimSpace(address)) }

// known is what the rows of users are judged by.
type known struct {
	seen   map[string]int64 // users whom the viewer sees, by their e-mail addresses
	taken  map[string]bool  // e-mail addresses of all users
	roles  map[string]*ent.Role
	giving *giving
}

func (b *Batch) before(ctx context.Context, rows []ImportUser) (k known, err error) {
	var paths [][]string
	var emails []string
	for _, in := range rows {
		paths, emails = append(paths, in.Home), append(emails, in.Email)
		for _, g := range in.Grants {
			paths = append(paths, g.Group)
		}
	}
	if err := b.learn(ctx, paths); err != nil {
		return k, err
	}
	if k.seen, err = b.Users(ctx, emails); err != nil {
		return k, err
	}
	all, err := b.Users(authz.Trusted(ctx), emails)
	if err != nil {
		return k, err
	}
	k.taken = map[string]bool{}
	for key := range all {
		k.taken[key] = true
	}
	roles, err := b.d.tx.Role.Query().Where(role.AccountID(b.d.account.ID)).All(ctx)
	if err != nil {
		return k, fmt.Errorf("directory: loading roles: %w", err)
	}
	k.roles = map[string]*ent.Role{}
	for _, r := range roles {
		k.roles[fold.Key(r.Name)] = r
	}
	for _, r := range roles { // a key wins over a custom role of that name
		if r.Key != nil {
			k.roles[fold.Key(*r.Key)] = r
		}
	}
	k.giving, err = b.d.giving(ctx)
	return k, err
}

// planUser checks a row; refusals are in the order of ruling 16.
func (b *Batch) planUser(in ImportUser, k known) (newUser, error) {
	key, _ := b.keysOf(in.Home)
	home, err := b.at("home", key)
	if err != nil {
		return newUser{}, err
	}
	u := newUser{homeID: home.ID}
	errs := []error{refusal.Blame(b.d.mayInvite(home.place()), "home")}
	if len(in.Grants) > maxGrants {
		errs = append(errs, refusal.BadInput("grants", "A user holds at most %d roles. Name fewer.", maxGrants))
		in.Grants = nil
	}
	var have []*ent.RoleGrant
	for _, g := range in.Grants {
		grant, err := b.planGrant(g, home, k, have)
		if err != nil {
			errs = append(errs, refusal.Blame(err, "grants"))
			continue
		}
		u.grants = append(u.grants, grant)
		have = append(have, &ent.RoleGrant{RoleID: grant.role.ID, GroupID: grant.in.GroupID, ValidFrom: b.d.at, ValidUntil: grant.in.ValidUntil})
	}
	who, err := checkUser(in.Name, in.Email)
	u.identityOf = who
	errs = append(errs, err)
	if k.taken[EmailKey(in.Email)] {
		errs = append(errs, errEmailTaken())
	}
	return u, foremost(errs...)
}

// planGrant checks one grant of a row beside those before it.
func (b *Batch) planGrant(g ImportGrant, home spot, k known, have []*ent.RoleGrant) (newGrant, error) {
	r := k.roles[fold.Key(g.Role)]
	if r == nil {
		return newGrant{}, refusal.NotFound("role")
	}
	whom := authz.AtUser(home.place(), 0)
	grant, targets := newGrant{role: r}, []authz.Target{whom}
	grant.in.RoleID, grant.in.ValidUntil = r.ID, utc(g.Until)
	if g.AtGroup {
		key, _ := b.keysOf(g.Group)
		at, err := b.at("grants", key)
		if err != nil {
			return newGrant{}, err
		}
		grant.in.GroupID, targets = &at.ID, append(targets, authz.AtGroup(at.place()))
	}
	errs := []error{b.d.mayGive(k.giving, r.ID, targets...), grant.in.checkTimes(b.d.at),
		b.d.admitsBeside(have, &ent.User{Status: user.StatusINVITED}, r, grant.in)}
	if g.AtGroup || g.Until != nil {
		// An invitation gives roles that follow the home group; what goes beyond is a second step, with a user one sees.
		errs = slices.Insert(errs, 0, b.d.may(authz.UsersView, whom, "at the home group"))
	}
	return grant, foremost(errs...)
}
