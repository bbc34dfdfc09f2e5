package directory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/predicate"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/tree"

	"entgo.io/ent/dialect/sql"
)

// How many users and groups a preview compares one by one, and how many times it asks what users with the same grants
// hold somewhere: both other limits reached at once would take hours and all memory. Groups that nothing is special about
// do not count: they are compared together.
const (
	maxForeseenUsers   = 50_000
	maxForeseenGroups  = 50_000
	maxForeseenAnswers = 5_000_000
)

// foresight watches a change of access: who may gain or lose by it, and how those stand before and after it.
type foresight struct {
	asker         *authz.Viewer // to whom it is told
	audience      audience
	before, after *standing
	counters      map[int64]tree.Counters // of the groups, after the change
	residents     map[int64]int           // users whose home each group is, after the change
	tooBig        bool
}

// audience is who may gain or lose access by a change. To leave somebody out is an error, to name too many is not.
type audience struct {
	at     time.Time // the moment for which it is judged
	users  []int64   // whose own grants, or whose places, may change
	over   []int64   // who may hold something over the mover, and else keeps what they have
	groups []int64   // where something may change beside where grants stand
	branch string    // path of the branch that moves; empty: none does
	mover  *mover
}

// mover is a user who goes to another home group, as somebody over whom others hold permissions.
type mover struct {
	id       int64
	from, to authz.Place
}

// overUsers are the permissions that mean something over a user.
func overUsers() authz.Set {
	return authz.SetOf(authz.AgentPanelView, authz.AgentSettingsEdit,
		authz.UsersView, authz.UsersInvite, authz.UsersEdit, authz.UsersDeactivate, authz.UsersDelete,
		authz.RolesView, authz.RolesAssign, authz.AccessExplain, authz.AccessReviewManage, authz.AccessReviewDecide)
}

// The four below are called by the changes when everything that can be checked before them is checked.

func (d *doing) foreseeGrant(ctx context.Context, m member, in GrantRole) error {
	if d.foresight == nil {
		return nil
	}
	a := audience{at: d.at, users: []int64{m.ID}}
	if in.GroupID != nil {
		a.groups = []int64{*in.GroupID}
	}
	if in.ValidFrom != nil && in.ValidFrom.After(d.at) {
		a.at = *in.ValidFrom
	}
	return d.foresight.loadBefore(ctx, d, a)
}

func (d *doing) foreseeRole(ctx context.Context, r *ent.Role) error {
	if d.foresight == nil {
		return nil
	}
	holders, err := d.holders(ctx, rolegrant.RoleID(r.ID))
	if err != nil {
		return err
	}
	return d.foresight.loadBefore(ctx, d, audience{at: d.at, users: holders})
}

func (d *doing) foreseeUserMove(ctx context.Context, m member, to *ent.Group) error {
	if d.foresight == nil {
		return nil
	}
	above := once(append(tree.IDs(m.home.Path), tree.IDs(to.Path)...))
	over, err := d.holders(ctx, standingAt(group.IDIn(above...)))
	if err != nil {
		return err
	}
	over = slices.DeleteFunc(over, func(id int64) bool { return id == m.ID })
	return d.foresight.loadBefore(ctx, d, audience{at: d.at, users: []int64{m.ID}, over: over, groups: []int64{to.ID},
		mover: &mover{id: m.ID, from: m.home, to: rule.PlaceOf(to)}})
}

// foreseeMove concerns whoever holds grants above the branch, here or there, because they reach down into it, and
// whoever holds some in the branch, because settings come from above and queues are looked for there.
func (d *doing) foreseeMove(ctx context.Context, g, parent *ent.Group) error {
	if d.foresight == nil {
		return nil
	}
	roles, err := rolesOf(ctx, d.tx.Client(), d.account.ID)
	if err != nil {
		return fmt.Errorf("directory: loading the roles of the account: %w", err)
	}
	above := once(append(tree.IDs(g.Path), tree.IDs(parent.Path)...))
	down, err := d.holders(ctx, standingAt(group.IDIn(above...)), rolesAt(roles, authz.ScopeSubtree))
	if err != nil {
		return err
	}
	from, to := tree.Range(g.Path)
	up, err := d.holders(ctx, standingAt(group.AccountID(d.account.ID), group.PathGTE(from), group.PathLT(to)),
		rolesAt(roles, authz.ScopeTeam, authz.ScopeQueue))
	if err != nil {
		return err
	}
	return d.foresight.loadBefore(ctx, d, audience{at: d.at, users: once(append(down, up...)), groups: []int64{g.ID, parent.ID}, branch: g.Path})
}

