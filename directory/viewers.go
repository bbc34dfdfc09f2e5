package directory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/group"
	"canopy/ent/generated/predicate"
	"canopy/ent/generated/role"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/tree"
)

// LoadViewers returns users of the account as viewers, by id, with the grants that are in force at the moment, whatever
// the users' status; who is not there is left out. It is LoadViewer for many: a handful of statements for up to
// valuesAtOnce users, judged by the same code. It does not ask whether the viewer in the context may see the users.
func (s *Service) LoadViewers(ctx context.Context, c *ent.Client, accountID int64, userIDs []int64, at time.Time) (map[int64]*authz.Viewer, error) {
	st, err := loadStanding(authz.Trusted(ctx), c, accountID, userIDs, at)
	if err != nil {
		return nil, fmt.Errorf("directory: loading %d viewers: %w", len(userIDs), err)
	}
	viewers := make(map[int64]*authz.Viewer, len(st.users))
	for id := range st.users {
		v, err := st.viewer(id)
		if err != nil {
			return nil, fmt.Errorf("directory: loading user %d as a viewer: %w", id, err)
		}
		if v != nil {
			viewers[id] = v
		}
	}
	return viewers, nil
}

// valuesAtOnce is how many values one statement compares with: it takes only so many parameters.
const valuesAtOnce = 1000

// standing is what makes users viewers: their grants, the roles, and the groups where both stand with all above those.
type standing struct {
	account *ent.Account
	at      time.Time // the grants are those in force then
	users   map[int64]*ent.User
	grants  map[int64][]*ent.RoleGrant // by user, in the order of their ids
	roles   map[int64]*ent.Role
	groups  map[int64]*ent.Group
}

func loadStanding(ctx context.Context, c *ent.Client, accountID int64, userIDs []int64, at time.Time) (*standing, error) {
	st := &standing{at: at, users: map[int64]*ent.User{}, grants: map[int64][]*ent.RoleGrant{}}
	var err error
	if st.account, err = c.Account.Query().Where(account.ID(accountID)).Only(ctx); err != nil {
		return nil, err
	}
	if st.roles, err = rolesOf(ctx, c, accountID); err != nil {
		return nil, err
	}
	var stands []int64
	for part := range slices.Chunk(userIDs, valuesAtOnce) {
		users, err := c.User.Query().Where(user.AccountID(accountID), user.IDIn(part...)).
			Select(user.FieldID, user.FieldHomeGroupID).All(ctx)
		if err != nil {
			return nil, err
		}
		grants, err := c.RoleGrant.Query().Where(rolegrant.AccountID(accountID), rolegrant.UserIDIn(part...)).
			Where(inForce(at)...).Order(rolegrant.ByID()).
			Select(rolegrant.FieldID, rolegrant.FieldUserID, rolegrant.FieldRoleID, rolegrant.FieldGroupID).All(ctx)
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			st.users[u.ID] = u
			stands = append(stands, u.HomeGroupID)
		}
		for _, g := range grants {
			st.grants[g.UserID] = append(st.grants[g.UserID], g)
			if g.GroupID != nil {
				stands = append(stands, *g.GroupID)
			}
		}
	}
	st.groups, err = withAncestors(ctx, c, accountID, stands)
	return st, err
}

// place is the group where a grant stands: its own, or the home group of its user.
func (st *standing) place(g *ent.RoleGrant) int64 {
	if g.GroupID != nil {
		return *g.GroupID
	}
	return st.users[g.UserID].HomeGroupID
}

// viewer returns the user as a viewer, nil when the home group went away between two statements.
func (st *standing) viewer(userID int64) (*authz.Viewer, error) {
	u := st.users[userID]
	home := st.groups[u.HomeGroupID]
	if home == nil {
		return nil, nil
	}
	v := &authz.Viewer{AccountID: st.account.ID, UserID: u.ID, Home: rule.PlaceOf(home), At: st.at}
	for _, g := range st.grants[userID] {
		r, stands := st.roles[g.RoleID], st.place(g)
		if r == nil || st.groups[stands] == nil {
			continue // gone between two statements
		}
		grant, err := grantAt(st.groups, stands, st.pairs(r))
		if err != nil {
			return nil, fmt.Errorf("role %d: %w", r.ID, err)
		}
		grant.ID, grant.RoleID = g.ID, g.RoleID
		if r.Key != nil {
			grant.RoleKey = *r.Key
		}
		v.Grants = append(v.Grants, grant)
	}
	return v, nil
}

// pairs are what a role gives: custom ones nothing while they are switched off.
func (st *standing) pairs(r *ent.Role) authz.Pairs {
	if r.Key == nil && !st.account.CustomRolesEnabled {
		return authz.Pairs{}
	}
	return pairsOf(r)
}

// inForce selects the grants that are in force at the moment (ruling 1).
func inForce(at time.Time) []predicate.RoleGrant {
	return []predicate.RoleGrant{rolegrant.RevokedAtIsNil(), rolegrant.ValidFromLTE(at),
		rolegrant.Or(rolegrant.ValidUntilIsNil(), rolegrant.ValidUntilGT(at))}
}

// rolesOf returns the roles of the account by id.
func rolesOf(ctx context.Context, c *ent.Client, accountID int64) (map[int64]*ent.Role, error) {
	list, err := c.Role.Query().Where(role.AccountID(accountID)).All(authz.Trusted(ctx))
	roles := make(map[int64]*ent.Role, len(list))
	for _, r := range list {
		roles[r.ID] = r
	}
	return roles, err
}

// withAncestors returns the groups with all that are above them, by id, with what access depends on.
func withAncestors(ctx context.Context, c *ent.Client, accountID int64, ids []int64) (map[int64]*ent.Group, error) {
	found := map[int64]*ent.Group{}
	for wanted := once(ids); len(wanted) > 0; {
		part := wanted[:min(len(wanted), valuesAtOnce)]
		wanted = wanted[len(part):]
		list, err := c.Group.Query().Where(group.AccountID(accountID), group.IDIn(part...)).
			Select(group.FieldID, group.FieldPath, group.FieldWall, group.FieldSharedInbox, group.FieldAssignmentMode).All(authz.Trusted(ctx))
		if err != nil {
			return nil, err
		}
		for _, g := range list {
			found[g.ID] = g
		}
		for _, g := range list {
			for _, above := range tree.IDs(g.Path) {
				if _, have := found[above]; !have {
					found[above] = nil // asked for, once
					wanted = append(wanted, above)
				}
			}
		}
	}
	return found, nil
}
