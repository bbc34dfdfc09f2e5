package graph

import (
	"context"
	stdsql "database/sql"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/graph/bind"
	"canopy/graph/model"
	"canopy/internal/fold"
	"canopy/refusal"
	"canopy/relay"
	"canopy/store"
	"canopy/tree"

	"entgo.io/ent/dialect/sql"
)

type groupResolver struct{ *resolver }

func (r *queryResolver) RootGroup(ctx context.Context) (*ent.Group, error) { return r.rootGroup(ctx) }

func (r *queryResolver) Group(ctx context.Context, id relay.ID) (*ent.Group, error) {
	return one(ctx, r.DB.Read, groupRows, id.As(relay.KindGroup), "group")
}

func (r *queryResolver) Groups(ctx context.Context, under *relay.ID, search *string, first *int, after *string) (*relay.Connection[*ent.Group], error) {
	p, err := r.page(ctx, first, after)
	if err != nil {
		return nil, err
	}
	branch, err := r.under(ctx, under)
	if err != nil {
		return nil, err
	}
	text, err := searchText(search)
	if err != nil {
		return nil, err
	}
	return groupsOfTree().page(ctx, r.DB.Read, p, hull(authz.FromContext(ctx)), branch.groups, searched(text, "name_key"))
}

func (r *groupResolver) Parent(ctx context.Context, g *ent.Group) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, g)
}

func (r *groupResolver) Ancestors(ctx context.Context, g *ent.Group) ([]*ent.Group, error) {
	return take[[]*ent.Group](ctx, r.resolver, g)
}

func (r *groupResolver) Children(ctx context.Context, g *ent.Group, _ *int, _ *string) (*relay.Connection[*ent.Group], error) {
	return take[*relay.Connection[*ent.Group]](ctx, r.resolver, g)
}

func (r *groupResolver) Descendants(ctx context.Context, g *ent.Group, _ *int, _ *int, _ *string) (*relay.Connection[*ent.Group], error) {
	return take[*relay.Connection[*ent.Group]](ctx, r.resolver, g)
}

func (r *groupResolver) ChildCount(ctx context.Context, g *ent.Group) (int, error) {
	return take[int](ctx, r.resolver, g)
}

func (r *groupResolver) DescendantCount(ctx context.Context, g *ent.Group) (int, error) {
	return take[int](ctx, r.resolver, g)
}

func (r *groupResolver) Settings(ctx context.Context, g *ent.Group) (*bind.GroupSettings, error) {
	return take[*bind.GroupSettings](ctx, r.resolver, g)
}

func (r *groupResolver) Users(ctx context.Context, g *ent.Group, _ *int, _ *string) (*relay.Connection[*ent.User], error) {
	return take[*relay.Connection[*ent.User]](ctx, r.resolver, g)
}

func (r *groupResolver) Agents(ctx context.Context, g *ent.Group, _ *int, _ *string) (*relay.Connection[*bind.Agent], error) {
	return take[*relay.Connection[*bind.Agent]](ctx, r.resolver, g)
}

func (r *groupResolver) ViewerPermissions(ctx context.Context, g *ent.Group) ([]authz.Permission, error) {
	return bind.Spell(authz.FromContext(ctx).Holding(rule.PlaceOf(g)).All), nil
}

func (r *groupResolver) EffectiveUsers(ctx context.Context, g *ent.Group, _ *authz.Permission, _ *int, _ *string) (*model.EffectiveUserConnection, error) {
	return take[*model.EffectiveUserConnection](ctx, r.resolver, g)
}

func (r *groupResolver) Totals(ctx context.Context, g *ent.Group) (*model.GroupTotals, error) {
	return take[*model.GroupTotals](ctx, r.resolver, g)
}

// rootGroup returns nil when the viewer does not see the root.
func (r *resolver) rootGroup(ctx context.Context) (*ent.Group, error) {
	roots, err := groupRows(ctx, r.DB.Read, func(s *sql.Selector) { s.Where(sql.IsNull(s.C(group.FieldParentID))) })
	if err != nil || len(roots) == 0 {
		return nil, err
	}
	return roots[0], nil
}

