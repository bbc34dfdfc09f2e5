package graph

import (
	"context"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/graph/bind"
	"canopy/graph/model"
	"canopy/relay"

	"entgo.io/ent/dialect/sql"
)

// WhoCan lists the active users who may do something. The target is found like that of a check.
func (r *queryResolver) WhoCan(ctx context.Context, p authz.Permission, targetID *relay.ID, first *int, after *string) (*model.AccessHolderConnection, error) {
	target, err := r.targetOf(ctx, targetID)
	if err != nil {
		return nil, err
	}
	t := target.For(p)
	wanted, err := r.page(ctx, first, after)
	if err != nil {
		return nil, err
	}
	may := func(v *authz.Viewer) bool { return v.Can(p, t) }
	found, err := r.holders(ctx, authz.SetOf(p), t, may, wanted)
	if err != nil {
		return nil, err
	}
	given := make([][]authz.Given, len(found.Edges))
	for i, h := range found.Nodes() {
		given[i] = h.viewer.Why(p, t)
	}
	paths, err := r.paths(ctx, given)
	if err != nil {
		return nil, err
	}
	connection := &model.AccessHolderConnection{PageInfo: &found.PageInfo, TotalCount: found.TotalCount,
		Nodes: []*model.AccessHolder{}, Edges: []*model.AccessHolderEdge{}}
	for i, h := range found.Nodes() {
		node := &model.AccessHolder{User: h.user, Paths: paths(given[i], p)}
		connection.Nodes = append(connection.Nodes, node)
		connection.Edges = append(connection.Edges, &model.AccessHolderEdge{Node: node, Cursor: found.Edges[i].Cursor()})
	}
	return connection, nil
}

// holder is a user with what they hold.
type holder struct {
	user   *ent.User
	viewer *authz.Viewer
}

// leastJudged is how many users are judged at once at least, so that a short page across many who may not takes few
// statements.
const leastJudged = 25

// holders returns a page, by name, of the visible users who may. The database names those who come into question, so
// that it costs about as much as the page has entries, and may decides. Each round takes the same number of statements;
// one round is enough unless the world changes meanwhile.
func (r *resolver) holders(ctx context.Context, wanted authz.Set, t authz.Target, may func(*authz.Viewer) bool, p page) (*relay.Connection[holder], error) {
	at := r.now()
	narrow, err := r.Directory.MayHold(ctx, r.DB.Read, authz.FromContext(ctx).AccountID, wanted, t, at)
	if err != nil {
		return nil, err
	}
	judge := func(p page, most int) ([]holder, error) {
		var found []holder
		for size := max(most, leastJudged); len(found) < most; {
			users, err := r.candidates(ctx, narrow, p, size)
			if err != nil {
				return nil, err
			}
			viewers, err := r.Directory.LoadViewers(ctx, r.DB.Read, authz.FromContext(ctx).AccountID, numbers(users), at)
			if err != nil {
				return nil, err
			}
			for _, u := range users {
				if v := viewers[u.ID]; v != nil && may(v) {
					found = append(found, holder{u, v})
				}
			}
			if len(users) < size {
				break
			}
			last := atName(users[len(users)-1].NameKey, users[len(users)-1].ID).Cursor()
			p.after = &last
		}
		return found[:min(len(found), most)], nil
	}
	found, err := judge(p, p.first+1)
	if err != nil {
		return nil, err
	}
	more := len(found) > p.first
	connection := relay.NewConnection(found[:min(len(found), p.first)], more, p.after != nil, func(h holder) relay.Position { return atName(h.user.NameKey, h.user.ID) })
	if p.total {
		all, err := judge(page{}, countCap)
		if err != nil {
			return nil, err
		}
		connection.TotalCount = len(all)
	}
	return connection, nil
}

// candidates returns visible users who come into question, by name.
func (r *resolver) candidates(ctx context.Context, narrow func(*sql.Selector), p page, most int) ([]*ent.User, error) {
	list := usersByName()
	after, err := list.after(ctx, r.DB.Read, p)
	if err != nil {
		return nil, err
	}
	return userRows(ctx, r.DB.Read, func(s *sql.Selector) {
		judgeLast(s)
		narrow(s)
		if after != nil {
			after(s)
		}
		list.sort(s)
		s.Limit(most)
	})
}

