package graph

import (
	"context"

	"canopy/desk"
	"canopy/graph/model"
	"canopy/relay"
)

// CreateContact creates a contact that arrives in a group.
func (r *mutationResolver) CreateContact(ctx context.Context, input model.CreateContactInput) (*model.CreateContactPayload, error) {
	created, err := r.Desk.CreateContact(ctx, desk.CreateContact{
		GroupID: input.GroupID.As(relay.KindGroup), Name: input.Name, Phone: input.Phone, Email: input.Email})
	if err != nil {
		return nil, err
	}
	return &model.CreateContactPayload{Contact: created}, nil
}

// UpdateContact changes name, phone or e-mail of a contact.
func (r *mutationResolver) UpdateContact(ctx context.Context, input model.UpdateContactInput) (*model.UpdateContactPayload, error) {
	changed, err := r.Desk.UpdateContact(ctx, desk.UpdateContact{ContactID: input.ContactID.As(relay.KindContact),
		Name: input.Name, Phone: optionalOf(input.Phone), Email: optionalOf(input.Email)})
	if err != nil {
		return nil, err
	}
	return &model.UpdateContactPayload{Contact: changed}, nil
}

// DeleteContact deletes a contact with everything said to it.
func (r *mutationResolver) DeleteContact(ctx context.Context, input model.DeleteContactInput) (*model.DeleteContactPayload, error) {
	err := r.Desk.DeleteContact(ctx, desk.DeleteContact{ContactID: input.ContactID.As(relay.KindContact), Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.DeleteContactPayload{DeletedContactID: input.ContactID}, nil
}

// ClaimContact takes a contact out of the queue.
func (r *mutationResolver) ClaimContact(ctx context.Context, input model.ClaimContactInput) (*model.ClaimContactPayload, error) {
	claimed, err := r.Desk.ClaimContact(ctx, desk.ClaimContact{ContactID: input.ContactID.As(relay.KindContact)})
	if err != nil {
		return nil, err
	}
	return &model.ClaimContactPayload{Contact: claimed.Contact, Assignment: claimed.Assignment}, nil
}

// DeclineOffer passes on what is offered to the viewer.
func (r *mutationResolver) DeclineOffer(ctx context.Context, input model.DeclineOfferInput) (*model.DeclineOfferPayload, error) {
	if err := r.Desk.DeclineOffer(ctx, desk.DeclineOffer{ContactID: input.ContactID.As(relay.KindContact)}); err != nil {
		return nil, err
	}
	return &model.DeclineOfferPayload{DeclinedContactID: input.ContactID}, nil
}

// AssignContact decides who serves a contact.
func (r *mutationResolver) AssignContact(ctx context.Context, input model.AssignContactInput) (*model.AssignContactPayload, error) {
	assigned, err := r.Desk.AssignContact(ctx, desk.AssignContact{ContactID: input.ContactID.As(relay.KindContact),
		AgentID: numberOf(input.AgentID, relay.KindAgent, relay.KindUser), GroupID: numberOf(input.GroupID, relay.KindGroup),
		Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.AssignContactPayload{Contact: assigned.Contact, Assignment: assigned.Assignment}, nil
}

// TransferContact passes a contact on.
func (r *mutationResolver) TransferContact(ctx context.Context, input model.TransferContactInput) (*model.TransferContactPayload, error) {
	passed, err := r.Desk.TransferContact(ctx, desk.TransferContact{ContactID: input.ContactID.As(relay.KindContact),
		AgentID: numberOf(input.AgentID, relay.KindAgent, relay.KindUser), GroupID: numberOf(input.GroupID, relay.KindGroup),
		Reason: orEmpty(input.Reason)})
	if err != nil {
		return nil, err
	}
	return &model.TransferContactPayload{Contact: passed.Contact, Assignment: passed.Assignment}, nil
}