// hull narrows a select of groups to the stretch of the tree in which all that the viewer sees lies. It leaves out
// nothing visible and spares a walk through the rest of the account, in the order of the list.
func hull(v *authz.Viewer) func(*sql.Selector) {
	return func(s *sql.Selector) {
		reach := v.Reach(authz.GroupsView)
		if reach.Account || len(reach.Groups) > 0 {
			return
		}
		from, to := tree.Range(v.Home.Path)
		for _, p := range reach.Subtrees {
			first, last := tree.Range(p.Path)
			from, to = min(from, first), max(to, last)
		}
		judgeLast(s)
		s.Where(sql.And(sql.EQ(s.C(group.FieldAccountID), v.AccountID), sql.GTE(s.C(group.FieldPath), from), sql.LT(s.C(group.FieldPath), to)))
	}
}

// branch is what a list is narrowed to: a group and what is below it. The zero branch is everything.
type branch struct {
	accountID int64
	path      string
}

// under returns the branch of a visible group, which an argument of that name names.
func (r *resolver) under(ctx context.Context, id *relay.ID) (branch, error) {
	if id == nil {
		return branch{}, nil
	}
	wanted := id.As(relay.KindGroup)
	found, err := byID(ctx, r.DB.Read, groupRows, []int64{wanted})
	if err != nil {
		return branch{}, err
	}
	g, visible := found[wanted]
	if !visible {
		return branch{}, refusal.NotFound("group").At("under")
	}
	return branch{g.AccountID, g.Path}, nil
}

// groups narrows a select of groups.
func (b branch) groups(s *sql.Selector) {
	if b.path == "" {
		return
	}
	from, to := tree.Range(b.path)
	s.Where(sql.And(sql.EQ(s.C(group.FieldAccountID), b.accountID), sql.GTE(s.C(group.FieldPath), from), sql.LT(s.C(group.FieldPath), to)))
}

// homes narrows a select of users.
func (b branch) homes(s *sql.Selector) {
	if b.path == "" {
		return
	}
	groups := sql.Dialect(s.Dialect()).Select(group.FieldID).From(sql.Table(group.Table))
	b.groups(groups)
	s.Where(sql.In(s.C("home_group_id"), groups))
}

// maxSearch is the length of what can be searched for.
const maxSearch = 100

// searchText returns what to search for, "" for nothing. It is the one check of all arguments of that name.
func searchText(search *string) (string, error) {
	text := orEmpty(search)
	if utf8.RuneCountInString(text) > maxSearch || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return "", refusal.BadInput("search", "Search for at most %d characters, none of them control characters.", maxSearch)
	}
	return text, nil
}

// searched narrows a select to rows of which a folded column has the text. An empty text narrows nothing.
func searched(text string, columns ...string) func(*sql.Selector) {
	key := fold.Key(text)
	return func(s *sql.Selector) {
		if key == "" {
			return
		}
		var ways []*sql.Predicate
		for _, column := range columns {
			ways = append(ways, sql.Contains(s.C(column), key))
		}
		s.Where(sql.Or(ways...))
	}
}

