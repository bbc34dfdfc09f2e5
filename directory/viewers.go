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
	viewers := make(map[int64]*authz.Viewer, len(userIDs))
	for part := range slices.Chunk(userIDs, valuesAtOnce) {
		if err := loadViewers(authz.Trusted(ctx), c, accountID, part, at, viewers); err != nil {
			return nil, fmt.Errorf("directory: loading %d viewers: %w", len(part), err)
		}
	}
	return viewers, nil
}

// valuesAtOnce is how many values one statement compares with: it takes only so many parameters.
const valuesAtOnce = 1000

func loadViewers(ctx context.Context, c *ent.Client, accountID int64, userIDs []int64, at time.Time, viewers map[int64]*authz.Viewer) error {
	a, err := c.Account.Query().Where(account.ID(accountID)).Only(ctx)
	if err != nil {
		return err
	}
	users, err := c.User.Query().Where(user.AccountID(accountID), user.IDIn(userIDs...)).All(ctx)
	if err != nil {
		return err
	}
	grants, err := c.RoleGrant.Query().Where(rolegrant.AccountID(accountID), rolegrant.UserIDIn(userIDs...)).
		Where(inForce(at)...).Order(rolegrant.ByID()).All(ctx)
	if err != nil {
		return err
	}
	roles, err := rolesOf(ctx, c, accountID)
	if err != nil {
		return err
	}
	homes := make(map[int64]int64, len(users))
	var stands []int64
	for _, u := range users {
		homes[u.ID] = u.HomeGroupID
		stands = append(stands, u.HomeGroupID)
	}
	for _, g := range grants {
		if g.GroupID != nil {
			stands = append(stands, *g.GroupID)
		}
	}
	groups, err := withAncestors(ctx, c, accountID, stands)
	if err != nil {
		return err
	}
	for _, u := range users {
		home := groups[u.HomeGroupID]
		if home == nil {
			continue // moved away and deleted between two statements
		}
		viewers[u.ID] = &authz.Viewer{AccountID: accountID, UserID: u.ID, Home: rule.PlaceOf(home), At: at}
	}
	for _, g := range grants {
		v, r, stands := viewers[g.UserID], roles[g.RoleID], homes[g.UserID]
		if g.GroupID != nil {
			stands = *g.GroupID
		}
		if v == nil || r == nil || groups[stands] == nil {
			continue // gone between two statements
		}
		held := pairsOf(r)
		if r.Key == nil && !a.CustomRolesEnabled {
			held = authz.Pairs{}
		}
		grant, err := grantAt(groups, stands, held)
		if err != nil {
			return fmt.Errorf("role %d: %w", r.ID, err)
		}
		grant.ID, grant.RoleID = g.ID, g.RoleID
		if r.Key != nil {
			grant.RoleKey = *r.Key
		}
		v.Grants = append(v.Grants, grant)
	}
	return nil
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

// withAncestors returns the groups with all that are above them, by id.
func withAncestors(ctx context.Context, c *ent.Client, accountID int64, ids []int64) (map[int64]*ent.Group, error) {
	found := map[int64]*ent.Group{}
	for wanted := once(ids); len(wanted) > 0; {
		part := wanted[:min(len(wanted), valuesAtOnce)]
		wanted = wanted[len(part):]
		list, err := c.Group.Query().Where(group.AccountID(accountID), group.IDIn(part...)).All(authz.Trusted(ctx))
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
