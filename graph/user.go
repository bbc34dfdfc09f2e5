package graph

import (
	"context"
	"slices"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/user"
	"canopy/graph/bind"
	"canopy/graph/model"
	"canopy/refusal"
	"canopy/relay"

	"entgo.io/ent/dialect/sql"
)

// maxGrants is how many grants of one user are shown.
const maxGrants = 100

type userResolver struct{ *resolver }

func (r *queryResolver) User(ctx context.Context, id relay.ID) (*ent.User, error) {
	return one(ctx, r.DB.Read, userRows, id.As(relay.KindUser), "user")
}

func (r *queryResolver) Users(ctx context.Context, under *relay.ID, search *string, status *user.Status, roleID *relay.ID, first *int, after *string) (*relay.Connection[*ent.User], error) {
	p, err := r.page(ctx, first, after)
	if err != nil {
		return nil, err
	}
	branch, err := r.under(ctx, under)
	if err != nil {
		return nil, err
	}
	holding, err := r.holding(ctx, roleID)
	if err != nil {
		return nil, err
	}
	text, err := searchText(search)
	if err != nil {
		return nil, err
	}
	return usersByName().page(ctx, r.DB.Read, p, branch.homes, searched(text, "name_key", "email_key"), with(user.FieldStatus, status), holding)
}

// with narrows a select to rows that have the value, if there is one.
func with[T any](column string, value *T) func(*sql.Selector) {
	return func(s *sql.Selector) {
		if value != nil {
			s.Where(sql.EQ(s.C(column), *value))
		}
	}
}

// holding narrows a select of users to those who hold the role by a grant in force.
func (r *resolver) holding(ctx context.Context, id *relay.ID) (func(*sql.Selector), error) {
	if id == nil {
		return func(*sql.Selector) {}, nil
	}
	role, err := one(ctx, r.DB.Read, roleRows, id.As(relay.KindRole), "role")
	if err != nil {
		return nil, err
	}
	if !authz.FromContext(ctx).CanAccount(authz.RolesView) {
		return nil, refusal.Forbidden(authz.RolesView, "on the account")
	}
	now := inForce(r.now())
	return func(s *sql.Selector) {
		grants := sql.Dialect(s.Dialect()).Select(rolegrant.FieldUserID).From(sql.Table(rolegrant.Table))
		grants.Where(sql.EQ(grants.C(rolegrant.FieldRoleID), role.ID))
		now(grants)
		s.Where(sql.In(s.C(user.FieldID), grants))
	}, nil
}

// inForce narrows a select of grants to those that count at the moment.
func inForce(at time.Time) func(*sql.Selector) {
	return func(s *sql.Selector) {
		lasting(at)(s)
		s.Where(sql.LTE(s.C(rolegrant.FieldValidFrom), at))
	}
}

// lasting narrows a select of grants to those that count at the moment or will count later.
func lasting(at time.Time) func(*sql.Selector) {
	return func(s *sql.Selector) {
		s.Where(sql.And(
			sql.IsNull(s.C(rolegrant.FieldRevokedAt)),
			sql.Or(sql.IsNull(s.C(rolegrant.FieldValidUntil)), sql.GT(s.C(rolegrant.FieldValidUntil), at))))
	}
}

func (r *userResolver) HomeGroup(ctx context.Context, u *ent.User) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, u)
}

func (r *userResolver) Grants(ctx context.Context, u *ent.User) ([]*ent.RoleGrant, error) {
	if err := r.mayViewRoles(ctx, u); err != nil {
		return nil, err
	}
	return take[[]*ent.RoleGrant](ctx, r.resolver, u)
}

func (r *userResolver) Roles(ctx context.Context, u *ent.User) ([]*ent.Role, error) {
	if err := r.mayViewRoles(ctx, u); err != nil {
		return nil, err
	}
	return take[[]*ent.Role](ctx, r.resolver, u)
}

func (r *userResolver) Agent(ctx context.Context, u *ent.User) (*bind.Agent, error) {
	return take[*bind.Agent](ctx, r.resolver, u)
}

// EffectivePermissions asks for what `at` names before it asks for the permission: NOT_FOUND comes before FORBIDDEN.
func (r *userResolver) EffectivePermissions(ctx context.Context, u *ent.User, _ *relay.ID) ([]*model.EffectivePermission, error) {
	found, err := take[[]*model.EffectivePermission](ctx, r.resolver, u)
	if err != nil {
		return nil, err
	}
	if !mayExplain(ctx, u.ID) {
		return nil, refusal.Forbidden(authz.AccessExplain, "on the account")
	}
	return found, nil
}

func (r *resolver) userLoaders() map[string]anyLoader {
	return map[string]anyLoader{
		"homeGroup":            toOne(r, groupRows, to(func(u *ent.User) int64 { return u.HomeGroupID })),
		"grants":               loader[*ent.User, []*ent.RoleGrant]{numberOfNode[*ent.User], r.userGrants},
		"roles":                loader[*ent.User, []*ent.Role]{numberOfNode[*ent.User], r.userRoles},
		"agent":                toOne(r, agentRows, to(func(u *ent.User) int64 { return u.ID })),
		"effectivePermissions": loader[*ent.User, []*model.EffectivePermission]{numberOfNode[*ent.User], r.effectivePermissions},
	}
}

// mayViewRoles asks for ROLES_VIEW, or ROLES_ASSIGN, at a user who is not the viewer.
func (r *resolver) mayViewRoles(ctx context.Context, u *ent.User) error {
	v := authz.FromContext(ctx)
	if u.ID == v.UserID {
		return nil
	}
	places, err := r.places(ctx, []int64{u.HomeGroupID})
	if err != nil {
		return err
	}
	if at := authz.AtUser(places[u.HomeGroupID], u.ID); !v.Can(authz.RolesView, at) && !v.Can(authz.RolesAssign, at) {
		return refusal.Forbidden(authz.RolesView, "at this user")
	}
	return nil
}

func (r *resolver) userGrants(ctx context.Context, users []*ent.User, _ asked) (map[int64][]*ent.RoleGrant, error) {
	return r.grantsOf(ctx, users, lasting(r.now()))
}

// userRoles returns the roles of the grants in force, each once.
func (r *resolver) userRoles(ctx context.Context, users []*ent.User, _ asked) (map[int64][]*ent.Role, error) {
	grants, err := r.grantsOf(ctx, users, inForce(r.now()))
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, list := range grants {
		for _, g := range list {
			ids = append(ids, g.RoleID)
		}
	}
	found, err := byID(ctx, r.DB.Read, trusted(roleRows), ids)
	roles := make(map[int64][]*ent.Role, len(users))
	for user, list := range grants {
		roles[user] = []*ent.Role{}
		for _, g := range list {
			if role := found[g.RoleID]; !slices.Contains(roles[user], role) {
				roles[user] = append(roles[user], role)
			}
		}
	}
	return roles, err
}

// grantsOf loads the visible grants of users, and where the users are at home, which decides whether they are shown.
func (r *resolver) grantsOf(ctx context.Context, users []*ent.User, which func(*sql.Selector)) (map[int64][]*ent.RoleGrant, error) {
	homes := make([]int64, len(users))
	for i, u := range users {
		homes[i] = u.HomeGroupID
	}
	if _, err := r.places(ctx, homes); err != nil {
		return nil, err
	}
	grants := nested[*ent.RoleGrant]{list: grantsNewestFirst(), relation: ofUser, narrow: []func(*sql.Selector){which}}
	return grants.first(ctx, r.DB.Read, numbers(users), maxGrants, func(g *ent.RoleGrant) int64 { return g.UserID })
}