// groupLoaders are the fields of Group that are loaded for many groups at once.
func (r *resolver) groupLoaders() map[string]anyLoader {
	children := nested[*ent.Group]{list: groupsByName(), relation: inParent}
	users := nested[*ent.User]{list: usersByName(), relation: inHome}
	agents := nested[*bind.Agent]{list: agentsByName(), relation: inHome}
	return map[string]anyLoader{
		"parent":          toOne(r, groupRows, func(g *ent.Group) *int64 { return g.ParentID }),
		"ancestors":       loader[*ent.Group, []*ent.Group]{groupKey, r.ancestors},
		"children":        toMany[*ent.Group](r, children, func(g *ent.Group) int64 { return *g.ParentID }),
		"descendants":     loader[*ent.Group, *relay.Connection[*ent.Group]]{groupKey, r.descendants},
		"childCount":      loader[*ent.Group, int]{groupKey, r.childCounts},
		"descendantCount": loader[*ent.Group, int]{groupKey, r.descendantCounts},
		"settings":        loader[*ent.Group, *bind.GroupSettings]{groupKey, r.groupSettings},
		"users":           toMany[*ent.Group](r, users, func(u *ent.User) int64 { return u.HomeGroupID }),
		"agents":          toMany[*ent.Group](r, agents, func(a *bind.Agent) int64 { return a.HomeGroupID }),
		"effectiveUsers":  loader[*ent.Group, *model.EffectiveUserConnection]{groupKey, r.effectiveUsers},
		"totals":          loader[*ent.Group, *model.GroupTotals]{groupKey, r.groupTotals},
	}
}

func groupKey(g *ent.Group) int64 { return g.ID }

// ancestors reads the ids of all the groups above out of the paths.
func (r *resolver) ancestors(ctx context.Context, groups []*ent.Group, _ asked) (map[int64][]*ent.Group, error) {
	var ids []int64
	for _, g := range groups {
		ids = append(ids, above(g)...)
	}
	found, err := byID(ctx, r.DB.Read, groupRows, ids)
	if err != nil {
		return nil, err
	}
	chains := make(map[int64][]*ent.Group, len(groups))
	for _, g := range groups {
		chain := []*ent.Group{}
		for _, id := range above(g) {
			if a, visible := found[id]; visible {
				chain = append(chain, a)
			}
		}
		chains[g.ID] = chain
	}
	return chains, nil
}

// above lists the ids of the groups above a group, the root first.
func above(g *ent.Group) []int64 {
	ids := tree.IDs(g.Path)
	return ids[:len(ids)-1]
}

// allLevels is more than any tree has.
const allLevels = 1000

// subtreeOf makes a parent for the relation inSubtree: so many levels below the group.
func subtreeOf(g *ent.Group, levels int) []any {
	from, to := tree.Range(g.Path)
	return []any{g.ID, g.AccountID, from, to, g.Depth + levels}
}

// descendants finds the groups of all the pages with one statement. A group can be on several of them, so each page
// takes its part out of the whole, which is in the order of the tree.
func (r *resolver) descendants(ctx context.Context, groups []*ent.Group, a asked) (map[int64]*relay.Connection[*ent.Group], error) {
	p, err := a.page()
	if err != nil {
		return nil, err
	}
	levels, err := levelsOf(a)
	if err != nil {
		return nil, err
	}
	below := nested[*ent.Group]{list: groupsOfTree(), relation: inSubtree}
	ps := make(parents, len(groups))
	byNumber := make(map[int64]*ent.Group, len(groups))
	for i, g := range groups {
		ps[i], byNumber[g.ID] = subtreeOf(g, levels), g
	}
	rows, err := below.rows(ctx, r.DB.Read, ps, p)
	if err != nil {
		return nil, err
	}
	rows = slices.CompactFunc(rows, func(a, b *ent.Group) bool { return a.ID == b.ID })
	return below.connect(ctx, r.DB.Read, ps, p, func(id int64) []*ent.Group {
		return pageOf(rows, byNumber[id], levels, p.first+1)
	})
}

func levelsOf(a asked) (int, error) {
	levels, err := a.int("maxDepth")
	if err != nil || levels == nil {
		return allLevels, err
	}
	if *levels < 1 {
		return 0, refusal.BadInput("maxDepth", "The number of levels is at least 1; leave `maxDepth` out for all.")
	}
	return min(*levels, allLevels), nil
}

// pageOf takes the first groups below g out of rows, which are in the order of the tree.
func pageOf(rows []*ent.Group, g *ent.Group, levels, most int) []*ent.Group {
	var of []*ent.Group
	start := sort.Search(len(rows), func(i int) bool { return rows[i].Path > g.Path })
	for _, row := range rows[start:] {
		if !tree.Under(row.Path, g.Path) || len(of) == most {
			break
		}
		if row.Depth <= g.Depth+levels {
			of = append(of, row)
		}
	}
	return of
}

