package graph

import (
	"context"

	"canopy/directory"
	"canopy/graph/bind"
	"canopy/graph/model"
	"canopy/relay"
)

// InviteUser creates a user who sets a password next.
func (r *mutationResolver) InviteUser(ctx context.Context, input model.InviteUserInput) (*model.InviteUserPayload, error) {
	invited, err := r.Directory.InviteUser(ctx, directory.InviteUser{Name: input.Name, Email: input.Email,
		HomeGroupID: input.HomeGroupID.As(relay.KindGroup), RoleIDs: numbersOf(input.RoleIds, relay.KindRole),
		Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.InviteUserPayload{User: invited.User, SetupToken: invited.SetupToken}, nil
}

// UpdateUser changes name or e-mail address of a user.
func (r *mutationResolver) UpdateUser(ctx context.Context, input model.UpdateUserInput) (*model.UpdateUserPayload, error) {
	changed, err := r.Directory.UpdateUser(ctx, directory.UpdateUser{
		UserID: input.UserID.As(relay.KindUser), Name: input.Name, Email: input.Email})
	if err != nil {
		return nil, err
	}
	return &model.UpdateUserPayload{User: changed}, nil
}

// ResetPassword takes away the password of a user.
func (r *mutationResolver) ResetPassword(ctx context.Context, input model.ResetPasswordInput) (*model.ResetPasswordPayload, error) {
	reset, err := r.Directory.ResetPassword(ctx, directory.ResetPassword{
		UserID: input.UserID.As(relay.KindUser), Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.ResetPasswordPayload{User: reset.User, SetupToken: reset.SetupToken}, nil
}

// MoveUser gives a user another home group.
func (r *mutationResolver) MoveUser(ctx context.Context, input model.MoveUserInput) (*model.MoveUserPayload, error) {
	moved, err := r.Directory.MoveUser(ctx, moveUser(input))
	if err != nil {
		return nil, err
	}
	return &model.MoveUserPayload{User: moved}, nil
}

func moveUser(input model.MoveUserInput) directory.MoveUser {
	return directory.MoveUser{UserID: input.UserID.As(relay.KindUser), HomeGroupID: input.HomeGroupID.As(relay.KindGroup),
		Reason: orEmpty(input.Reason), PreviewToken: input.PreviewToken}
}

// DeactivateUser ends what a user may do and hands over their open conversations.
func (r *mutationResolver) DeactivateUser(ctx context.Context, input model.DeactivateUserInput) (*model.DeactivateUserPayload, error) {
	left, err := r.Directory.DeactivateUser(ctx, deactivateUser(input))
	if err != nil {
		return nil, err
	}
	return &model.DeactivateUserPayload{User: left.User, HandedOver: left.HandedOver}, nil
}

func deactivateUser(input model.DeactivateUserInput) directory.DeactivateUser {
	return directory.DeactivateUser{UserID: input.UserID.As(relay.KindUser), Handover: directory.HandoverMethod(input.Handover),
		HandoverAgentID: numberOf(input.HandoverAgentID, relay.KindAgent, relay.KindUser), Reason: orEmpty(input.Reason), PreviewToken: input.PreviewToken}
}

// ReactivateUser lets a deactivated user log in again.
func (r *mutationResolver) ReactivateUser(ctx context.Context, input model.ReactivateUserInput) (*model.ReactivateUserPayload, error) {
	back, err := r.Directory.ReactivateUser(ctx, directory.ReactivateUser{
		UserID: input.UserID.As(relay.KindUser), Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.ReactivateUserPayload{User: back}, nil
}

// DeleteUser erases a deactivated user.
func (r *mutationResolver) DeleteUser(ctx context.Context, input model.DeleteUserInput) (*model.DeleteUserPayload, error) {
	err := r.Directory.DeleteUser(ctx, directory.DeleteUser{UserID: input.UserID.As(relay.KindUser), Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.DeleteUserPayload{DeletedUserID: input.UserID}, nil
}

// UpdateAgentSettings changes how an agent works.
func (r *mutationResolver) UpdateAgentSettings(ctx context.Context, input model.UpdateAgentSettingsInput) (*model.UpdateAgentSettingsPayload, error) {
	hours, err := hoursOf(input.WorkingHours)
	if err != nil {
		return nil, err
	}
	changed, err := r.Directory.UpdateAgentSettings(ctx, directory.UpdateAgentSettings{WorkingHours: hours,
		AgentID: input.AgentID.As(relay.KindAgent, relay.KindUser), Availability: input.Availability,
		Capacity: optionalOf(input.Capacity), AccessPaused: input.AccessPaused, Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.UpdateAgentSettingsPayload{Agent: bind.NewAgent(changed)}, nil
}
