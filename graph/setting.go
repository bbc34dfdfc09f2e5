package graph

import (
	"context"

	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/graph/bind"
)

type (
	booleanSettingResolver        struct{ *resolver }
	intSettingResolver            struct{ *resolver }
	agentCapacityResolver         struct{ *resolver }
	assignmentModeSettingResolver struct{ *resolver }
)

func (r *booleanSettingResolver) SetBy(ctx context.Context, s *bind.BooleanSetting) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, s)
}

func (r *intSettingResolver) SetBy(ctx context.Context, s *bind.IntSetting) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, s)
}

func (r *agentCapacityResolver) SetBy(ctx context.Context, s *bind.AgentCapacity) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, s)
}

func (r *assignmentModeSettingResolver) SetBy(ctx context.Context, s *bind.AssignmentModeSetting) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, s)
}

func (r *resolver) settingLoaders(all map[string]map[string]anyLoader) {
	all["BooleanSetting"] = map[string]anyLoader{"setBy": setBy[bool](r)}
	all["IntSetting"] = map[string]anyLoader{"setBy": setBy[int](r)}
	all["AgentCapacity"] = map[string]anyLoader{"setBy": setBy[int](r)}
	all["AssignmentModeSetting"] = map[string]anyLoader{"setBy": setBy[group.AssignmentMode](r)}
}

// setBy loads the groups that decided settings: null for the default and for a group that the viewer does not see.
func setBy[T any](r *resolver) loader[*bind.Setting[T], *ent.Group] {
	return loader[*bind.Setting[T], *ent.Group]{
		key: func(s *bind.Setting[T]) int64 { return s.SetByID },
		load: func(ctx context.Context, settings []*bind.Setting[T], _ asked) (map[int64]*ent.Group, error) {
			ids := make([]int64, len(settings))
			for i, s := range settings {
				ids[i] = s.SetByID
			}
			return byID(ctx, r.DB.Read, groupRows, ids)
		},
	}
}