func (r *resolver) childCounts(ctx context.Context, groups []*ent.Group, _ asked) (map[int64]int, error) {
	return r.groupCounts(ctx, groups, inParent, func(n tree.Counters) int64 { return n.Children })
}

func (r *resolver) descendantCounts(ctx context.Context, groups []*ent.Group, _ asked) (map[int64]int, error) {
	return r.groupCounts(ctx, groups, inSubtree, func(n tree.Counters) int64 { return n.Descendants })
}

// groupCounts takes the counters of groups of whose subtree the viewer sees everything, and counts the visible groups
// of the others.
func (r *resolver) groupCounts(ctx context.Context, groups []*ent.Group, related relation, counter func(tree.Counters) int64) (map[int64]int, error) {
	counts := make(map[int64]int, len(groups))
	known, rest, err := r.countersWhereCertain(ctx, groups, authz.GroupsView)
	if err != nil {
		return nil, err
	}
	for id, n := range known {
		counts[id] = int(counter(n))
	}
	if len(rest) == 0 {
		return counts, nil
	}
	ps := make(parents, len(rest))
	for i, g := range rest {
		ps[i] = subtreeOf(g, allLevels)
	}
	counted, err := nested[*ent.Group]{list: groupsOfTree(), relation: related}.count(ctx, r.DB.Read, ps, 0)
	for id, n := range counted {
		counts[id] = n
	}
	return counts, err
}

// countersWhereCertain returns the counters of those groups of whose subtree the permission reaches everything, and
// the groups of which that is not certain: the permission does not reach them with what is below, or a wall stands
// somewhere below.
func (r *resolver) countersWhereCertain(ctx context.Context, groups []*ent.Group, p authz.Permission) (map[int64]tree.Counters, []*ent.Group, error) {
	reach := authz.FromContext(ctx).Reach(p)
	var candidates, rest []*ent.Group
	for _, g := range groups {
		if reach.Account || reachesSubtree(reach, g) {
			candidates = append(candidates, g)
		} else {
			rest = append(rest, g)
		}
	}
	known := map[int64]tree.Counters{}
	if len(candidates) == 0 {
		return known, rest, nil
	}
	counters, err := tree.CountersOf(ctx, r.DB.Keyed, numbers(candidates))
	if err != nil {
		return nil, nil, err
	}
	for _, g := range candidates {
		if n, ok := counters[g.ID]; ok && (reach.Account || n.Restricted == 0) {
			known[g.ID] = n
		} else {
			rest = append(rest, g)
		}
	}
	return known, rest, nil
}

// reachesSubtree says whether a subtree of the reach contains the group with no wall between.
func reachesSubtree(reach authz.Reach, g *ent.Group) bool {
	return slices.ContainsFunc(reach.Subtrees, func(p authz.Place) bool {
		return tree.Under(g.Path, p.Path) && strings.HasPrefix(p.Path, g.Wall)
	})
}

// numbers lists the numbers of things.
func numbers[T bind.Node](list []T) []int64 {
	ids := make([]int64, len(list))
	for i, n := range list {
		ids[i] = number(n)
	}
	return ids
}

func (r *resolver) groupSettings(ctx context.Context, groups []*ent.Group, _ asked) (map[int64]*bind.GroupSettings, error) {
	resolved, err := tree.SettingsOf(ctx, r.DB.Read, groups)
	if err != nil {
		return nil, err
	}
	settings := make(map[int64]*bind.GroupSettings, len(groups))
	for _, g := range groups {
		s := resolved[g.ID]
		settings[g.ID] = &bind.GroupSettings{
			SharedInbox:    settingOf(g, s.SharedInbox),
			AssignmentMode: settingOf(g, s.AssignmentMode),
			Capacity:       settingOf(g, s.Capacity),
			RadarWindow:    settingOf(g, s.RadarWindow),
			EscalateAfter:  settingOf(g, s.EscalateAfter),
			ReassignAfter:  settingOf(g, s.ReassignAfter),
			CloseAfter:     settingOf(g, s.CloseAfter),
		}
	}
	return settings, nil
}

