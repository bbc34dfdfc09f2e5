package graph

import (
	"context"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/graph/model"
	"canopy/relay"
)

type (
	accessPreviewResolver struct{ *resolver }
	accessChangeResolver  struct{ *resolver }
)

func (r *queryResolver) PreviewMoveGroup(ctx context.Context, input model.MoveGroupInput) (*directory.AccessPreview, error) {
	return r.Directory.PreviewMoveGroup(ctx, moveGroup(input))
}

func (r *queryResolver) PreviewMoveUser(ctx context.Context, input model.MoveUserInput) (*directory.AccessPreview, error) {
	return r.Directory.PreviewMoveUser(ctx, moveUser(input))
}

func (r *queryResolver) PreviewRoleChange(ctx context.Context, input model.UpdateRoleInput) (*directory.AccessPreview, error) {
	return r.Directory.PreviewUpdateRole(ctx, updateRole(input))
}

func (r *queryResolver) PreviewGrant(ctx context.Context, input model.GrantRoleInput) (*directory.AccessPreview, error) {
	return r.Directory.PreviewGrantRole(ctx, grantRole(input))
}

func (r *accessPreviewResolver) Changes(ctx context.Context, p *directory.AccessPreview, _ *int, _ *string) (*relay.Connection[*directory.AccessChange], error) {
	return take[*relay.Connection[*directory.AccessChange]](ctx, r.resolver, p)
}

// changesOf returns the page of changes that is asked for.
func changesOf(p *directory.AccessPreview, a asked) (*relay.Connection[*directory.AccessChange], error) {
	page, err := a.page()
	if err != nil {
		return nil, err
	}
	from := 0
	if page.after != nil {
		at, err := parseCursor(*page.after, orderOfChanges)
		if err != nil {
			return nil, err
		}
		permission, err := authz.ParsePermission(at.Text)
		if err != nil {
			return nil, badCursor()
		}
		from = p.Behind(at.ID, permission, directionOf(at.Number))
	}
	to := min(from+page.first, p.Len())
	changes := make([]*directory.AccessChange, 0, to-from)
	for i := from; i < to; i++ {
		change := p.Change(i)
		changes = append(changes, &change)
	}
	connection := relay.NewConnection(changes, to < p.Len(), page.after != nil, positionOf)
	connection.TotalCount = min(p.Len(), countCap)
	return connection, nil
}

func positionOf(c *directory.AccessChange) relay.Position {
	p := relay.Position{Order: orderOfChanges, ID: c.UserID, Text: c.Permission.String()}
	if c.Direction == directory.Lost {
		p.Number = 1
	}
	return p
}

func directionOf(number int64) directory.Direction {
	if number == 0 {
		return directory.Gained
	}
	return directory.Lost
}

func (r *accessChangeResolver) User(ctx context.Context, c *directory.AccessChange) (*ent.User, error) {
	return take[*ent.User](ctx, r.resolver, c)
}

func (r *accessChangeResolver) HighestGroups(ctx context.Context, c *directory.AccessChange) ([]*ent.Group, error) {
	return take[[]*ent.Group](ctx, r.resolver, c)
}

func (r *resolver) accessPreviewLoaders() map[string]anyLoader {
	// A preview is the one object of its root field.
	one := func(*directory.AccessPreview) int64 { return 0 }
	return map[string]anyLoader{"changes": loader[*directory.AccessPreview, *relay.Connection[*directory.AccessChange]]{
		key: one,
		load: func(_ context.Context, previews []*directory.AccessPreview, a asked) (map[int64]*relay.Connection[*directory.AccessChange], error) {
			page, err := changesOf(previews[0], a)
			return map[int64]*relay.Connection[*directory.AccessChange]{0: page}, err
		},
	}}
}

func (r *resolver) accessChangeLoaders() map[string]anyLoader {
	return map[string]anyLoader{
		"user":          loader[*directory.AccessChange, *ent.User]{func(c *directory.AccessChange) int64 { return c.UserID }, r.usersOfChanges},
		"highestGroups": loader[*directory.AccessChange, []*ent.Group]{func(c *directory.AccessChange) int64 { return int64(c.Number) }, r.groupsOfChanges},
	}
}

func (r *resolver) usersOfChanges(ctx context.Context, changes []*directory.AccessChange, _ asked) (map[int64]*ent.User, error) {
	var ids []int64
	for _, c := range changes {
		ids = append(ids, c.UserID)
	}
	return byID(ctx, r.DB.Read, userRows, ids)
}

func (r *resolver) groupsOfChanges(ctx context.Context, changes []*directory.AccessChange, _ asked) (map[int64][]*ent.Group, error) {
	var ids []int64
	for _, c := range changes {
		ids = append(ids, c.Tops...)
	}
	visible, err := byID(ctx, r.DB.Read, groupRows, ids)
	groups := make(map[int64][]*ent.Group, len(changes))
	for _, c := range changes {
		groups[int64(c.Number)] = []*ent.Group{}
		for _, id := range c.Tops {
			if g := visible[id]; g != nil {
				groups[int64(c.Number)] = append(groups[int64(c.Number)], g)
			}
		}
	}
	return groups, err
}
