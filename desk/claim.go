package desk

import (
	"context"
	"fmt"
	"slices"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/rolegrant"
	"canopy/refusal"
)

// ClaimContact names the contact to take out of the queue.
type ClaimContact struct{ ContactID int64 }

// ClaimContact makes the viewer serve an unassigned contact that their QUEUE_CLAIM reaches. Of several who claim at
// once one succeeds.
func (s *Service) ClaimContact(ctx context.Context, in ClaimContact) (*Assigned, error) {
	var out *Assigned
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		claimer, err := j.holdSelf(ctx)
		if err != nil {
			return err
		}
		// Trusted, because who has lost does not see the contact any more and yet has to hear why.
		h, err := j.hold(authz.Trusted(ctx), in.ContactID, claimer.HomeGroupID)
		if err != nil {
			return err
		}
		if err := j.mayClaim(ctx, h); err != nil {
			return err
		}
		a, err := j.give(ctx, h, claimer, j.taking(h))
		if err != nil {
			return err
		}
		if err := j.recordPass(ctx, "CONTACT_CLAIMED", h, receiver{agent: claimer, group: claimer.HomeGroupID}, ""); err != nil {
			return err
		}
		out, err = j.outcome(ctx, h.ID, a)
		return err
	})
	return out, err
}

// mayClaim refuses what is not in the viewer's queue. Ruling 3: who loses a claim hears ALREADY_ASSIGNED if the
// contact was in their queue until the assignment that beat them began; for everybody else it does not exist.
func (j *job) mayClaim(ctx context.Context, h *held) error {
	visible, err := j.tx.Contact.Query().Where(contact.ID(h.ID)).Exist(ctx)
	if err != nil {
		return err
	}
	if h.agent() == 0 {
		if !visible {
			return refusal.NotFound("contact")
		}
		return j.may(authz.QueueClaim, h)
	}
	current, err := j.tx.ContactAssignment.Query().
		Where(contactassignment.ContactID(h.ID), contactassignment.EndedAtIsNil()).Only(authz.Trusted(ctx))
	if err != nil {
		return err
	}
	if current.UserID == j.viewer.UserID && visible {
		return refusal.Conflict(refusal.AlreadyAssigned, "You serve this contact already.")
	}
	if current.TakenFromGroupID == nil {
		return refusal.NotFound("contact")
	}
	then, err := j.waitedFor(ctx, current)
	if err != nil {
		return err
	}
	viewer, err := j.viewerAt(ctx, current.StartedAt)
	if err != nil {
		return err
	}
	if !viewer.Can(authz.QueueClaim, then) {
		return refusal.NotFound("contact")
	}
	return refusal.Conflict(refusal.AlreadyAssigned, "Somebody else was faster: the contact is assigned already.")
}

// waitedFor is the contact as it stood in a queue until the assignment began.
func (j *job) waitedFor(ctx context.Context, a *ent.ContactAssignment) (authz.Target, error) {
	waitedIn, err := j.place(ctx, *a.TakenFromGroupID)
	if err != nil {
		return authz.Target{}, err
	}
	t := authz.AtContact(waitedIn, 0)
	if a.OfferedToID != nil {
		t.Offered = *a.OfferedToID
	}
	if a.EscalatedToID != nil {
		t.Escalated = *a.EscalatedToID
	}
	return t, nil
}

// viewerAt is the viewer with those of their grants only that were in force already at the moment: a queue that somebody
// got access to later tells them nothing about what had left it before.
func (j *job) viewerAt(ctx context.Context, at time.Time) (*authz.Viewer, error) {
	ids, err := j.tx.RoleGrant.Query().
		Where(rolegrant.UserID(j.viewer.UserID), rolegrant.ValidFromLTE(at), rolegrant.CreatedAtLTE(at)).IDs(ctx)
	if err != nil {
		return nil, fmt.Errorf("desk: loading the viewer's earlier grants: %w", err)
	}
	then := *j.viewer
	then.Grants = slices.DeleteFunc(slices.Clone(j.viewer.Grants), func(g authz.Grant) bool { return !slices.Contains(ids, g.ID) })
	return &then, nil
}
