package directory

import (
	"context"
	"fmt"
	"slices"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/predicate"
	"canopy/ent/generated/role"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/user"
	"canopy/refusal"
)

// giving is what the viewer may give to others.
type giving struct {
	viewer *authz.Viewer
	roles  map[int64]*ent.Role // all of the account, with the roles that they may give
	given  map[int64]bool      // the roles that the viewer may give
	pairs  authz.Pairs         // all that is in those
}

func (d *doing) giving(ctx context.Context) (*giving, error) {
	all, err := rolesListing(ctx, d.tx.Role, d.account.ID)
	if err != nil {
		return nil, err
	}
	return givingOf(d.viewer, d.account, all), nil
}

// rolesListing returns the roles of the account, each with those that it lists.
func rolesListing(ctx context.Context, c *ent.RoleClient, accountID int64) ([]*ent.Role, error) {
	all, err := c.Query().Where(role.AccountID(accountID)).WithMayGive().Order(role.ByID()).All(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("directory: loading the roles of the account: %w", err)
	}
	return all, nil
}

// givingOf works out which roles somebody may give: those listed for the roles that they hold, as far as they hold
// ROLES_ASSIGN at all. How far that reaches is asked place by place, by mayAssign.
func givingOf(v *authz.Viewer, a *ent.Account, all []*ent.Role) *giving {
	g := &giving{viewer: v, roles: map[int64]*ent.Role{}, given: map[int64]bool{}}
	for _, r := range all {
		g.roles[r.ID] = r
	}
	if !v.Permissions().Has(authz.RolesAssign) {
		return g
	}
	for _, grant := range v.Grants {
		held := g.roles[grant.RoleID]
		if held == nil || held.Key == nil && !a.CustomRolesEnabled {
			continue
		}
		g.addListed(held)
	}
	for _, grant := range v.Grants {
		builtIn, _ := authz.BuiltInRole(grant.RoleKey)
		g.addCustom(builtIn.GivesCustom)
	}
	return g
}

// addListed adds the roles that are listed for a role that the viewer holds.
func (g *giving) addListed(held *ent.Role) {
	for _, r := range held.Edges.MayGive {
		g.add(g.roles[r.ID])
	}
	if held.Key == nil {
		return
	}
	builtIn, _ := authz.BuiltInRole(*held.Key)
	for _, r := range g.roles {
		if r.Key != nil && slices.Contains(builtIn.MayGive, *r.Key) {
			g.add(r)
		}
	}
}

func (g *giving) add(r *ent.Role) {
	g.given[r.ID] = true
	for scope, set := range pairsOf(r) {
		g.pairs[scope] |= set
	}
}

// addCustom adds the custom roles that the holder of a built-in role may give.
func (g *giving) addCustom(how authz.CustomGiving) {
	if how == authz.GivesNoCustom {
		return
	}
	candidates := map[int64]bool{}
	for id, r := range g.roles {
		if r.Key == nil && (how == authz.GivesAllCustom || g.covers(pairsOf(r))) {
			candidates[id] = true
		}
	}
	// Whoever gets a role may give what it lists: one that lists a role out of the viewer's reach would hand on more
	// than its pairs.
	for dropped := how == authz.GivesCoveredCustom; dropped; {
		dropped = false
		for id := range candidates {
			if !g.within(g.roles[id].Edges.MayGive, candidates) {
				delete(candidates, id)
				dropped = true
			}
		}
	}
	for id := range candidates {
		g.add(g.roles[id])
	}
}

// within says whether each of the roles may be given, or is one of the candidates for that.
func (g *giving) within(listed []*ent.Role, candidates map[int64]bool) bool {
	return !slices.ContainsFunc(listed, func(r *ent.Role) bool { return !g.given[r.ID] && !candidates[r.ID] })
}

// covers says whether every pair lies in roles that the viewer may give, at no wider scope.
func (g *giving) covers(pairs authz.Pairs) bool {
	return !slices.ContainsFunc(pairs.List(), func(p authz.Pair) bool { return !g.pairs.Cover(p) })
}

// pairsOf is what a role holds.
func pairsOf(r *ent.Role) authz.Pairs {
	if r.Key != nil {
		builtIn, _ := authz.BuiltInRole(*r.Key)
		return builtIn.Pairs
	}
	return authz.PairsOf(r.Pairs)
}

// mayAssign refuses unless ROLES_ASSIGN reaches each of the targets.
func (d *doing) mayAssign(targets ...authz.Target) error {
	for _, at := range targets {
		if err := d.may(authz.RolesAssign, at, "at the user and at the group of the grant"); err != nil {
			return err
		}
	}
	return nil
}

// may refuses a role that the viewer may not give anywhere.
func (g *giving) may(roleID int64) error {
	if g.given[roleID] {
		return nil
	}
	return refusal.Limit(refusal.MayNotGive, authz.RolesAssign, "for this role",
		"You may not give this role: it is not among the roles that yours list.", "Ask somebody who may give it.")
}

// notOneself refuses what nobody may do to their own access.
func (d *doing) notOneself(userID int64) error {
	if d.viewer.UserID == userID {
		return refusal.Limit(refusal.OwnAccess, authz.RolesAssign, "at somebody else",
			"You may not change your own access.", "Ask somebody else who may.")
	}
	return nil
}

// outranks refuses to touch a user who holds a permission that the viewer neither holds nor may give. Grants to come
// count, and so do those of a user who is not active and those that wait for custom roles to be on: whoever takes
// over the user gets them.
func (d *doing) outranks(ctx context.Context, g *giving, userID int64) error {
	if d.viewer.UserID == userID {
		return nil
	}
	grants, err := d.grants(ctx, rolegrant.UserID(userID))
	if err != nil {
		return err
	}
	return d.rank(ctx, g, grants)
}

