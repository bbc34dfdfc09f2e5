package graph

import (
	"context"
	"fmt"
	"slices"
	"time"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/role"
	"canopy/ent/generated/rolegrant"
	"canopy/refusal"
	"canopy/relay"

	"entgo.io/ent/dialect/sql"
)

// maxRoles is how many roles are listed.
const maxRoles = 200

type (
	roleResolver      struct{ *resolver }
	roleGrantResolver struct{ *resolver }
)

func (r *queryResolver) Role(ctx context.Context, id relay.ID) (*ent.Role, error) {
	return one(ctx, r.DB.Read, roleRows, id.As(relay.KindRole), "role")
}

func (r *queryResolver) Roles(ctx context.Context) ([]*ent.Role, error) {
	return roleRows(ctx, r.DB.Read, func(s *sql.Selector) { builtInFirst(s); s.Limit(maxRoles) })
}

// builtInFirst sorts roles: those that every account has, in the order of the chart, then the custom ones by name.
func builtInFirst(s *sql.Selector) {
	s.OrderExprFunc(func(b *sql.Builder) {
		// Ent takes no arguments in an order; keys and numbers of built-in roles are constants.
		b.WriteString("CASE ").WriteString(s.C(role.FieldKey))
		roles := authz.BuiltInRoles()
		for i, builtIn := range roles {
			b.WriteString(fmt.Sprintf(" WHEN '%s' THEN %d", builtIn.Key, i))
		}
		b.WriteString(fmt.Sprintf(" ELSE %d END", len(roles)))
	}).OrderBy(s.C(role.FieldNameKey), s.C(role.FieldID))
}

func (r *roleResolver) BuiltIn(_ context.Context, role *ent.Role) (bool, error) {
	return role.Key != nil, nil
}

func (r *roleResolver) Pairs(_ context.Context, role *ent.Role) ([]*authz.Pair, error) {
	list := authz.PairsOf(role.Pairs).List()
	if role.Key != nil {
		builtIn, _ := authz.BuiltInRole(*role.Key)
		list = builtIn.Pairs.List()
	}
	return pointers(list), nil
}

func pointers[T any](list []T) []*T {
	to := make([]*T, len(list))
	for i := range list {
		to[i] = &list[i]
	}
	return to
}

func (r *roleResolver) MayGive(ctx context.Context, role *ent.Role) ([]*ent.Role, error) {
	return take[[]*ent.Role](ctx, r.resolver, role)
}

func (r *queryResolver) RoleGrants(ctx context.Context, userID, roleID, groupID *relay.ID, first *int, after *string) (*relay.Connection[*ent.RoleGrant], error) {
	p, err := r.page(ctx, first, after)
	if err != nil {
		return nil, err
	}
	conditions := []func(*sql.Selector){lasting(r.now())}
	if userID != nil {
		u, err := one(ctx, r.DB.Read, userRows, userID.As(relay.KindUser), "user")
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, with(rolegrant.FieldUserID, &u.ID))
	}
	if roleID != nil {
		held, err := one(ctx, r.DB.Read, roleRows, roleID.As(relay.KindRole), "role")
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, with(rolegrant.FieldRoleID, &held.ID))
	}
	if groupID != nil {
		g, err := one(ctx, r.DB.Read, groupRows, groupID.As(relay.KindGroup), "group")
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, standingAt(g.ID))
	}
	return grantsNewestFirst().page(ctx, r.DB.Read, p, conditions...)
}

// The period of grantExpiries where none is given: what ran out lately, and what runs out soon.
const (
	expiredLately = 7 * 24 * time.Hour
	expiresSoon   = 30 * 24 * time.Hour
)

func (r *queryResolver) GrantExpiries(ctx context.Context, from, until *time.Time, first *int, after *string) (*relay.Connection[*ent.RoleGrant], error) {
	p, err := r.page(ctx, first, after)
	if err != nil {
		return nil, err
	}
	begin, end := r.now().Add(-expiredLately), r.now().Add(expiresSoon)
	if from != nil {
		begin = *from
	}
	if until != nil {
		end = *until
	}
	if !end.After(begin) {
		return nil, refusal.BadInput("until", "The period ends before it begins; left out, it ends in 30 days and began 7 days ago. Give a later end, or an earlier beginning.")
	}
	return grantsByEnd().page(ctx, r.DB.Read, p, func(s *sql.Selector) {
		s.Where(sql.And(
			sql.IsNull(s.C(rolegrant.FieldRevokedAt)),
			sql.GTE(s.C(rolegrant.FieldValidUntil), begin.UTC()), sql.LT(s.C(rolegrant.FieldValidUntil), end.UTC())))
	})
}

