package directory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/refusal"
	"canopy/tree"
)

// MaxRemedies is how many grants an explanation proposes, and MaxGivers how many users it names who may give one.
const (
	MaxRemedies = 5
	MaxGivers   = 5
)

const (
	lately         = 90 * 24 * time.Hour // for how long a grant that has ended is still of interest
	giversLookedAt = 200                 // among how many users who may assign roles the givers are looked for
)

// ExplainAccess is the input of Service.ExplainAccess.
type ExplainAccess struct {
	UserID     int64
	Permission authz.Permission
	Target     authz.Target
	At         time.Time // the moment at which grants count
}

// Explanation says why somebody may or may not do something. Grants and places in it are given whether or not who asks
// may see them: whoever shows them leaves out what is hidden. Roles and users in it are visible.
type Explanation struct {
	Allowed  bool
	User     *ent.User
	State    string // why the user is refused everything: INVITED, DEACTIVATED, DELETED or PAUSED; empty for nothing
	Given    []authz.Given
	Missed   []Missed // only if nothing is given
	Remedies []Remedy // only if nothing is given and the state allows it
}

// Missed is a grant of the user that does not give the permission at the target, and why.
type Missed struct {
	GrantID  int64
	Obstacle string // an authz.Obstacle, or TO_COME, ENDED, REVOKED or CUSTOM_ROLES_OFF
	WallID   int64  // the RESTRICTED group, if that is the obstacle
}

// Remedy is a grant that would give the permission at the target, and who may give it.
type Remedy struct {
	Role       *ent.Role
	GroupID    *int64 // nil: the grant follows the home group
	Givers     []*ent.User
	GiverRoles []*ent.Role
}

// explaining is an explanation under way.
type explaining struct {
	ExplainAccess
	*standing // of the user alone; missed adds the groups that other grants can stand at
	user      *ent.User
	subject   *authz.Viewer
	listing   []*ent.Role // the roles of the account, with those that they list
	lasting   int         // how many grants the user has that are in force or to come
}

// ExplainAccess says why a user may or may not do something, by the code that decides. About others it needs
// ACCESS_EXPLAIN on the account. That who asks may see the user and the target is for the caller to find out before.
func (s *Service) ExplainAccess(ctx context.Context, in ExplainAccess) (*Explanation, error) {
	asking := authz.FromContext(ctx)
	switch {
	case asking == nil:
		return nil, refusal.NoViewer()
	case in.UserID != asking.UserID && !asking.CanAccount(authz.AccessExplain):
		return nil, refusal.Forbidden(authz.AccessExplain, "on the account")
	}
	x, err := s.explaining(ctx, asking.AccountID, in)
	if err != nil {
		return nil, err
	}
	e := &Explanation{User: x.user, State: stateOf(x.user), Given: x.subject.Why(in.Permission, in.Target)}
	e.Allowed = e.State == "" && len(e.Given) > 0
	if len(e.Given) > 0 {
		return e, nil
	}
	if e.Missed, err = s.missed(ctx, x); err != nil || e.State != "" || x.heldForOwnContacts(e.Missed) {
		return e, err
	}
	e.Remedies, err = s.remedies(ctx, x)
	return e, err
}

// heldForOwnContacts says that the user holds the permission for the contacts that are assigned to them, and that it was
// asked about a whole group. A grant that gives it for all of the group would be much more than what is missed.
func (x *explaining) heldForOwnContacts(missed []Missed) bool {
	return !x.Target.Contact && slices.ContainsFunc(missed, func(m Missed) bool { return m.Obstacle == authz.NotAssigned.String() })
}

// stateOf says why the user is refused everything.
func stateOf(u *ent.User) string {
	switch {
	case u.Status != user.StatusACTIVE:
		return string(u.Status)
	case u.AccessPausedAt != nil:
		return "PAUSED"
	}
	return ""
}

// explaining loads whom an explanation is about.
func (s *Service) explaining(ctx context.Context, accountID int64, in ExplainAccess) (*explaining, error) {
	x := &explaining{ExplainAccess: in}
	var err error
	trusted := authz.Trusted(ctx)
	if x.user, err = s.DB.Read.User.Query().Where(user.ID(in.UserID), user.AccountID(accountID)).Only(trusted); err != nil {
		return nil, found(err, "user")
	}
	if x.standing, err = loadStanding(trusted, s.DB.Read, accountID, []int64{in.UserID}, in.At); err != nil {
		return nil, fmt.Errorf("directory: loading whom an explanation is about: %w", err)
	}
	if x.users[in.UserID] == nil {
		return nil, refusal.NotFound("user") // gone between two statements
	}
	if x.subject, err = x.viewer(in.UserID); err == nil && x.subject == nil {
		err = refusal.NotFound("user")
	}
	return x, err
}