// outranksHolders is outranks for whoever holds one of the grants. It asks in parts, because a statement takes only so
// many parameters.
func (d *doing) outranksHolders(ctx context.Context, g *giving, held []*ent.RoleGrant) error {
	for part := range slices.Chunk(held, grantsAtOnce) {
		holders := make([]int64, len(part))
		for i, grant := range part {
			holders[i] = grant.UserID
		}
		all, err := d.grants(ctx, rolegrant.UserIDIn(once(holders)...))
		if err != nil {
			return err
		}
		for some := range slices.Chunk(all, grantsAtOnce) {
			if err := d.rank(ctx, g, some); err != nil {
				return err
			}
		}
	}
	return nil
}

// rank refuses when the grants hold something that the viewer neither holds nor may give there, as far: who could
// reset the password of a user with a wider reach would have that reach.
func (d *doing) rank(ctx context.Context, g *giving, grants []*ent.RoleGrant) error {
	places, err := d.placesOfGrants(ctx, grants)
	if err != nil {
		return err
	}
	for _, grant := range grants {
		at := places[grant.ID]
		assigns := d.viewer.Can(authz.RolesAssign, authz.AtGroup(at))
		for _, pair := range pairsOf(g.roles[grant.RoleID]).List() {
			mayGive := assigns && g.pairs.Cover(pair)
			if !mayGive && !d.viewer.Covers(pair, at) {
				return d.outranked(pair.Permission)
			}
		}
	}
	return nil
}

// outranked refuses for a permission of somebody else's, which is named to those who may see who holds what.
func (d *doing) outranked(p authz.Permission) error {
	if !d.viewer.CanAccount(authz.RolesView) {
		p = authz.RolesAssign
	}
	return refusal.Limit(refusal.Rank, p, "where this user holds it",
		"This concerns a user with permissions that you neither hold nor may give.", "Ask somebody who holds them.")
}

// placesOfGrants returns where each grant stands, by its id: at its own group, or at the home group of its user.
func (d *doing) placesOfGrants(ctx context.Context, grants []*ent.RoleGrant) (map[int64]authz.Place, error) {
	var followers []int64
	for _, grant := range grants {
		if grant.GroupID == nil {
			followers = append(followers, grant.UserID)
		}
	}
	users, err := d.tx.User.Query().Where(user.IDIn(followers...), user.AccountID(d.account.ID)).All(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("directory: loading the holders of grants: %w", err)
	}
	homes := map[int64]int64{}
	for _, u := range users {
		homes[u.ID] = u.HomeGroupID
	}
	stands := map[int64]int64{}
	var ids []int64
	for _, grant := range grants {
		at := homes[grant.UserID]
		if grant.GroupID != nil {
			at = *grant.GroupID
		}
		stands[grant.ID] = at
		ids = append(ids, at)
	}
	found, err := d.places(ctx, d.tx.Group.Query().Where(group.AccountID(d.account.ID), group.IDIn(ids...)))
	if err != nil {
		return nil, err
	}
	byGroup := map[int64]authz.Place{}
	for _, p := range found {
		byGroup[p.GroupID] = p
	}
	places := map[int64]authz.Place{}
	for id, at := range stands {
		places[id] = byGroup[at]
	}
	return places, nil
}

// grants returns those that are in force or to come and meet the condition, whether or not the viewer sees them, in
// the order of their ids.
func (d *doing) grants(ctx context.Context, condition ...predicate.RoleGrant) ([]*ent.RoleGrant, error) {
	list, err := d.tx.RoleGrant.Query().
		Where(rolegrant.AccountID(d.account.ID), rolegrant.RevokedAtIsNil(),
			rolegrant.Or(rolegrant.ValidUntilIsNil(), rolegrant.ValidUntilGT(d.at))).
		Where(condition...).Order(rolegrant.ByID()).All(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("directory: loading grants: %w", err)
	}
	return list, nil
}

// isOwner selects the grants by which somebody counts as an owner of the account (ruling 11).
func (d *doing) isOwner() []predicate.RoleGrant {
	return []predicate.RoleGrant{
		rolegrant.AccountID(d.account.ID), rolegrant.RevokedAtIsNil(),
		rolegrant.ValidFromLTE(d.at), rolegrant.ValidUntilIsNil(),
		rolegrant.HasRoleWith(role.Key(authz.RoleOwner)),
		rolegrant.HasUserWith(user.StatusEQ(user.StatusACTIVE)),
	}
}

// ownersRemain refuses a change that takes an owner's place away from the primary owner or leaves the account without
// an owner. It is asked after the change; lost are the users who may have lost that place.
func (d *doing) ownersRemain(ctx context.Context, lost ...int64) error {
	if primary := d.account.PrimaryOwnerID; primary != nil && slices.Contains(lost, *primary) {
		return refusal.Conflict(refusal.PrimaryOwner,
			"This is the primary owner of the account. The primary owner has to hand that place to another owner first.")
	}
	remain, err := d.tx.RoleGrant.Query().Where(d.isOwner()...).Exist(authz.Trusted(ctx))
	if err != nil {
		return fmt.Errorf("directory: looking for owners: %w", err)
	}
	if !remain {
		return refusal.Conflict(refusal.LastOwner,
			"The account would be left without an active owner. Make somebody else an owner first.")
	}
	return nil
}

// customRolesOn refuses to make, change or give a custom role while the account has them switched off.
func (d *doing) customRolesOn() error {
	if d.account.CustomRolesEnabled {
		return nil
	}
	return refusal.Conflict(refusal.CustomRolesOff,
		"Custom roles are switched off in this account. Switch them on in the account's settings first.")
}