// rolesAt selects grants of roles that hold something at one of the scopes.
func rolesAt(roles map[int64]*ent.Role, scopes ...authz.Scope) predicate.RoleGrant {
	var ids []int64
	for id, r := range roles {
		pairs := pairsOf(r)
		if slices.ContainsFunc(scopes, func(scope authz.Scope) bool { return pairs[scope] != 0 }) {
			ids = append(ids, id)
		}
	}
	return rolegrant.RoleIDIn(ids...)
}

// standingAt selects grants fixed to such groups, or following them as home groups.
func standingAt(condition ...predicate.Group) predicate.RoleGrant {
	return rolegrant.Or(rolegrant.HasGroupWith(condition...),
		rolegrant.And(rolegrant.GroupIDIsNil(), rolegrant.HasUserWith(user.HasHomeGroupWith(condition...))))
}

// holders returns the users, but for deleted ones, who hold such a grant in force, one more than too many at most.
func (d *doing) holders(ctx context.Context, condition ...predicate.RoleGrant) ([]int64, error) {
	var ids []int64
	err := d.tx.RoleGrant.Query().Where(rolegrant.AccountID(d.account.ID)).Where(inForce(d.at)...).Where(condition...).
		Where(rolegrant.HasUserWith(user.StatusNEQ(user.StatusDELETED))).
		Unique(true).Limit(maxForeseenUsers+1).Select(rolegrant.FieldUserID).Scan(authz.Trusted(ctx), &ids)
	if err != nil {
		return nil, fmt.Errorf("directory: looking for holders of grants: %w", err)
	}
	return once(ids), nil
}

// loadBefore remembers how the audience stands before the change, and the groups at which anything can differ: where
// grants stand, with all above those, walls, and where that which the viewer sees begins.
func (f *foresight) loadBefore(ctx context.Context, d *doing, a audience) error {
	f.audience = a
	ids := f.everybody()
	if f.tooBig = len(ids) > maxForeseenUsers; f.tooBig {
		return nil
	}
	var err error
	if f.before, err = d.standing(ctx, ids, a.at); err != nil {
		return err
	}
	root, err := d.tx.Group.Query().Where(group.AccountID(d.account.ID), group.ParentIDIsNil()).OnlyID(authz.Trusted(ctx))
	if err != nil {
		return fmt.Errorf("directory: looking for the root: %w", err)
	}
	if err := f.before.add(ctx, d.tx.Client(), append(d.viewerStands(), append(a.groups, root)...)); err != nil {
		return err
	}
	if len(a.users) == 0 {
		return nil
	}
	walls, err := d.walls(ctx, f.hull(d))
	if err != nil {
		return err
	}
	if f.tooBig = len(walls)+len(f.before.groups) > maxForeseenGroups; f.tooBig {
		return nil
	}
	return f.before.add(ctx, d.tx.Client(), walls)
}

// loadAfter loads the same once more, after the change. The move of a branch leaves users, roles and grants as they were.
func (f *foresight) loadAfter(ctx context.Context, d *doing) (err error) {
	if f.audience.branch != "" {
		after := *f.before
		after.groups = map[int64]*ent.Group{}
		f.after = &after
	} else if f.after, err = d.standing(ctx, f.everybody(), f.audience.at); err != nil {
		return err
	}
	return f.after.add(ctx, d.tx.Client(), slices.Sorted(maps.Keys(f.before.groups)))
}