// missed lists the grants that hold the permission and do not give it, and those not in force that would give it.
func (s *Service) missed(ctx context.Context, x *explaining) ([]Missed, error) {
	since := x.At.Add(-lately)
	grants, err := s.DB.Read.RoleGrant.Query().
		Where(rolegrant.AccountID(x.account.ID), rolegrant.UserID(x.user.ID),
			rolegrant.Or(rolegrant.RevokedAtIsNil(), rolegrant.RevokedAtGT(since)),
			rolegrant.Or(rolegrant.ValidUntilIsNil(), rolegrant.ValidUntilGT(since))).
		Order(rolegrant.ByID()).All(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("directory: loading the grants of user %d: %w", x.user.ID, err)
	}
	stands := []int64{x.user.HomeGroupID, x.Target.Place.GroupID}
	if x.Target.Escalated != 0 {
		stands = append(stands, x.Target.Escalated)
	}
	for _, g := range grants {
		if g.GroupID != nil {
			stands = append(stands, *g.GroupID)
		}
		if g.RevokedAt == nil && (g.ValidUntil == nil || g.ValidUntil.After(s.now())) {
			x.lasting++
		}
	}
	if err := x.add(ctx, s.DB.Read, stands); err != nil {
		return nil, err
	}
	var missed []Missed
	for _, m := range x.subject.WhyNot(x.Permission, x.Target) {
		one := Missed{GrantID: m.Grant.ID, Obstacle: m.Obstacle.String()}
		switch {
		case m.Obstacle == authz.Walled:
			one.WallID = x.edge(m.Grant.Place)
		case m.Obstacle == authz.Elsewhere && x.notManualAbove(*m.Grant):
			one.Obstacle = authz.NotManual.String()
		}
		missed = append(missed, one)
	}
	for _, g := range grants {
		obstacle := x.notInForce(g)
		if obstacle == "" {
			continue
		}
		way, err := x.wayOf(x.roles[g.RoleID], x.place(g))
		if err != nil {
			return nil, err
		}
		if way != authz.NoWay {
			missed = append(missed, Missed{GrantID: g.ID, Obstacle: obstacle})
		}
	}
	return missed, nil
}

// notManualAbove says that the grant would reach the contact, which waits in the queue of the group above too, if
// assignment were MANUAL there.
func (x *explaining) notManualAbove(g authz.Grant) bool {
	above := x.groups[x.Target.Escalated]
	if above == nil || !tree.Under(g.Place.Path, above.Path) {
		return false
	}
	g.Queues = append(slices.Clone(g.Queues), above.ID)
	return (&authz.Viewer{UserID: x.user.ID, Grants: []authz.Grant{g}}).Can(x.Permission, x.Target)
}

// edge is the RESTRICTED group at which what reaches down to the target from above stops: of nested ones the outermost.
func (x *explaining) edge(from authz.Place) int64 {
	for _, id := range tree.IDs(x.Target.Place.Path[len(from.Path):]) {
		if g := x.groups[id]; g != nil && g.Wall == g.Path {
			return id
		}
	}
	return 0
}

// notInForce says why a grant does not count at the moment; nothing for one that does, and for one of a custom role
// that would not count even if the grant did.
func (x *explaining) notInForce(g *ent.RoleGrant) string {
	r := x.roles[g.RoleID]
	off := r != nil && r.Key == nil && !x.account.CustomRolesEnabled
	obstacle := ""
	switch {
	case g.RevokedAt != nil:
		obstacle = "REVOKED"
	case g.ValidFrom.After(x.At):
		obstacle = "TO_COME"
	case g.ValidUntil != nil && !g.ValidUntil.After(x.At):
		obstacle = "ENDED"
	case off:
		return "CUSTOM_ROLES_OFF"
	}
	if off {
		return ""
	}
	return obstacle
}

// wayOf judges a grant of the role at the group that the user does not have.
func (x *explaining) wayOf(r *ent.Role, groupID int64) (authz.Way, error) {
	if r == nil || x.groups[groupID] == nil {
		return authz.NoWay, nil // gone between two statements
	}
	grant, err := grantAt(x.groups, groupID, pairsOf(r))
	if err != nil {
		return authz.NoWay, fmt.Errorf("directory: judging a grant of role %d: %w", r.ID, err)
	}
	given := (&authz.Viewer{UserID: x.user.ID, Grants: []authz.Grant{grant}}).Why(x.Permission, x.Target)
	if len(given) == 0 {
		return authz.NoWay, nil
	}
	return given[0].Way, nil
}

