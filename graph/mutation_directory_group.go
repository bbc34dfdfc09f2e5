package graph

import (
	"context"

	"canopy/directory"
	"canopy/graph/model"
	"canopy/relay"
)

// CreateGroup creates a group, or requests it.
func (r *mutationResolver) CreateGroup(ctx context.Context, input model.CreateGroupInput) (*model.CreateGroupPayload, error) {
	created, err := r.Directory.CreateGroup(ctx, directory.CreateGroup{
		ParentID: input.ParentID.As(relay.KindGroup), Name: input.Name, Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.CreateGroupPayload{Group: created.Group, Request: created.Request}, nil
}

// UpdateGroup renames a group or changes its visibility.
func (r *mutationResolver) UpdateGroup(ctx context.Context, input model.UpdateGroupInput) (*model.UpdateGroupPayload, error) {
	changed, err := r.Directory.UpdateGroup(ctx, directory.UpdateGroup{GroupID: input.GroupID.As(relay.KindGroup),
		Name: input.Name, Visibility: input.Visibility, Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.UpdateGroupPayload{Group: changed}, nil
}

// MoveGroup moves a group with everything below it.
func (r *mutationResolver) MoveGroup(ctx context.Context, input model.MoveGroupInput) (*model.MoveGroupPayload, error) {
	moved, err := r.Directory.MoveGroup(ctx, moveGroup(input))
	if err != nil {
		return nil, err
	}
	return &model.MoveGroupPayload{Group: moved.Group, Move: moved.Carrying}, nil
}

func moveGroup(input model.MoveGroupInput) directory.MoveGroup {
	return directory.MoveGroup{GroupID: input.GroupID.As(relay.KindGroup), ParentID: input.ParentID.As(relay.KindGroup),
		Reason: orEmpty(input.Reason), PreviewToken: input.PreviewToken}
}

// DeleteGroup deletes a group; a successor takes over what is in it.
func (r *mutationResolver) DeleteGroup(ctx context.Context, input model.DeleteGroupInput) (*model.DeleteGroupPayload, error) {
	successor, err := r.Directory.DeleteGroup(ctx, directory.DeleteGroup{GroupID: input.GroupID.As(relay.KindGroup),
		SuccessorID: numberOf(input.SuccessorID, relay.KindGroup), Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.DeleteGroupPayload{DeletedGroupID: input.GroupID, Successor: successor}, nil
}

// UpdateGroupSettings changes what a group says itself.
func (r *mutationResolver) UpdateGroupSettings(ctx context.Context, input model.UpdateGroupSettingsInput) (*model.UpdateGroupSettingsPayload, error) {
	changed, err := r.Directory.UpdateGroupSettings(ctx, directory.UpdateGroupSettings{
		GroupID:        input.GroupID.As(relay.KindGroup),
		SharedInbox:    optionalOf(input.SharedInbox),
		AssignmentMode: optionalOf(input.AssignmentMode),
		Capacity:       optionalOf(input.Capacity),
		RadarWindow:    optionalOf(input.RadarWindow),
		EscalateAfter:  optionalOf(input.EscalateAfter),
		ReassignAfter:  optionalOf(input.ReassignAfter),
		CloseAfter:     optionalOf(input.CloseAfter),
	})
	if err != nil {
		return nil, err
	}
	return &model.UpdateGroupSettingsPayload{Group: changed}, nil
}