// paths loads the grants of all of the given with one statement, and returns what shows some of them: without the grant
// where the viewer may not see it.
func (r *resolver) paths(ctx context.Context, given [][]authz.Given) (func([]authz.Given, authz.Permission) []*model.AccessPath, error) {
	var ids []int64
	for _, list := range given {
		for _, g := range list {
			ids = append(ids, g.Grant.ID)
		}
	}
	grants, err := byID(ctx, r.DB.Read, grantRows, ids)
	return func(list []authz.Given, p authz.Permission) []*model.AccessPath {
		paths := []*model.AccessPath{}
		for _, g := range list[:min(len(list), maxGrants)] {
			paths = append(paths, &model.AccessPath{Grant: grants[g.Grant.ID], Way: model.AccessWay(g.Way.String()), Scope: g.Scope(p)})
		}
		return paths
	}, err
}

// effectiveUsers asks for one group after the other: how many there can be is bounded by what each weighs.
func (r *resolver) effectiveUsers(ctx context.Context, groups []*ent.Group, a asked) (map[int64]*model.EffectiveUserConnection, error) {
	p, err := a.page()
	if err != nil {
		return nil, err
	}
	wanted := authz.AllPermissions
	if name, ok := a.args()["permission"].(string); ok {
		one, err := authz.ParsePermission(name)
		if err != nil {
			return nil, err
		}
		wanted = authz.SetOf(one)
	}
	pages := make(map[int64]*model.EffectiveUserConnection, len(groups))
	for _, g := range groups {
		place := rule.PlaceOf(g)
		may := func(v *authz.Viewer) bool { return v.Holding(place).Waiting&wanted != 0 }
		found, err := r.holders(ctx, wanted, authz.AtContact(place, 0), may, p)
		if err != nil {
			return nil, err
		}
		pages[g.ID] = effective(found, place)
	}
	return pages, nil
}

func effective(found *relay.Connection[holder], place authz.Place) *model.EffectiveUserConnection {
	connection := &model.EffectiveUserConnection{PageInfo: &found.PageInfo, TotalCount: found.TotalCount,
		Nodes: []*model.EffectiveUser{}, Edges: []*model.EffectiveUserEdge{}}
	for i, h := range found.Nodes() {
		held := h.viewer.Holding(place)
		node := &model.EffectiveUser{User: h.user, Permissions: bind.Spell(held.All), WaitingPermissions: bind.Spell(held.Waiting)}
		connection.Nodes = append(connection.Nodes, node)
		connection.Edges = append(connection.Edges, &model.EffectiveUserEdge{Node: node, Cursor: found.Edges[i].Cursor()})
	}
	return connection
}

// mayExplain says whether the viewer may be told of the user's access.
func mayExplain(ctx context.Context, userID int64) bool {
	v := authz.FromContext(ctx)
	return userID == v.UserID || v.CanAccount(authz.AccessExplain)
}

// effectivePermissions judges all the users at once, of those of whom the viewer may be told.
func (r *resolver) effectivePermissions(ctx context.Context, users []*ent.User, a asked) (map[int64][]*model.EffectivePermission, error) {
	ways, err := r.waysAt(ctx, a)
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, u := range users {
		if mayExplain(ctx, u.ID) && u.Status == user.StatusACTIVE && u.AccessPausedAt == nil {
			ids = append(ids, u.ID)
		}
	}
	viewers, err := r.Directory.LoadViewers(ctx, r.DB.Read, authz.FromContext(ctx).AccountID, ids, r.now())
	if err != nil {
		return nil, err
	}
	var given [][]authz.Given
	for _, v := range viewers {
		for _, p := range authz.Permissions() {
			given = append(given, ways(v, p))
		}
	}
	paths, err := r.paths(ctx, given)
	if err != nil {
		return nil, err
	}
	effective := make(map[int64][]*model.EffectivePermission, len(users))
	for _, u := range users {
		effective[u.ID] = []*model.EffectivePermission{}
		if viewers[u.ID] == nil {
			continue
		}
		for _, p := range authz.Permissions() {
			if list := ways(viewers[u.ID], p); len(list) > 0 {
				effective[u.ID] = append(effective[u.ID], &model.EffectivePermission{Permission: p, Paths: paths(list, p)})
			}
		}
	}
	return effective, nil
}

// waysAt returns what finds the grants that give a permission where the field asks: at a target, or anywhere.
func (r *resolver) waysAt(ctx context.Context, a asked) (func(*authz.Viewer, authz.Permission) []authz.Given, error) {
	raw := a.args()["at"]
	if raw == nil {
		return (*authz.Viewer).Held, nil
	}
	var id relay.ID
	if err := id.UnmarshalGQL(raw); err != nil {
		return nil, err
	}
	t, err := r.targetOf(ctx, &id)
	return func(v *authz.Viewer, p authz.Permission) []authz.Given { return v.Why(p, t.For(p)) }, err
}