// remedies lists the grants that would give the permission: those that reach a part of the account before those that
// reach all of it, and of each those of roles with the fewest permissions first. Custom roles are among them as far as who
// asks may see them.
func (s *Service) remedies(ctx context.Context, x *explaining) ([]Remedy, error) {
	if x.lasting >= maxGrants {
		return nil, nil // the user cannot be granted anything
	}
	var err error
	if x.listing, err = rolesListing(ctx, s.DB.Read.Role, x.account.ID); err != nil {
		return nil, err
	}
	visible, err := s.DB.Read.Role.Query().IDs(ctx)
	if err != nil {
		return nil, fmt.Errorf("directory: looking which roles are visible: %w", err)
	}
	candidates := slices.DeleteFunc(slices.Clone(x.listing), func(r *ent.Role) bool {
		return r.Key == nil && !x.account.CustomRolesEnabled || !slices.Contains(visible, r.ID)
	})
	holders := slices.DeleteFunc(slices.Clone(candidates), func(r *ent.Role) bool {
		return !pairsOf(r).Permissions().Has(authz.RolesAssign)
	})
	slices.SortStableFunc(candidates, func(a, b *ent.Role) int {
		return cmp.Compare(pairsOf(a).Permissions().Len(), pairsOf(b).Permissions().Len())
	})
	var near, far []Remedy
	for _, r := range candidates {
		way, groupID, err := x.narrowest(r)
		if err != nil {
			return nil, err
		}
		switch remedy := (Remedy{Role: r, GroupID: groupID, GiverRoles: listing(holders, x.listing, r)}); way {
		case authz.NoWay:
		case authz.ByAccount:
			far = append(far, remedy)
		default:
			near = append(near, remedy)
		}
	}
	remedies := slices.Concat(near, far)
	remedies = remedies[:min(len(remedies), MaxRemedies)]
	return remedies, s.findGivers(ctx, x, remedies)
}

// narrowest says by what way a grant of the role would do, and at which group: nil stands for one that follows the home
// group, which is enough where the place does not matter, and where home is not above the target.
func (x *explaining) narrowest(r *ent.Role) (way authz.Way, groupID *int64, err error) {
	home, err := x.wayOf(r, x.user.HomeGroupID)
	if err != nil {
		return authz.NoWay, nil, err
	}
	there, err := x.wayOf(r, x.Target.Place.GroupID)
	if err != nil {
		return authz.NoWay, nil, err
	}
	switch home {
	case authz.ByAccount, authz.ByOwnRecord, authz.ByAssignment, authz.ByOffer:
		return home, nil, nil
	}
	at := x.Target.Place.GroupID
	if home != authz.NoWay && (there == authz.NoWay || slices.Contains(tree.IDs(x.subject.Home.Path), at)) {
		return home, nil, nil
	}
	return there, &at, nil
}

// listing returns those of the holders' roles whose holders may give the role.
func listing(holders, all []*ent.Role, r *ent.Role) []*ent.Role {
	return slices.DeleteFunc(slices.Clone(holders), func(holder *ent.Role) bool {
		return !slices.ContainsFunc(MayGive(holder, all), func(given *ent.Role) bool { return given.ID == r.ID })
	})
}

// findGivers adds who may give each of the remedies now, of the users that who asks may see.
func (s *Service) findGivers(ctx context.Context, x *explaining, remedies []Remedy) error {
	if len(remedies) == 0 {
		return nil
	}
	now := s.now()
	var assigning []int64
	for _, r := range x.listing {
		if pairsOf(r).Permissions().Has(authz.RolesAssign) {
			assigning = append(assigning, r.ID)
		}
	}
	grants, err := s.DB.Read.RoleGrant.Query().Where(rolegrant.AccountID(x.account.ID), rolegrant.RoleIDIn(assigning...)).
		Where(inForce(now)...).Order(rolegrant.ByID()).Limit(valuesAtOnce).All(authz.Trusted(ctx))
	if err != nil {
		return fmt.Errorf("directory: looking for grants of roles that may assign: %w", err)
	}
	holders := make([]int64, len(grants))
	for i, g := range grants {
		holders[i] = g.UserID
	}
	users, err := s.DB.Read.User.Query().Where(user.IDIn(holders...), user.IDNEQ(x.user.ID), user.StatusEQ(user.StatusACTIVE),
		user.AccessPausedAtIsNil()).Order(user.ByID()).Limit(giversLookedAt).All(ctx)
	if err != nil {
		return fmt.Errorf("directory: looking for users who may assign roles: %w", err)
	}
	ids := make([]int64, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	viewers, err := s.LoadViewers(ctx, s.DB.Read, x.account.ID, ids, now)
	if err != nil {
		return err
	}
	for _, u := range users {
		v := viewers[u.ID]
		if v == nil {
			continue
		}
		giving := givingOf(v, x.account, x.listing)
		for i := range remedies {
			if r := &remedies[i]; len(r.Givers) < MaxGivers && giving.couldGrant(x, r) {
				r.Givers = append(r.Givers, u)
			}
		}
	}
	return nil
}

// couldGrant says whether Service.GrantRole would let the viewer make this grant: what it is about is visible to them,
// ROLES_ASSIGN reaches the user and the group, and the role is one that they may give, which makes it visible.
func (g *giving) couldGrant(x *explaining, r *Remedy) bool {
	v, whom := g.viewer, authz.AtUser(x.subject.Home, x.user.ID)
	may := g.given[r.Role.ID] && v.Can(authz.RolesAssign, whom) && v.Can(authz.UsersView, whom)
	if r.GroupID != nil {
		at := authz.AtGroup(rule.PlaceOf(x.groups[*r.GroupID]))
		may = may && v.Can(authz.RolesAssign, at) && (v.Can(authz.GroupsView, at) || v.Home.GroupID == *r.GroupID)
	}
	return may
}
