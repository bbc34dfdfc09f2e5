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
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/user"
	"canopy/tree"

	"entgo.io/ent/dialect/sql"
)

// MayHold returns what narrows a select of users to the active ones, not paused, with a grant in force that may give
// one of the permissions at the target. It finds all of those who hold one, and hardly anybody else: whoever lists them
// judges each as LoadViewers returns them. It takes three statements, whatever the size of the account.
func (s *Service) MayHold(ctx context.Context, c *ent.Client, accountID int64, wanted authz.Set, t authz.Target, at time.Time) (func(*sql.Selector), error) {
	ctx = authz.Trusted(ctx)
	h := &holding{target: t, at: at}
	for p := range wanted.All() {
		if !authz.Possible(p, t) {
			wanted &^= authz.SetOf(p)
		}
	}
	a, err := c.Account.Query().Where(account.ID(accountID)).Only(ctx)
	if err != nil {
		return nil, found(err, "account")
	}
	roles, err := rolesOf(ctx, c, accountID)
	if err != nil {
		return nil, fmt.Errorf("directory: loading the roles of account %d: %w", accountID, err)
	}
	for _, r := range roles {
		if r.Key != nil || a.CustomRolesEnabled {
			h.add(r, wanted)
		}
	}
	if t.Place.IsZero() {
		return h.users, nil
	}
	h.accountID = accountID
	h.locations, err = locationsOf(ctx, c, accountID, t)
	return h.users, err
}

// location is a group in which the target is: its own, and the one above in whose queue a contact waits too.
type location struct {
	id             int64
	path           string
	shared, manual bool
}

func locationsOf(ctx context.Context, c *ent.Client, accountID int64, t authz.Target) ([]location, error) {
	groups := []*ent.Group{{ID: t.Place.GroupID, AccountID: accountID, Path: t.Place.Path}}
	if i := slices.Index(tree.IDs(t.Place.Path), t.Escalated); t.Escalated != 0 && i >= 0 {
		groups = append(groups, &ent.Group{ID: t.Escalated, AccountID: accountID, Path: t.Place.Path[:(i+1)*tree.LabelSize]})
	}
	settings, err := tree.SettingsOf(ctx, c, groups)
	if err != nil {
		return nil, fmt.Errorf("directory: resolving the settings of group %d: %w", t.Place.GroupID, err)
	}
	locations := make([]location, len(groups))
	for i, g := range groups {
		s := settings[g.ID]
		locations[i] = location{g.ID, g.Path, s.SharedInbox.Value, s.AssignmentMode.Value == group.AssignmentModeMANUAL}
	}
	return locations, nil
}

// holding is what decides who may hold a permission at a target.
type holding struct {
	accountID int64
	target    authz.Target
	at        time.Time
	roles     [authz.ScopeSelf + 1][]any // by the scope at which they hold it
	locations []location                 // none for the account itself
}

func (h *holding) add(r *ent.Role, wanted authz.Set) {
	for scope, held := range pairsOf(r) {
		if held&wanted != 0 {
			h.roles[scope] = append(h.roles[scope], r.ID)
		}
	}
}

// users narrows a select of users. It mirrors the scopes of a grant's reach, each by the index that finds its grants.
func (h *holding) users(s *sql.Selector) {
	t, dialect := h.target, s.Dialect()
	ways := []*sql.Selector{h.granted(dialect, authz.ScopeAccount)}
	if !t.Place.IsZero() {
		ways = append(ways, h.standing(dialect, h.above(), authz.ScopeSubtree)...)
	}
	for _, at := range h.locations {
		there := []authz.Scope{authz.ScopeGroup}
		if at.shared {
			there = append(there, authz.ScopeTeam)
		}
		ways = append(ways, h.standing(dialect, only(at.id), there...)...)
		if t.Contact && t.Assignee == 0 && at.manual {
			ways = append(ways, h.standing(dialect, h.below(dialect, at), authz.ScopeQueue)...)
		}
	}
	ways = append(ways, h.person(dialect, t.Assignee, authz.ScopeAssigned, authz.ScopeTeam),
		h.person(dialect, t.Offered, authz.ScopeAssigned, authz.ScopeTeam, authz.ScopeQueue),
		h.person(dialect, t.Subject, authz.ScopeSelf))
	var all *sql.Selector
	for _, way := range ways {
		switch {
		case way == nil:
		case all == nil:
			all = way
		default:
			all.UnionAll(way)
		}
	}
	s.Where(sql.EQ(s.C(user.FieldStatus), user.StatusACTIVE)).Where(sql.IsNull(s.C(user.FieldAccessPausedAt)))
	if all == nil {
		s.Where(sql.False())
		return
	}
	s.Where(sql.In(s.C(user.FieldID), all))
}

// groups is a condition on a column that names a group.
type groups func(column string) *sql.Predicate

func only(ids ...int64) groups {
	list := make([]any, len(ids))
	for i, id := range ids {
		list[i] = id
	}
	return func(column string) *sql.Predicate { return sql.In(column, list...) }
}

// above are the group of the target and those above it, up to the nearest wall.
func (h *holding) above() groups {
	chain := tree.IDs(h.target.Place.Path)
	if wall := tree.IDs(h.target.Place.Wall); len(wall) > 0 {
		chain = chain[len(wall)-1:]
	}
	return only(chain...)
}

// below are the group and those below it.
func (h *holding) below(dialect string, at location) groups {
	from, to := tree.Range(at.path)
	return func(column string) *sql.Predicate {
		ids := sql.Dialect(dialect).Select(group.FieldID).From(sql.Table(group.Table))
		ids.Where(sql.And(sql.EQ(ids.C(group.FieldAccountID), h.accountID), sql.GTE(ids.C(group.FieldPath), from), sql.LT(ids.C(group.FieldPath), to)))
		return sql.In(column, ids)
	}
}

func heldGrants() *sql.SelectTable { return sql.Table(rolegrant.Table).As("held") }

// granted selects the users to whom a role was granted that holds the permission at one of the scopes; nil where there
// is no such role.
func (h *holding) granted(dialect string, scopes ...authz.Scope) *sql.Selector {
	var roles []any
	for _, scope := range scopes {
		roles = append(roles, h.roles[scope]...)
	}
	if len(roles) == 0 {
		return nil
	}
	held := heldGrants()
	s := sql.Dialect(dialect).Select(held.C(rolegrant.FieldUserID)).From(held)
	for _, narrow := range inForce(h.at) {
		narrow(s)
	}
	return s.Where(sql.In(held.C(rolegrant.FieldRoleID), roles...))
}

// standing selects those to whom it was granted at the groups: fixed there, or following a home group among them.
func (h *holding) standing(dialect string, at groups, scopes ...authz.Scope) []*sql.Selector {
	fixed, following := h.granted(dialect, scopes...), h.granted(dialect, scopes...)
	if fixed == nil {
		return nil
	}
	held, homes := heldGrants(), sql.Table(user.Table).As("resident")
	fixed.Where(at(held.C(rolegrant.FieldGroupID)))
	following.Join(homes).On(homes.C(user.FieldID), held.C(rolegrant.FieldUserID))
	following.Where(sql.IsNull(held.C(rolegrant.FieldGroupID))).Where(at(homes.C(user.FieldHomeGroupID)))
	return []*sql.Selector{fixed, following}
}

// person selects the one user if it was granted to them.
func (h *holding) person(dialect string, id int64, scopes ...authz.Scope) *sql.Selector {
	s := h.granted(dialect, scopes...)
	if id == 0 || s == nil {
		return nil
	}
	return s.Where(sql.EQ(heldGrants().C(rolegrant.FieldUserID), id))
}
