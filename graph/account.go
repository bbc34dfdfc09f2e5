package graph

import (
	"context"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/session"
	"canopy/graph/bind"

	"entgo.io/ent/dialect/sql"
)

// maxSessions is how many sessions of a viewer are listed.
const maxSessions = 100

type (
	accountResolver struct{ *resolver }
	viewerResolver  struct{ *resolver }
	sessionResolver struct{ *resolver }
)

func (r *queryResolver) Viewer(ctx context.Context) (*bind.Viewer, error) {
	return bind.NewViewer(authz.FromContext(ctx)), nil
}

func (r *viewerResolver) User(ctx context.Context, v *bind.Viewer) (*ent.User, error) {
	return take[*ent.User](ctx, r.resolver, v)
}

func (r *viewerResolver) Account(ctx context.Context, v *bind.Viewer) (*ent.Account, error) {
	return take[*ent.Account](ctx, r.resolver, v)
}

func (r *viewerResolver) Grants(ctx context.Context, v *bind.Viewer) ([]*ent.RoleGrant, error) {
	return take[[]*ent.RoleGrant](ctx, r.resolver, v)
}

func (r *viewerResolver) Agent(ctx context.Context, v *bind.Viewer) (*bind.Agent, error) {
	return take[*bind.Agent](ctx, r.resolver, v)
}

func (r *viewerResolver) Sessions(ctx context.Context, v *bind.Viewer) ([]*ent.Session, error) {
	return take[[]*ent.Session](ctx, r.resolver, v)
}

func (r *accountResolver) PrimaryOwner(ctx context.Context, a *ent.Account) (*ent.User, error) {
	return take[*ent.User](ctx, r.resolver, a)
}

func (r *accountResolver) RootGroup(ctx context.Context, a *ent.Account) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, a)
}

func (r *sessionResolver) Current(ctx context.Context, s *ent.Session) (bool, error) {
	return s.ID == authz.FromContext(ctx).SessionID, nil
}

func (r *resolver) viewerLoaders() map[string]anyLoader {
	return map[string]anyLoader{
		"user": ofViewer(func(ctx context.Context, v *authz.Viewer) (*ent.User, error) {
			return one(ctx, r.DB.Read, userRows, v.UserID, "user")
		}),
		"account": ofViewer(func(ctx context.Context, v *authz.Viewer) (*ent.Account, error) {
			return one(ctx, r.DB.Read, accountRows, v.AccountID, "account")
		}),
		"grants":   ofViewer(r.viewerGrants),
		"agent":    ofViewer(r.viewerAgent),
		"sessions": ofViewer(r.viewerSessions),
	}
}

// ofViewer loads a field of the viewer, of whom there is one.
func ofViewer[V any](load func(context.Context, *authz.Viewer) (V, error)) loader[*bind.Viewer, V] {
	key := func(v *bind.Viewer) int64 { return v.UserID }
	return loader[*bind.Viewer, V]{key, func(ctx context.Context, viewers []*bind.Viewer, _ asked) (map[int64]V, error) {
		value, err := load(ctx, viewers[0].Viewer)
		return map[int64]V{key(viewers[0]): value}, err
	}}
}

func (r *resolver) viewerGrants(ctx context.Context, v *authz.Viewer) ([]*ent.RoleGrant, error) {
	grants := nested[*ent.RoleGrant]{list: grantsNewestFirst(), relation: ofUser, narrow: []func(*sql.Selector){inForce(r.now())}}
	found, err := grants.first(ctx, r.DB.Read, []int64{v.UserID}, maxGrants, func(g *ent.RoleGrant) int64 { return g.UserID })
	return found[v.UserID], err
}

func (r *resolver) viewerAgent(ctx context.Context, v *authz.Viewer) (*bind.Agent, error) {
	found, err := byID(ctx, r.DB.Read, agentRows, []int64{v.UserID})
	return found[v.UserID], err
}

func (r *resolver) viewerSessions(ctx context.Context, _ *authz.Viewer) ([]*ent.Session, error) {
	return sessionRows(ctx, r.DB.Read, func(s *sql.Selector) {
		s.Where(sql.GT(s.C(session.FieldExpiresAt), r.now()))
		s.OrderBy(sql.Desc(s.C(session.FieldCreatedAt)), sql.Desc(s.C(session.FieldID))).Limit(maxSessions)
	})
}

func (r *resolver) accountLoaders() map[string]anyLoader {
	return map[string]anyLoader{
		"primaryOwner": toOne(r, userRows, func(a *ent.Account) *int64 { return a.PrimaryOwnerID }),
		"rootGroup": loader[*ent.Account, *ent.Group]{numberOfNode[*ent.Account], func(ctx context.Context, accounts []*ent.Account, _ asked) (map[int64]*ent.Group, error) {
			root, err := r.rootGroup(ctx)
			return map[int64]*ent.Group{accounts[0].ID: root}, err
		}},
	}
}