// standingAt narrows a select of grants to those fixed to the group or following it as home group.
func standingAt(groupID int64) func(*sql.Selector) {
	return func(s *sql.Selector) {
		residents := sql.Dialect(s.Dialect()).Select("id").From(sql.Table("users"))
		residents.Where(sql.EQ(residents.C("home_group_id"), groupID))
		s.Where(sql.Or(
			sql.EQ(s.C(rolegrant.FieldGroupID), groupID),
			sql.And(sql.IsNull(s.C(rolegrant.FieldGroupID)), sql.In(s.C(rolegrant.FieldUserID), residents))))
	}
}

func (r *roleGrantResolver) User(ctx context.Context, g *ent.RoleGrant) (*ent.User, error) {
	return take[*ent.User](ctx, r.resolver, g)
}

func (r *roleGrantResolver) Role(ctx context.Context, g *ent.RoleGrant) (*ent.Role, error) {
	return take[*ent.Role](ctx, r.resolver, g)
}

func (r *roleGrantResolver) Group(ctx context.Context, g *ent.RoleGrant) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, g)
}

func (r *roleGrantResolver) FollowsHomeGroup(_ context.Context, g *ent.RoleGrant) (bool, error) {
	return g.GroupID == nil, nil
}

func (r *roleGrantResolver) InForce(_ context.Context, g *ent.RoleGrant) (bool, error) {
	now := r.now()
	ended := g.ValidUntil != nil && !g.ValidUntil.After(now)
	return g.RevokedAt == nil && !g.ValidFrom.After(now) && !ended, nil
}

func (r *roleGrantResolver) GrantedBy(ctx context.Context, g *ent.RoleGrant) (*ent.User, error) {
	return take[*ent.User](ctx, r.resolver, g)
}

func (r *resolver) roleLoaders() map[string]anyLoader {
	return map[string]anyLoader{
		"mayGive": loader[*ent.Role, []*ent.Role]{numberOfNode[*ent.Role], r.mayGive},
	}
}

func (r *resolver) roleGrantLoaders() map[string]anyLoader {
	return map[string]anyLoader{
		"user":      toOne(r, userRows, to(func(g *ent.RoleGrant) int64 { return g.UserID })),
		"role":      toOne(r, trusted(roleRows), to(func(g *ent.RoleGrant) int64 { return g.RoleID })),
		"group":     loader[*ent.RoleGrant, *ent.Group]{numberOfNode[*ent.RoleGrant], r.grantGroups},
		"grantedBy": toOne(r, userRows, func(g *ent.RoleGrant) *int64 { return g.GrantedByID }),
	}
}

// grantGroups are the groups of fixed grants, and of the others the home groups of their users.
func (r *resolver) grantGroups(ctx context.Context, grants []*ent.RoleGrant, _ asked) (map[int64]*ent.Group, error) {
	homes, err := r.homesOf(ctx, grants)
	if err != nil {
		return nil, err
	}
	at := func(g *ent.RoleGrant) *int64 {
		if g.GroupID != nil {
			return g.GroupID
		}
		home := homes[g.UserID]
		return &home
	}
	return toOne(r, groupRows, at).load(ctx, grants, asked{})
}

// homesOf returns the home groups of those who hold grants that follow them.
func (r *resolver) homesOf(ctx context.Context, grants []*ent.RoleGrant) (map[int64]int64, error) {
	var holders []int64
	for _, g := range grants {
		if g.GroupID == nil {
			holders = append(holders, g.UserID)
		}
	}
	users, err := byID(ctx, r.DB.Read, trusted(userRows), holders)
	homes := make(map[int64]int64, len(users))
	for id, u := range users {
		homes[id] = u.HomeGroupID
	}
	return homes, err
}

// mayGive lists, of the roles that the viewer sees, those that holders of each role may give.
func (r *resolver) mayGive(ctx context.Context, roles []*ent.Role, _ asked) (map[int64][]*ent.Role, error) {
	visible, err := roleRows(ctx, r.DB.Read, builtInFirst)
	if err != nil {
		return nil, err
	}
	all, err := r.DB.Read.Role.Query().Where(role.AccountID(roles[0].AccountID)).WithMayGive().All(authz.Trusted(ctx))
	if err != nil {
		return nil, err
	}
	given := make(map[int64][]*ent.Role, len(roles))
	for _, held := range roles {
		may := make(map[int64]bool)
		for _, listed := range directory.MayGive(held, all) {
			may[listed.ID] = true
		}
		list := slices.DeleteFunc(slices.Clone(visible), func(candidate *ent.Role) bool { return !may[candidate.ID] })
		given[held.ID] = list[:min(len(list), maxRoles)]
	}
	return given, nil
}
