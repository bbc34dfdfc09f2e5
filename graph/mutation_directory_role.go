package graph

import (
	"context"

	"canopy/authz"
	"canopy/directory"
	"canopy/graph/model"
	"canopy/relay"
)

// GrantRole gives a user a role.
func (r *mutationResolver) GrantRole(ctx context.Context, input model.GrantRoleInput) (*model.GrantRolePayload, error) {
	given, err := r.Directory.GrantRole(ctx, grantRole(input))
	if err != nil {
		return nil, err
	}
	return &model.GrantRolePayload{Grant: given}, nil
}

func grantRole(input model.GrantRoleInput) directory.GrantRole {
	return directory.GrantRole{UserID: input.UserID.As(relay.KindUser), RoleID: input.RoleID.As(relay.KindRole),
		GroupID: numberOf(input.GroupID, relay.KindGroup), ValidFrom: input.ValidFrom, ValidUntil: input.ValidUntil,
		Reason: orEmpty(input.Reason), PreviewToken: input.PreviewToken}
}

// RevokeRole ends a grant.
func (r *mutationResolver) RevokeRole(ctx context.Context, input model.RevokeRoleInput) (*model.RevokeRolePayload, error) {
	revoked, err := r.Directory.RevokeRole(ctx, directory.RevokeRole{
		GrantID: input.GrantID.As(relay.KindRoleGrant), Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.RevokeRolePayload{Grant: revoked}, nil
}

// CreateRole makes a custom role.
func (r *mutationResolver) CreateRole(ctx context.Context, input model.CreateRoleInput) (*model.CreateRolePayload, error) {
	made, err := r.Directory.CreateRole(ctx, directory.CreateRole{Name: input.Name, Description: input.Description,
		PolicyNote: input.PolicyNote, Pairs: pairsFrom(input.Pairs), MayGive: numbersOf(input.MayGive, relay.KindRole),
		Template: templateKey(input.Template), Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.CreateRolePayload{Role: made}, nil
}

// templateKey is empty for none.
func templateKey(key *model.RoleTemplateKey) string {
	if key == nil {
		return ""
	}
	return key.String()
}

// CloneRole makes a custom role like another one.
func (r *mutationResolver) CloneRole(ctx context.Context, input model.CloneRoleInput) (*model.CloneRolePayload, error) {
	made, err := r.Directory.CloneRole(ctx, directory.CloneRole{RoleID: input.RoleID.As(relay.KindRole),
		Name: input.Name, Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.CloneRolePayload{Role: made}, nil
}

// UpdateRole changes a custom role.
func (r *mutationResolver) UpdateRole(ctx context.Context, input model.UpdateRoleInput) (*model.UpdateRolePayload, error) {
	changed, err := r.Directory.UpdateRole(ctx, updateRole(input))
	if err != nil {
		return nil, err
	}
	return &model.UpdateRolePayload{Role: changed}, nil
}

func updateRole(input model.UpdateRoleInput) directory.UpdateRole {
	return directory.UpdateRole{RoleID: input.RoleID.As(relay.KindRole), Name: input.Name, Description: input.Description,
		PolicyNote: input.PolicyNote, Pairs: pairsFrom(input.Pairs), MayGive: numbersOf(input.MayGive, relay.KindRole),
		Reason: orEmpty(input.Reason), PreviewToken: input.PreviewToken}
}

// DeleteRole deletes a custom role.
func (r *mutationResolver) DeleteRole(ctx context.Context, input model.DeleteRoleInput) (*model.DeleteRolePayload, error) {
	err := r.Directory.DeleteRole(ctx, directory.DeleteRole{RoleID: input.RoleID.As(relay.KindRole),
		SuccessorID: numberOf(input.SuccessorID, relay.KindRole), Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.DeleteRolePayload{DeletedRoleID: input.RoleID}, nil
}

// pairsFrom is nil for an input that was left out.
func pairsFrom(inputs []*authz.Pair) []authz.Pair {
	if inputs == nil {
		return nil
	}
	pairs := make([]authz.Pair, 0, len(inputs))
	for _, p := range inputs {
		if p != nil {
			pairs = append(pairs, *p)
		}
	}
	return pairs
}