func settingOf[T any](g *ent.Group, s tree.Setting[T]) bind.Setting[T] {
	return bind.Setting[T]{Value: s.Value, Own: s.SetBy == g.ID, SetByID: s.SetBy}
}

// groupTotals takes the counters of groups of whose subtree DASHBOARDS_VIEW reaches everything, and counts what it
// reaches of the others.
func (r *resolver) groupTotals(ctx context.Context, groups []*ent.Group, _ asked) (map[int64]*model.GroupTotals, error) {
	totals := make(map[int64]*model.GroupTotals, len(groups))
	known, rest, err := r.countersWhereCertain(ctx, groups, authz.DashboardsView)
	if err != nil {
		return nil, err
	}
	for id, n := range known {
		totals[id] = &model.GroupTotals{Users: int(n.Users), Contacts: int(n.Contacts), Open: int(n.Open), Waiting: int(n.Waiting), Closed: int(n.Closed)}
	}
	if len(rest) == 0 {
		return totals, nil
	}
	ps := make(parents, len(rest))
	for i, g := range rest {
		ps[i], totals[g.ID] = subtreeOf(g, allLevels), &model.GroupTotals{}
	}
	if err := r.countUsers(ctx, ps, totals); err != nil {
		return nil, err
	}
	return totals, r.countContacts(ctx, ps, totals)
}

// parentNumber is the SQL of a parent's number.
const parentNumber = "CAST(p.value->>0 AS BIGINT)"

// dashboards counts, by parent, the rows of a table that are in the groups of the parent's subtree, itself included,
// that DASHBOARDS_VIEW reaches.
func (r *resolver) dashboards(ctx context.Context, ps parents, table, column string) (counted *sql.Selector, rows *sql.SelectTable) {
	rows = sql.Table(table).As("t")
	counted = sql.Dialect(r.DB.Dialect()).SelectExpr(sql.Expr(parentNumber), sql.Expr("COUNT(*)")).
		From(sql.Table(group.Table).As("g")).AppendFromExpr(sql.ExprFunc(ps.source)).AppendFrom(rows).
		Where(sql.ExprP("g.account_id = CAST(p.value->>1 AS BIGINT) AND g.path >= p.value->>2 AND g.path < p.value->>3 AND t." + column + " = g.id")).
		GroupBy(parentNumber)
	rule.GroupsWith(ctx, authz.DashboardsView)(counted)
	return counted, rows
}

func (r *resolver) countUsers(ctx context.Context, ps parents, totals map[int64]*model.GroupTotals) error {
	counted, users := r.dashboards(ctx, ps, "users", "home_group_id")
	query, args := counted.Where(sql.NEQ(users.C("status"), user.StatusDELETED)).Query()
	return store.EachRow(ctx, r.DB.Read, query, args, func(rows *stdsql.Rows) error {
		var id int64
		var n int
		err := rows.Scan(&id, &n)
		totals[id].Users = n
		return err
	})
}

func (r *resolver) countContacts(ctx context.Context, ps parents, totals map[int64]*model.GroupTotals) error {
	counted, contacts := r.dashboards(ctx, ps, "contacts", "group_id")
	query, args := counted.AppendSelect(contacts.C("box")).GroupBy(parentNumber, contacts.C("box")).Query()
	return store.EachRow(ctx, r.DB.Read, query, args, func(rows *stdsql.Rows) error {
		var id int64
		var box tree.Box
		var n int
		if err := rows.Scan(&id, &n, &box); err != nil {
			return err
		}
		sum := totals[id]
		sum.Contacts += n
		switch box.State() {
		case tree.Open:
			sum.Open += n
		case tree.Closed:
			sum.Closed += n
		}
		if !box.Assigned() {
			sum.Waiting += n
		}
		return nil
	})
}
