package graph

import (
	"context"

	"canopy/directory"
	"canopy/graph/model"
	"canopy/relay"
)

// UpdateAccount changes settings of the account.
func (r *mutationResolver) UpdateAccount(ctx context.Context, input model.UpdateAccountInput) (*model.UpdateAccountPayload, error) {
	changed, err := r.Directory.UpdateAccount(ctx, directory.UpdateAccount{Name: input.Name,
		ReasonRequired: input.ReasonRequired, CustomRolesEnabled: input.CustomRolesEnabled, Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.UpdateAccountPayload{Account: changed}, nil
}

// ChangePlan changes what the account has booked.
func (r *mutationResolver) ChangePlan(ctx context.Context, input model.ChangePlanInput) (*model.ChangePlanPayload, error) {
	changed, err := r.Directory.ChangePlan(ctx, directory.ChangePlan{Plan: input.Plan, Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.ChangePlanPayload{Account: changed, Plan: changed.Plan}, nil
}

// TransferOwnership makes another owner the primary one.
func (r *mutationResolver) TransferOwnership(ctx context.Context, input model.TransferOwnershipInput) (*model.TransferOwnershipPayload, error) {
	changed, err := r.Directory.TransferOwnership(ctx, directory.TransferOwnership{
		UserID: input.UserID.As(relay.KindUser), Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.TransferOwnershipPayload{Account: changed}, nil
}

// DeleteAccount deletes the account with everything in it.
func (r *mutationResolver) DeleteAccount(ctx context.Context, input model.DeleteAccountInput) (*model.DeleteAccountPayload, error) {
	deleted, err := r.Directory.DeleteAccount(ctx, directory.DeleteAccount{ConfirmName: input.ConfirmName})
	if err != nil {
		return nil, err
	}
	return &model.DeleteAccountPayload{DeletedAccountID: relay.NewID(relay.KindAccount, deleted)}, nil
}