// count counts groups and users; contacts are counted when the transaction is over.
func (f *foresight) count(ctx context.Context, d *doing) (err error) {
	ids := slices.Sorted(maps.Keys(f.after.groups))
	if f.counters, err = tree.CountersOf(ctx, d.tx, ids); err != nil {
		return err
	}
	f.residents = make(map[int64]int, len(ids))
	for part := range slices.Chunk(ids, valuesAtOnce) {
		var rows []struct {
			HomeGroupID int64 `json:"home_group_id"`
			Count       int   `json:"count"`
		}
		err := d.tx.User.Query().Where(user.AccountID(d.account.ID), user.HomeGroupIDIn(part...), user.StatusNEQ(user.StatusDELETED)).
			GroupBy(user.FieldHomeGroupID).Aggregate(ent.Count()).Scan(authz.Trusted(ctx), &rows)
		if err != nil {
			return fmt.Errorf("directory: counting users for a preview: %w", err)
		}
		for _, r := range rows {
			f.residents[r.HomeGroupID] = r.Count
		}
	}
	return nil
}

func (f *foresight) everybody() []int64 {
	return once(slices.Concat(f.audience.users, f.audience.over))
}

func (d *doing) viewerStands() []int64 {
	ids := []int64{d.viewer.Home.GroupID}
	for i := range d.viewer.Grants {
		ids = append(ids, d.viewer.Grants[i].Place.GroupID)
	}
	return ids
}

// standing loads users as they stand at the moment of the transaction, by the grants of the moment at.
func (d *doing) standing(ctx context.Context, ids []int64, at time.Time) (*standing, error) {
	st, err := loadStanding(authz.Trusted(ctx), d.tx.Client(), d.account.ID, ids, at)
	if err != nil {
		return nil, fmt.Errorf("directory: loading %d users for a preview: %w", len(ids), err)
	}
	return st, nil
}

// add adds groups with all that are above them.
func (st *standing) add(ctx context.Context, c *ent.Client, ids []int64) error {
	missing := slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return st.groups[id] != nil })
	found, err := withAncestors(ctx, c, st.account.ID, missing)
	if err != nil {
		return fmt.Errorf("directory: loading groups: %w", err)
	}
	maps.Copy(st.groups, found)
	return nil
}

// hull is the path of the lowest group below which everything lies that the change can make a difference to by what
// reaches downwards; empty for the whole account.
func (f *foresight) hull(d *doing) string {
	if f.audience.branch != "" {
		return f.audience.branch
	}
	for _, p := range []authz.Permission{authz.GroupsView, authz.UsersView, authz.DashboardsView} {
		if !d.viewer.CanAccount(p) { // what the viewer sees ends at walls too
			return ""
		}
	}
	var paths []string
	for _, id := range f.audience.groups {
		paths = append(paths, f.before.groups[id].Path)
	}
	for _, id := range f.audience.users {
		paths = append(paths, f.before.groups[f.before.users[id].HomeGroupID].Path)
		for _, g := range f.before.grants[id] {
			paths = append(paths, f.before.groups[f.before.place(g)].Path)
		}
	}
	return commonPath(paths)
}

// commonPath is the path of the lowest group that all the groups lie under.
func commonPath(paths []string) string {
	if len(paths) == 0 {
		return ""
	}
	common := paths[0]
	for _, p := range paths[1:] {
		for !tree.Under(p, common) {
			common = common[:len(common)-tree.LabelSize]
		}
	}
	return common
}

// walls returns the RESTRICTED groups under the path, one more than too many at most.
func (d *doing) walls(ctx context.Context, path string) ([]int64, error) {
	from, to := tree.Range(path)
	restricted := func(s *sql.Selector) { s.Where(sql.ColumnsEQ(s.C(group.FieldWall), s.C(group.FieldPath))) }
	ids, err := d.tx.Group.Query().Where(group.AccountID(d.account.ID), group.PathGTE(from), group.PathLT(to), restricted).
		Limit(maxForeseenGroups + 1).IDs(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("directory: looking for private branches: %w", err)
	}
	return ids, nil
}
